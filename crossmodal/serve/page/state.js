// What is asked, as one plain object that lives in the address after the #, so that back, forward and sharing work.
//
//   text, plain       what stands in the box; plain: it is words, whatever it looks like
//   tracks            [{ id, start, end, wanted }]: like these, or not like them
//   sound, from, to   the name of a dropped file, which stays on this page, and its stretch as typed
//   is, least, most   { column: [values] }, { column: number }, { column: number }
//   artist, k, match, copies   as the API's per_artist, k, match, copies
//   view, colour      list or map; the column that colours the map

import { seconds } from "./dom.js";

export const K = 10;
const BLANK = {
  text: "", plain: false, tracks: [], sound: "", from: "", to: "", is: {}, least: {}, most: {}, artist: null, k: K,
  match: "max", copies: false, view: "list", colour: "",
};

export const blank = () => structuredClone(BLANK);
export const asks = (state) => Boolean(state.text.trim() || state.tracks.length || state.sound);
export const filtered = (state) => conditions(state).length + (state.artist ? 1 : 0);
export const unfiltered = (state) => ({ ...state, is: {}, least: {}, most: {}, artist: null, k: K });

const whole = (text) => (/^[1-9]\d{0,3}$/.test(text ?? "") ? Number(text) : null);

export function read(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, "")), state = blank();
  for (const [key, value] of given) {
    const [kind, column] = [key.slice(0, key.indexOf(".")), key.slice(key.indexOf(".") + 1)];
    if (kind === "is") (state.is[column] ??= []).push(value);
    else if ((kind === "least" || kind === "most") && value !== "" && Number.isFinite(Number(value))) state[kind][column] = Number(value);
    else if (key === "also" || key === "not") state.tracks.push(trackOf(value, key === "also"));
  }
  for (const key of ["sound", "from", "to", "colour"]) state[key] = given.get(key) ?? "";
  state.text = given.get("q") ?? "";
  state.plain = given.has("plain");
  state.copies = given.has("copies");
  state.artist = whole(given.get("artist"));
  state.k = whole(given.get("k")) ?? K;
  state.match = ["mean", "late"].includes(given.get("match")) ? given.get("match") : "max";
  state.view = given.get("view") === "map" ? "map" : "list";
  return state;
}

function trackOf(value, wanted) { // "4-8 id", or "- id" for all of it
  const at = value.indexOf(" "), [start, end] = value.slice(0, at).split("-");
  const times = start && end ? { start: Number(start), end: Number(end) } : { start: null, end: null };
  return { id: value.slice(at + 1), ...times, wanted };
}

export function write(state) {
  const said = new URLSearchParams();
  const put = (key, value) => { if (value) said.append(key, value); };
  put("q", state.text);
  put("plain", state.plain && "1");
  for (const one of state.tracks) put(one.wanted ? "also" : "not", `${one.start ?? ""}-${one.end ?? ""} ${one.id}`);
  for (const key of ["sound", "from", "to"]) put(key, state[key]);
  for (const [column, values] of Object.entries(state.is)) for (const value of values) said.append(`is.${column}`, value);
  for (const kind of ["least", "most"]) for (const [column, value] of Object.entries(state[kind])) put(`${kind}.${column}`, String(value));
  put("artist", state.artist);
  put("k", state.k !== K && state.k);
  put("match", state.match !== "max" && state.match);
  put("copies", state.copies && "1");
  put("view", state.view !== "list" && state.view);
  put("colour", state.colour);
  return said.toString();
}

// the same for all states that one answer serves
export const question = (state) => write({ ...state, view: "list", colour: "" });

// the body of /api/search
export function wishes(state) {
  const alone = !state.tracks.length && !state.sound;
  return {
    query: queryOf(state), k: state.k, where: conditions(state), per_artist: state.artist, match: state.match,
    copies: state.copies, plain: state.plain && alone,
    ...(state.sound ? { start: seconds(state.from), stop: seconds(state.to) } : {}),
  };
}

function queryOf(state) {
  return [state.text.trim(), ...state.tracks.map(partOf)].filter(Boolean).join(" ");
}

function partOf({ id, start, end, wanted }) { // quotes keep signs of the id from being read as the query's
  const name = id.includes('"') ? id : `"${id}"`;
  return `${wanted ? "+" : "-"}id:${name}${end === null ? "" : `@${start}-${end}`}`;
}

export function conditions(state) {
  const quoted = (value) => (value.includes('"') ? value : `"${value}"`);
  return [
    ...Object.entries(state.is).map(([column, values]) => `${column}=${values.map(quoted).join("|")}`),
    ...Object.entries(state.least).map(([column, value]) => `${column}>=${value}`),
    ...Object.entries(state.most).map(([column, value]) => `${column}<=${value}`),
  ];
}

// with a value of a column, or without it if it was there
export function toggled(state, column, value) {
  const had = state.is[column] ?? [];
  const values = had.includes(value) ? had.filter((other) => other !== value) : [...had, value];
  const { [column]: _, ...others } = state.is;
  return { is: values.length ? { ...others, [column]: values } : others, k: K };
}

// with the lowest or highest value of a column ("least", "most"), or none if that is null
export function bounded(state, kind, column, value) {
  const { [column]: _, ...others } = state[kind];
  return { [kind]: value === null ? others : { ...others, [column]: value }, k: K };
}
