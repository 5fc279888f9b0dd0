// The map's colours, legend and labels; and only one sound at a time.
"use strict";

const COLOURS = 10;

document.addEventListener("play", (event) => {
  for (const other of document.querySelectorAll("audio")) if (other !== event.target) other.pause();
}, true);

function drawMap(data) {
  const plane = document.querySelector(".plane");
  const svg = plane.querySelector("svg");
  const circles = [...svg.querySelectorAll("circle")];
  const tip = plane.querySelector(".tip");
  const choice = document.querySelector(".legend select");
  const legend = document.querySelector(".legend .tags");
  const places = circles.map((circle) => [Number(circle.getAttribute("cx")), Number(circle.getAttribute("cy"))]);
  let shown = -1;

  // a track's colour: that of its one tag; several, none and rare tags have their own shades
  const colour = (tags) => tags.length === 0 ? "none" : tags.length > 1 ? "several" : tags[0] < COLOURS ? "c" + tags[0] : "rare";

  function paint() {
    data.tags[choice.value].forEach((tags, i) => circles[i].setAttribute("class", colour(tags)));
    const names = data.tagsets[choice.value];
    const rows = names.map((name, n) => entry(name.replaceAll("_", " "), n < COLOURS ? "c" + n : "rare", (tags) => tags.includes(n)));
    rows.push(entry("several tags", "several", (tags) => tags.length > 1), entry("no tag", "none", (tags) => tags.length === 0));
    legend.replaceChildren(...rows.filter(Boolean));
  }

  function entry(name, shade, belongs) {
    const chosen = data.tags[choice.value].map(belongs);
    const count = chosen.filter(Boolean).length;
    if (!count) return null;
    const button = document.createElement("button");
    const swatch = document.createElement("span");
    swatch.className = "swatch " + shade;
    const label = document.createElement("bdi");
    label.textContent = name;
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    button.append(swatch, label, " " + count);
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") === "false";
      for (const other of legend.children) other.setAttribute("aria-pressed", String(on && other === button));
      circles.forEach((circle, i) => circle.classList.toggle("faded", on && !chosen[i]));
    });
    return button;
  }

  function show(i) {
    if (shown >= 0) circles[shown].classList.remove("shown");
    shown = i;
    tip.hidden = i < 0;
    if (i < 0) return;
    circles[i].classList.add("shown");
    const tags = Object.entries(data.tags).flatMap(([tagset, all]) => all[i].map((n) => data.tagsets[tagset][n].replaceAll("_", " ")));
    tip.textContent = data.labels[i] + (tags.length ? " · " + tags.join(", ") : "");
    const [x, y] = places[i];
    tip.style.top = y / 4 + "%";
    tip.style.left = x > 200 ? "auto" : x / 4 + "%";
    tip.style.right = x > 200 ? 100 - x / 4 + "%" : "auto";
  }

  function nearest(event) {
    const box = svg.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width * 400, (event.clientY - box.top) / box.height * 400];
    let [best, least] = [-1, 12 ** 2];
    places.forEach(([px, py], i) => {
      const distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < least) [best, least] = [i, distance];
    });
    return best;
  }

  plane.addEventListener("pointermove", (event) => show(nearest(event)));
  plane.addEventListener("pointerdown", (event) => show(nearest(event)));
  plane.addEventListener("pointerleave", () => show(-1));
  plane.addEventListener("blur", () => show(-1));
  plane.addEventListener("keydown", (event) => {
    const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") show(-1);
    if (!way) return;
    event.preventDefault();
    show((shown + way + (shown < 0 && way < 0 ? 1 : 0) + circles.length) % circles.length);
  });
  if (choice) {
    choice.addEventListener("change", paint);
    paint();
  }
}

const map = document.getElementById("map-data");
if (map) drawMap(JSON.parse(map.textContent));
