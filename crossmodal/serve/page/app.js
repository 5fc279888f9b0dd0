// The page: what is asked goes into the address, and what the address says is shown.

import * as api from "./api.js";
import { Atlas } from "./atlas.js";
import { $, bdi, counted, icon, make, nameOf, number, seconds, spoken, stretch } from "./dom.js";
import { enter } from "./door.js";
import { Filters } from "./filters.js";
import { listen } from "./keys.js";
import { Player } from "./player.js";
import { Results } from "./results.js";
import * as states from "./state.js";

const COLOURS = [/genre|instrument/, /^tags/, /./]; // which column colours the map first
const MANY = 50; // values, by which no map is coloured
const box = $("#box"), status = $("#status"), notice = $("#notice"), atlasBox = $("#atlas");
const sounds = new Map(); // dropped files by name
const names = new Map(); // of tracks, by id
let info = null, state = states.read(location.hash), answer = null, running = null;

const player = new Player($("#player"), { like, place }, () => results?.follow());
const results = new Results($("#hits"), player, {
  like, plus: (hit) => weigh(hit, true), minus: (hit) => weigh(hit, false),
  narrow: (column, value) => anew({ is: { ...state.is, [column]: [value] } }),
});
const filters = new Filters($("#filters"), $("#active"), go);
const atlas = new Atlas(atlasBox, { pick, colour: (colour) => go({ colour }) });

// from state to state

function go(patch, replace = false) {
  const text = box.value.trim();
  state = { ...state, ...(text === state.text ? {} : { text, plain: false }), ...patch };
  const hash = states.write(state), same = hash === states.write(states.read(location.hash));
  history[replace || same ? "replaceState" : "pushState"](null, "", hash ? `#${hash}` : location.pathname + location.search);
  run();
}

function anew(patch) { // from within the answers, which will be others: the focus must not go with them
  if ($("#hits").contains(document.activeElement)) $("#results").focus();
  go({ ...patch, k: states.K });
  scrollTo({ top: 0 });
}

function follow() { // back, forward, a link
  state = states.read(location.hash);
  box.value = state.text;
  run();
}

function like(hit) {
  name(hit);
  box.value = "";
  const track = { id: hit.track_id, start: hit.start ?? null, end: hit.end ?? null, wanted: true };
  anew({ sound: "", from: "", to: "", tracks: [track] });
}

function weigh(hit, wanted) {
  name(hit);
  const others = state.tracks.filter((one) => one.id !== hit.track_id);
  const track = { id: hit.track_id, start: hit.start, end: hit.end, wanted };
  anew({ tracks: [...others, track] });
}

function clear() {
  box.value = "";
  go({ ...states.blank(), colour: state.colour, view: state.view });
}

function ask() {
  const fields = [$("#from"), $("#to")];
  if (!fields.every(readable)) return;
  const [from, to] = fields.map((field) => field.value.trim());
  answer = null; // the same may be asked again
  go({ from, to, plain: false, k: states.K });
}

function readable(field) {
  field.setCustomValidity(Number.isNaN(seconds(field.value)) ? "Seconds or m:ss, such as 90 or 1:30" : "");
  return field.reportValidity();
}

function drop(file) {
  const { upload_bytes: most } = info?.limits ?? {};
  if (most && file.size > most) return tell(`${file.name} has ${megabytes(file.size)}; at most ${megabytes(most)} can be searched with.`);
  sounds.set(file.name, file);
  answer = null;
  go({ sound: file.name, from: "", to: "", tracks: [], k: states.K });
}

const megabytes = (bytes) => `${number(Math.round(bytes / 1e5) / 10)} MB`;

// asking the server

async function run() {
  show();
  const question = states.question(state);
  if (!info || answer === question) return;
  running?.abort();
  running = null;
  if (!states.asks(state)) return finish(question, null);
  if (state.sound && !sounds.has(state.sound)) {
    finish(question, []);
    return tell(`“${state.sound}” was not kept: sounds do not leave with an address. Drop it again, or search without it.`, ["Without it", () => go({ sound: "", from: "", to: "" })]);
  }
  const mine = running = new AbortController();
  wait(true);
  try {
    const found = await send(mine.signal);
    if (mine === running) finish(question, found.hits, found);
  } catch (error) {
    if (mine === running) fail(question, error);
  }
}

function send(signal) {
  const wishes = states.wishes(state);
  if (!state.sound) return api.search(wishes, signal);
  return api.searchWith(sounds.get(state.sound), wishes, signal, (share) => {
    $("#busy").style.setProperty("--share", share);
    document.body.classList.toggle("uploads", share < 1);
    status.textContent = share < 1 ? `Sending the sound: ${Math.round(share * 100)} %` : "Listening…";
  });
}

function wait(on) {
  document.body.classList.toggle("waits", on);
  if (!on) return document.body.classList.remove("uploads");
  notice.replaceChildren();
  status.textContent = "Searching…";
  $("#results").setAttribute("aria-busy", "true");
  if (!results.rows.length) results.wait();
}

function finish(question, hits, { seconds: took, left_out: left = [] } = {}) {
  answer = question;
  wait(false);
  notice.replaceChildren();
  $("#results").setAttribute("aria-busy", "false");
  hits?.forEach(name);
  results.show(hits ?? []);
  atlas.highlight((hits ?? []).map((hit) => hit.track_id), state.tracks.length === 1 ? state.tracks[0].id : null);
  status.replaceChildren(...(took === undefined ? [] : [`${counted(hits.length, "track")} in ${number(Math.max(1, Math.round(took * 1000)))} ms`]));
  $("#further").hidden = !hits || hits.length < state.k || state.k >= (info.limits?.k ?? 100);
  if (left.length) {
    const button = make("button", { type: "button", className: "link", textContent: "Show" });
    button.addEventListener("click", () => go({ copies: true }));
    status.append(` · the sound itself${left.length > 1 ? ` and ${counted(left.length - 1, "copy").replace("copys", "copies")}` : ""} left out `, button);
  }
  if (took !== undefined && !hits.length) empty();
}

function empty() {
  status.textContent = "0 tracks";
  if (states.filtered(state)) tell("Nothing meets the filters.", ["Clear the filters", () => go(states.unfiltered(state))], "calm");
  else tell("Nothing was found: the catalogue holds no other track.", null, "calm");
}

function fail(question, error) {
  finish(question, []);
  answer = null; // the same may be asked again
  const asPlain = error.status === 422 && state.text && !state.plain && !state.tracks.length && !state.sound;
  tell(error.message, asPlain ? ["Search for these very words", () => go({ plain: true })] : ["Try again", () => run()]);
  status.textContent = "";
}

function tell(text, act = null, mood = "") {
  const said = make("p", { dir: "auto", textContent: text });
  notice.className = mood;
  notice.replaceChildren(said);
  if (!act) return;
  const button = make("button", { type: "button", className: "tool", textContent: act[0] });
  button.addEventListener("click", act[1]);
  notice.append(button);
}

// showing the state

function show() {
  const asked = states.asks(state), body = document.body.classList;
  body.toggle("home", !asked);
  body.toggle("wander", asked && state.view === "map");
  $("#results").hidden = !asked || state.view === "map";
  $(".tools").hidden = !asked;
  if (!asked) filters.toggle(false);
  for (const button of document.querySelectorAll("[data-view]")) button.setAttribute("aria-pressed", String(button.dataset.view === state.view));
  $("#narrowed").textContent = states.filtered(state) || "";
  showSounds();
  if (info) {
    filters.show(info, state);
    showMap();
  }
  const said = [state.text, state.sound, ...state.tracks.map(titleOf)].filter(Boolean).join(" + ");
  document.title = [said, info?.name ?? "crossmodal"].filter(Boolean).join(" – ");
}

function showSounds() {
  const without = (track) => ({ tracks: state.tracks.filter((one) => one !== track) });
  const pills = state.tracks.map((track) => pill(
    track.wanted ? "sound" : "minus", `${track.wanted ? "Like" : "Not like"} ${titleOf(track)}`,
    track.end === null ? "" : stretch(track.start, track.end), () => go(without(track)),
  ));
  if (state.sound) pills.unshift(pill("sound", state.sound, "", () => go({ sound: "", from: "", to: "" })));
  $("#pills").replaceChildren(...pills);
  $("#pills").hidden = !pills.length;
  $("#stretch").hidden = !state.sound;
  [$("#from").value, $("#to").value] = [state.from, state.to];
  box.placeholder = pills.length ? "Add words: +slower -drums" : "A sad violin, slow …";
}

function pill(kind, text, times, remove) { // kind: sound or minus
  const button = make("button", { type: "button", className: "icon" }, icon("cross"));
  button.setAttribute("aria-label", `Remove ${text}`);
  button.addEventListener("click", () => { remove(); box.focus(); });
  return make("li", { className: kind }, icon(kind), bdi(text), make("small", { textContent: times }), button);
}

function titleOf({ id }) {
  if (!names.has(id) && info) { // of a link that was followed
    names.set(id, id);
    api.track(id).then((track) => { name(track); show(); }, () => {});
  }
  return names.get(id) ?? id;
}

const name = (track) => names.set(track.track_id, nameOf(track));

async function showMap() {
  atlasBox.hidden = false; // it is shown beside the list where there is room, which the style sheet says
  if (!atlasBox.offsetParent) return;
  const choices = info.columns.filter(({ type, values }) => type === "choice" && values?.length > 1 && values.length < MANY);
  const first = COLOURS.map((wanted) => choices.find((column) => wanted.test(column.name))).find(Boolean);
  try {
    atlasBox.hidden = !await atlas.show(state.colour || first?.name || "");
  } catch (error) {
    if (error.status === 422 && state.colour) return go({ colour: "" }, true); // a link to what is no more
    if (!(error instanceof api.ApiError)) throw error; // any other is said in the map's place
  }
}

// a point of the map
function pick(point) {
  const row = results.rows.find(({ hit }) => hit.track_id === point.id);
  player.play(row?.hit ?? { track_id: point.id, title: point.title, artist: point.artist, start: null, end: null }, row?.hit.start ?? 0);
  row?.item.scrollIntoView({ block: "nearest" });
}

function place(track) {
  if (!atlasBox.offsetParent) go({ view: "map" });
  atlasBox.scrollIntoView({ block: "nearest" });
  showMap().then(() => { if (!atlas.focus(track.track_id)) $("#mapped").textContent = `“${nameOf(track)}” is not on it`; });
}

// the beginning

async function start() {
  notice.replaceChildren();
  try {
    info = await api.info();
  } catch (error) {
    results.show([]);
    wait(false);
    status.textContent = "";
    return tell(error.message, ["Try again", start]);
  }
  results.columns = new Map(info.columns.filter(({ type }) => type !== "number").map((column) => [column.name, column]));
  player.silent = info.audio === false;
  document.body.classList.toggle("silent", player.silent);
  $("#name").textContent = info.name || "crossmodal";
  $("#size").textContent = counted(info.tracks, "track");
  $("#lead").textContent = `Say it in your own words${spokenIn(info.languages)}, or drop a sound.`;
  const recall = info.recall === null || info.recall === undefined ? "" : `, recall ${info.recall.toFixed(2)}`;
  $("#facts").textContent = `crossmodal ${info.version} · ${counted(info.tracks, "track")} in ${counted(info.segments, "segment")} · index ${info.kind}${recall}`;
  if (info.limits?.query_chars) box.maxLength = info.limits.query_chars;
  $("#examples").replaceChildren(...info.examples.map(example));
  follow();
}

function spokenIn(languages) {
  if (!languages?.length) return "";
  const said = new Intl.DisplayNames("en", { type: "language", fallback: "code" });
  const some = languages.slice(0, 6).map((code) => { try { return said.of(code); } catch { return code; } });
  return ` (${new Intl.ListFormat("en", { type: "disjunction" }).format(languages.length > 6 ? [...some, "others"] : some)})`;
}

function example(text) {
  const button = make("button", { type: "button", className: "chip" }, bdi(text));
  button.addEventListener("click", () => { box.value = text; ask(); });
  return make("li", {}, button);
}

api.on({ token: enter, busy: (text, pause) => { status.textContent = `${text}; asking again in ${Math.round(pause)} s …`; } });
listen({
  ask, drop, clear, like, weigh, player, results, filters,
  turn: () => { if (states.asks(state)) go({ view: state.view === "map" ? "list" : "map" }); },
  see: (view) => go({ view }), further: () => go({ k: Math.min(state.k + 10, info.limits?.k ?? 100) }, true),
  isAsked: () => states.asks(state), last: () => go({ tracks: state.tracks.slice(0, -1) }), tracks: () => state.tracks.length,
});
addEventListener("popstate", follow);
addEventListener("hashchange", () => { if (states.write(state) !== states.write(states.read(location.hash))) follow(); });
matchMedia("(min-width: 64rem)").addEventListener("change", () => { if (info) showMap(); });
box.value = state.text;
show();
if (states.asks(state)) wait(true);
start();
