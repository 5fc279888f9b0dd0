// Waveforms: fetched once each, a few at a time, and drawn with the stretch that matched and what has been played.

import * as api from "./api.js";

const [STEP, BAR] = [3, 2]; // pixels from bar to bar, and of one
const AT_ONCE = 4;
const KEPT = 400;
const known = new Map(); // id -> promise of { duration, peaks }
const queue = [];
let busy = 0;

export function peaks(id) {
  if (!known.has(id)) {
    const found = new Promise((done, fail) => { queue.push({ id, done, fail }); });
    found.catch(() => known.delete(id)); // it may be there the next time
    known.set(id, found);
    if (known.size > KEPT) known.delete(known.keys().next().value);
    next();
  }
  return known.get(id);
}

function next() {
  if (busy >= AT_ONCE || !queue.length) return;
  const { id, done, fail } = queue.shift();
  busy += 1;
  api.waveform(id).then(done, fail).finally(() => { busy -= 1; next(); });
}

// sound: what peaks() gave; shown: { start, end, time }, each may be null
export function draw(canvas, sound, { start = null, end = null, time = null } = {}) {
  const [width, height, dense] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio || 1];
  if (!width || !height) return;
  [canvas.width, canvas.height] = [Math.round(width * dense), Math.round(height * dense)];
  const context = canvas.getContext("2d"), style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(name).trim();
  const [quiet, match, played, band] = ["--wave", "--accent", "--ink", "--band"].map(colour);
  const place = (second) => (second / sound.duration) * width;
  context.scale(dense, dense);
  if (end !== null) {
    context.fillStyle = band;
    context.beginPath();
    context.roundRect(place(start), 0, Math.max(place(Math.min(end, sound.duration)) - place(start), 2), height, 4);
    context.fill();
  }
  const bars = Math.max(1, Math.floor(width / STEP)), loudest = Math.max(...sound.peaks, 1e-3);
  for (let bar = 0; bar < bars; bar += 1) {
    const second = ((bar + 0.5) / bars) * sound.duration;
    const tall = Math.max((loudestOf(sound.peaks, bar, bars) / loudest) * (height - 6), 1.5);
    const isMatch = end !== null && second >= start && second < end;
    context.fillStyle = time !== null && second <= time ? played : isMatch ? match : quiet;
    context.fillRect((bar / bars) * width, (height - tall) / 2, BAR, tall);
  }
  if (time !== null) {
    context.fillStyle = played;
    context.fillRect(Math.min(place(time), width - 1.5), 0, 1.5, height);
  }
}

function loudestOf(values, bar, bars) {
  const first = Math.floor((bar / bars) * values.length);
  const last = Math.max(Math.floor(((bar + 1) / bars) * values.length), first + 1);
  return Math.max(...values.slice(first, last));
}

// the second of a sound under the pointer
export function secondAt(canvas, event, duration) {
  const box = canvas.getBoundingClientRect();
  return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * duration;
}
