// Small things that every other file uses. What comes from the server is only ever written as text.

export const $ = (selector, root = document) => root.querySelector(selector);

export function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// text of any direction, kept apart from what stands beside it
export const bdi = (text) => make("bdi", { textContent: text });

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

// m:ss, or h:mm:ss
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds + 1e-6));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

export const stretch = (start, end) => `${clock(start)}–${clock(end)}`;

// seconds of "90", "1:30" or "1:02:03.5"; null of nothing, NaN of what is none
export function seconds(text) {
  if (!text.trim()) return null;
  if (!/^(?:(?:\d+:)?\d+:)?\d+(?:\.\d+)?$/.test(text.trim())) return NaN;
  return text.trim().split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
}

const numbers = new Intl.NumberFormat("en");
export const number = (value) => numbers.format(value);
export const counted = (n, word) => `${number(n)} ${word}${n === 1 ? "" : "s"}`;

// of a column or a value, as people say it: tags.long_notes is "long notes"
export const spoken = (name) => String(name).replace(/^tags\./, "").replaceAll("_", " ");

export const nameOf = (track) => track.title || track.track_id;
