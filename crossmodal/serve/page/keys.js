// What people press, click and drop.

import { $ } from "./dom.js";

export function listen(page) {
  const box = $("#box");
  $("#search").addEventListener("submit", (event) => { event.preventDefault(); page.ask(); });
  for (const name of ["from", "to"]) {
    $(`#${name}`).addEventListener("change", page.ask);
    $(`#${name}`).addEventListener("input", (event) => event.target.setCustomValidity(""));
  }
  $("#choose").addEventListener("click", () => $("#file").click());
  $("#file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    event.target.value = ""; // the same file may be chosen again
    if (file) page.drop(file);
  });
  $("#further").addEventListener("click", page.further);
  $("#narrow").addEventListener("click", () => page.filters.toggle());
  $("#keys").addEventListener("click", () => $("#help").showModal());
  $("#help").addEventListener("click", (event) => { if (event.target === event.currentTarget) event.target.close(); });
  $(".brand").addEventListener("click", (event) => { event.preventDefault(); page.clear(); });
  for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => page.see(button.dataset.view));
  box.addEventListener("keydown", (event) => {
    if (event.key === "Backspace" && !box.value && page.tracks()) page.last();
  });
  document.addEventListener("keydown", (event) => press(page, event));
  dropping(page);
}

function press(page, event) {
  const { target, key } = event;
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (document.querySelector("dialog[open]")) return;
  const typing = target.matches("input:not([type=checkbox]), select, textarea");
  const act = typing ? typed(page, target, key) : pressed(page, target, key);
  if (!act) return;
  event.preventDefault();
  act();
}

function typed(page, target, key) {
  if (key === "Escape") return target.id === "box" ? leave(page, target) : () => $("#box").focus();
  return key === "ArrowDown" && target.id === "box" && page.results.rows.length ? () => page.results.step(null, 1) : null;
}

function leave(page, box) { // what is typed goes first, then the search, then the focus
  if (page.isAsked() || box.value) return page.clear;
  return () => box.blur();
}

function pressed(page, target, key) {
  const { player, results, filters } = page;
  const row = results.rowWith(target), hit = row?.hit ?? player.track;
  const always = {
    "/": () => { $("#box").focus(); $("#box").select(); },
    "?": () => $("#help").showModal(),
    f: () => { if (page.isAsked()) filters.toggle(); },
    v: page.turn,
    m: hit && (() => page.like(hit)),
  };
  if (key in always) return always[key];
  if (target.closest(".map-plane")) return null;
  if (row) return inRow(page, row, key) ?? (key === "Escape" ? escape(page, target) : null);
  const nowhere = target === document.body || target.id === "results";
  if (key === "ArrowDown" && nowhere && results.rows.length) return () => results.step(null, 1);
  if (key === " " && player.track && nowhere) return () => player.toggle();
  return key === "Escape" ? escape(page, target) : null;
}

function inRow({ player, results, weigh }, row, key) {
  const here = player.plays(row.hit.track_id);
  const keys = {
    ArrowDown: () => results.step(row, 1),
    ArrowUp: () => { if (!results.step(row, -1)) $("#box").focus(); },
    ArrowRight: here && (() => player.jump(1)),
    ArrowLeft: here && (() => player.jump(-1)),
    "+": () => weigh(row.hit, true),
    "-": () => weigh(row.hit, false),
  };
  return keys[key] || null;
}

function escape(page, target) {
  if (target.closest("#filters")) return () => { page.filters.toggle(false); $("#narrow").focus(); };
  return () => { page.clear(); $("#box").focus(); };
}

function dropping(page) {
  const veil = $("#drop"), holdsFile = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0; // of elements that the file is over
  const over = (change) => (event) => {
    if (!holdsFile(event)) return;
    event.preventDefault();
    depth = Math.max(0, change(depth));
    veil.hidden = !depth;
  };
  addEventListener("dragenter", over((now) => now + 1));
  addEventListener("dragleave", over((now) => now - 1));
  addEventListener("dragover", over((now) => Math.max(now, 1)));
  addEventListener("drop", (event) => {
    over(() => 0)(event);
    const [file] = event.dataTransfer?.files ?? [];
    if (file) page.drop(file);
  });
  addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (file) page.drop(file);
  });
}
