// The page of a catalogue: what is picked on the map plays, its neighbours are listed, and one wanders on from them.
// The picked track stands in the address, so that going back goes back.
"use strict";

(() => {
  const { tracks, colours, neighbours, follows } = JSON.parse(document.getElementById("content").textContent);
  const FOUND = 20; // tracks that a search lists
  const panel = document.getElementById("track");
  const find = document.getElementById("find");
  const found = document.getElementById("found");
  const choice = document.getElementById("colour");
  const number = new Map(tracks.map((track, n) => [track.id, n]));
  const player = document.getElementById("picked").content.querySelector("audio").cloneNode();
  let [picked, playing, stop] = [null, null, Infinity];

  const LETTERS = { ı: "i", ł: "l", ø: "o", đ: "d", ß: "ss", æ: "ae", œ: "oe" }; // which are no letter with a mark
  const plain = (text) => text.toLowerCase().normalize("NFD").replace(/\p{M}/gu, "").replace(/[ıłøđßæœ]/g, (one) => LETTERS[one]);
  const texts = tracks.map((track) => plain([track.title, track.artist, track.album, track.id].join(" ")));
  const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
  const span = (start, end) => `${clock(start)}–${clock(end)}`;
  const named = (track) => track.title || track.id;
  const spoken = (name) => name.replaceAll("_", " ");

  function groups() {
    const column = colours[choice?.value ?? 0];
    return [
      tracks.map((track, n) => ({ ...track, group: column ? column.of[n].map((value) => column.values[value]) : null })),
      column?.values ?? [],
    ];
  }

  // sound: one player; a link is played from the second that matches, an excerpt as it is

  function play(n, start = tracks[n].from, end = tracks[n].to) {
    const track = tracks[n];
    if (!track.sound) return silent();
    [playing, stop] = [n, follows ? end : Infinity];
    player.src = follows ? `${track.sound}#t=${start}` : track.sound;
    player.play().catch(() => {}); // a browser may refuse until someone has clicked; its controls say so
    say(`Plays ${n === picked ? "" : `${named(track)}, `}${follows ? span(start, end) : span(track.from, track.to)}.`);
    mark();
  }

  function silent() {
    playing = null;
    player.pause();
    mark();
  }

  function toggle() {
    if (picked === null) return;
    if (playing === null) play(picked);
    else if (player.paused) player.play();
    else player.pause();
  }

  function mark() {
    for (const button of panel.querySelectorAll(".play")) {
      const on = Number(button.value) === playing && !player.paused;
      button.classList.toggle("on", on);
      button.setAttribute("aria-label", `${on ? "Stop" : "Play"} ${named(tracks[button.value])}`);
    }
  }

  for (const kind of ["play", "pause", "ended"]) player.addEventListener(kind, mark);
  player.addEventListener("timeupdate", () => { if (player.currentTime >= stop) { stop = Infinity; player.pause(); } });
  player.addEventListener("error", () => { if (playing !== null) say("This browser cannot play its file, or it is not there."); });
  const say = (text) => { const line = panel.querySelector(".silence"); if (line) line.textContent = text; };

  // the picked track

  function show(n) {
    picked = n;
    const track = tracks[n];
    const content = document.getElementById("picked").content.cloneNode(true);
    content.querySelector(".title").textContent = named(track);
    const about = [track.artist, track.album, track.duration && clock(track.duration)].filter(Boolean);
    content.querySelector(".artist bdi").textContent = about.join(" · ");
    content.querySelector("audio").replaceWith(player);
    player.hidden = !track.sound;
    player.setAttribute("aria-label", named(track));
    content.querySelector(".silence").textContent = track.sound ? "" : `No sound: ${track.silence}.`;
    content.querySelector(".chips").append(...tags(n).map(chip));
    content.querySelector(".near").append(...neighbours[n].map(neighbour));
    panel.replaceChildren(content);
    panel.scrollTop = 0;
    map.highlight(neighbours[n].map(([other]) => tracks[other].id), track.id);
    document.title = named(track);
  }

  const tags = (n) => colours.filter((one) => one.tags).flatMap((one) => one.of[n].map((value) => one.values[value]));

  function chip(name) {
    const item = document.createElement("li");
    item.append(Object.assign(document.createElement("bdi"), { textContent: spoken(name) }));
    return item;
  }

  function neighbour([n, score, start, end], rank) {
    const item = document.createElement("li");
    const track = tracks[n];
    item.innerHTML = '<span class="rank"></span><button type="button" class="play"></button>' +
      '<button type="button" class="name"><bdi></bdi><small></small></button><span class="score"><b></b><span></span></span>';
    const [place, sound, name, figures] = item.children;
    place.textContent = rank + 1;
    Object.assign(sound, { value: n, disabled: !track.sound, title: track.silence, onclick: () => {
      if (playing === n && !player.paused) player.pause();
      else play(n, start, end);
    } });
    sound.setAttribute("aria-label", `Play ${named(track)}`);
    name.firstChild.textContent = named(track);
    name.lastChild.textContent = track.artist;
    name.addEventListener("click", () => go(n, true));
    figures.firstChild.textContent = score.toFixed(3);
    figures.lastChild.textContent = span(start, end);
    return item;
  }

  function go(n, there = false) {
    const address = `#${encodeURIComponent(tracks[n].id)}`;
    if (location.hash !== address) history.pushState(null, "", address);
    show(n);
    if (there) map.focus(tracks[n].id);
    play(n);
  }

  function leave() {
    silent();
    map.highlight([]);
  }

  function fromAddress() {
    const n = number.get(decoded(location.hash.slice(1)));
    if (n === undefined || n === picked) return;
    silent();
    show(n);
    map.focus(tracks[n].id);
  }

  function decoded(text) {
    try { return decodeURIComponent(text); } catch { return ""; }
  }

  // finding by words

  function search() {
    const words = plain(find.value).split(/\s+/).filter(Boolean);
    const all = words.length ? texts.flatMap((text, n) => words.every((word) => text.includes(word)) ? [n] : []) : [];
    const first = (n) => plain(tracks[n].title).includes(words.join(" ")) ? 0 : 1; // titles before artists
    const hits = all.sort((a, b) => first(a) - first(b));
    found.hidden = !words.length;
    const more = hits.length > FOUND ? `and ${hits.length - FOUND} more` : hits.length ? "" : "Nothing is called so.";
    found.replaceChildren(...hits.slice(0, FOUND).map(hit));
    if (more) found.append(Object.assign(document.createElement("li"), { textContent: more }));
    if (words.length) map.highlight(hits.slice(0, FOUND).map((n) => tracks[n].id));
    else if (picked !== null) show(picked);
    else map.highlight([]);
  }

  function hit(n) {
    const item = document.createElement("li");
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.append(Object.assign(document.createElement("bdi"), { textContent: named(tracks[n]) }), " ");
    button.append(Object.assign(document.createElement("small"), { textContent: tracks[n].artist }));
    button.addEventListener("click", () => { close(); go(n, true); });
    item.append(button);
    return item;
  }

  function close() {
    find.value = "";
    found.hidden = true;
  }

  find.addEventListener("input", search);
  document.querySelector(".find").addEventListener("keydown", (event) => {
    const buttons = [...found.querySelectorAll("button")], at = buttons.indexOf(document.activeElement);
    const way = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") { close(); search(); find.focus(); }
    if (event.key === "Enter" && event.target === find) buttons[0]?.click();
    if (!way) return;
    event.preventDefault();
    (buttons[at + way] ?? find).focus();
  });
  document.addEventListener("pointerdown", (event) => { if (!event.target.closest(".find")) found.hidden = true; });
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select, button, audio") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") find.focus();
    else if (event.key === " " && picked !== null) toggle();
    else return;
    event.preventDefault();
  });

  const [points, names] = groups();
  const map = crossmodalMap(document.getElementById("map"), {
    points, groups: names, onpick: (point) => go(number.get(point.id)), onleave: leave,
  });
  choice?.addEventListener("change", () => map.redraw(...groups()));
  addEventListener("popstate", fromAddress);
  fromAddress();
})();
