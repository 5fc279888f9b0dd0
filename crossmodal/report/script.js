// The maps' colours, layouts, legends and labels; and only one sound at a time.
"use strict";

const COLOURS = 10, PAUSE = 1100; // milliseconds between the steps of a map that plays

document.addEventListener("play", (event) => {
  for (const other of document.querySelectorAll("audio")) if (other !== event.target) other.pause();
}, true);

function drawMap(map, data) {
  const plane = map.querySelector(".plane");
  const svg = plane.querySelector("svg");
  const circles = [...svg.querySelectorAll("circle")];
  const queries = [...svg.querySelectorAll(".query")];
  const tip = plane.querySelector(".tip");
  const choice = map.querySelector(".colour");
  const legend = map.querySelector(".tags");
  let places = data.layouts.at(map.classList.contains("moving") ? -1 : 0)[1];
  let shown = -1;

  const spoken = (name) => name.replaceAll("_", " ");
  const column = () => data.columns[choice.value];

  // a track's colour: that of its one value; several, none and rare ones have their own shades
  const shade = (n) => column().scale ? "n" + n : n < COLOURS ? "c" + n : "rare";
  const colour = (of) => of.length === 0 ? "none" : of.length > 1 ? "several" : shade(of[0]);

  function paint() {
    column().of.forEach((of, i) => circles[i].setAttribute("class", colour(of)));
    const rows = column().values.map((name, n) => entry(spoken(name), shade(n), (of) => of.includes(n)));
    rows.push(entry("several", "several", (of) => of.length > 1), entry("none", "none", (of) => of.length === 0));
    legend.replaceChildren(...rows.filter(Boolean));
  }

  function entry(name, shade, belongs) {
    const chosen = column().of.map(belongs);
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

  function layOut(wanted) {
    places = wanted;
    circles.forEach((circle, i) => { circle.style.cx = places[i][0]; circle.style.cy = places[i][1]; });
    queries.forEach((query, i) => query.setAttribute("transform", `translate(${places[circles.length + i].join(" ")})`));
    show(-1);
  }

  function show(i) {
    if (shown >= 0) circles[shown].classList.remove("shown");
    shown = i;
    tip.hidden = i < 0;
    if (i < 0) return;
    circles[i].classList.add("shown");
    const values = data.columns.flatMap(({ of, values }) => of[i].map((n) => spoken(values[n])));
    tip.textContent = [data.labels[i], [...new Set(values)].join(", ")].filter(Boolean).join(" · ");
    const [x, y] = places[i];
    tip.style.top = y / 4 + "%";
    tip.style.left = x > 200 ? "auto" : x / 4 + "%";
    tip.style.right = x > 200 ? 100 - x / 4 + "%" : "auto";
  }

  function nearest(event) {
    const box = svg.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width * 400, (event.clientY - box.top) / box.height * 400];
    let [best, least] = [-1, 12 ** 2];
    circles.forEach((_, i) => {
      const distance = (places[i][0] - x) ** 2 + (places[i][1] - y) ** 2;
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
  const layout = map.querySelector(".layout");
  layout?.addEventListener("change", () => layOut(data.layouts[layout.selectedIndex][1]));
  if (map.classList.contains("moving")) move(map, data.layouts, layOut);
}

function move(map, layouts, layOut) { // a slider over the steps, which a button moves
  const [slider, button, told] = ["input", ".play", "output"].map((name) => map.querySelector(name));
  let playing = 0;

  function go(place) {
    slider.value = place;
    told.textContent = layouts[place][0];
    slider.setAttribute("aria-valuetext", "step " + layouts[place][0]);
    layOut(layouts[place][1]);
  }

  function stop() {
    clearInterval(playing);
    playing = 0;
    button.textContent = "▶ Play";
  }

  function next() {
    if (Number(slider.value) < layouts.length - 1) go(Number(slider.value) + 1);
    if (Number(slider.value) === layouts.length - 1) stop();
  }

  button.addEventListener("click", () => {
    if (playing) return stop();
    if (Number(slider.value) === layouts.length - 1) go(0);
    button.textContent = "❚❚ Pause";
    playing = setInterval(next, PAUSE);
  });
  slider.addEventListener("input", () => { stop(); go(Number(slider.value)); });
}

for (const map of document.querySelectorAll(".map")) drawMap(map, JSON.parse(map.querySelector("script").textContent));
