// One sound at a time: the audio element, and the bar at the bottom that shows what plays.

import * as api from "./api.js";
import { $, clock, icon, nameOf } from "./dom.js";
import * as waveform from "./waveform.js";

const JUMP = 5; // seconds, by an arrow key

export class Player {
  // acts: { like(track), place(track) }; changed() is called whenever something else is shown than before
  constructor(bar, acts, changed) {
    Object.assign(this, { bar, acts, changed, audio: $("audio", bar), track: null, wanted: 0, sound: null, trouble: "", silent: false, frame: 0 });
    const { audio } = this;
    for (const event of ["play", "pause", "ended", "seeked"]) audio.addEventListener(event, () => this.show());
    audio.addEventListener("loadedmetadata", () => { if (this.wanted) audio.currentTime = this.wanted; });
    audio.addEventListener("playing", () => { this.frame ||= requestAnimationFrame(() => this.follow()); });
    audio.addEventListener("error", () => this.explain());
    this.canvas = $("canvas", bar);
    this.canvas.addEventListener("pointerdown", (event) => this.drag(event));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.show()).observe(this.canvas);
    $(".play", bar).addEventListener("click", () => this.toggle());
    bar.addEventListener("click", (event) => {
      const act = event.target.closest("[data-act]")?.dataset.act;
      if (act === "close") this.close();
      else if (act) this.acts[act](this.track);
    });
    this.announce();
  }

  get playing() { return Boolean(this.track) && !this.audio.paused && !this.audio.ended; }
  get duration() { return this.sound?.duration || this.audio.duration || this.track?.duration || 0; }
  get time() { return this.audio.readyState ? this.audio.currentTime : this.wanted; }
  plays(id) { return this.track?.track_id === id; }

  // track: { track_id, title, artist, duration, start, end }; the last two, of what matched, may be null
  play(track, at = track.start ?? 0) {
    const same = this.plays(track.track_id) && !this.trouble;
    Object.assign(this, { track, wanted: at, trouble: "" });
    if (!same) this.load();
    else if (this.audio.readyState) this.audio.currentTime = at;
    this.start();
  }

  load() {
    const id = this.track.track_id;
    this.sound = null;
    if (this.silent) return;
    this.audio.src = api.audioUrl(id);
    waveform.peaks(id).then((sound) => { if (this.plays(id)) { this.sound = sound; this.show(); } }, () => {});
    if ("mediaSession" in navigator) {
      navigator.mediaSession.metadata = new MediaMetadata({ title: nameOf(this.track), artist: this.track.artist ?? "" });
    }
  }

  start() {
    if (!this.silent) this.audio.play().catch(() => {}); // the error event tells what went wrong
    this.show();
  }

  toggle() {
    if (!this.track || this.silent) return;
    if (this.trouble || this.audio.ended) this.play(this.track);
    else if (this.playing) this.audio.pause();
    else this.start();
  }

  seek(second) {
    this.wanted = Math.min(Math.max(second, 0), this.duration);
    if (this.audio.readyState) this.audio.currentTime = this.wanted;
    this.show();
  }

  jump(sign) { this.seek(this.time + sign * JUMP); }

  close() {
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
    Object.assign(this, { track: null, sound: null, trouble: "" });
    this.show();
  }

  async explain() {
    if (!this.track || !this.audio.hasAttribute("src")) return;
    const { track } = this;
    let said = `The sound of “${nameOf(track)}” cannot be played here.`;
    try {
      await api.hasAudio(track.track_id);
    } catch (error) {
      said = error.status === 404 ? `The sound of “${nameOf(track)}” is not there.` : error.message;
    }
    if (this.track !== track) return;
    this.trouble = said;
    this.show();
  }

  follow() { // while it plays, the line moves with every frame
    this.frame = this.playing ? requestAnimationFrame(() => this.follow()) : 0;
    this.show();
  }

  show() {
    const { bar, track } = this;
    bar.hidden = !track;
    document.body.classList.toggle("plays", Boolean(track));
    if (track) this.fill(track);
    this.changed();
  }

  fill(track) {
    const [time, duration] = [this.time, this.duration];
    setText($(".title", this.bar), nameOf(track));
    setText($(".by", this.bar), track.artist ?? "");
    setText($(".trouble", this.bar), this.trouble);
    setText($(".time", this.bar), duration && !this.silent ? `${clock(time)} / ${clock(duration)}` : "");
    setPlaying($(".play", this.bar), this.playing, "");
    const shown = { "aria-valuemax": Math.round(duration), "aria-valuenow": Math.round(time), "aria-valuetext": `${clock(time)} of ${clock(duration)}` };
    for (const [name, value] of Object.entries(shown)) this.canvas.setAttribute(name, value);
    const sound = this.sound ?? { duration: duration || 1, peaks: [0] };
    waveform.draw(this.canvas, sound, { start: track.start ?? null, end: track.end ?? null, time });
  }

  drag(event) {
    const to = (moved) => this.seek(waveform.secondAt(this.canvas, moved, this.duration));
    this.canvas.setPointerCapture(event.pointerId);
    this.canvas.addEventListener("pointermove", to);
    this.canvas.addEventListener("pointerup", () => this.canvas.removeEventListener("pointermove", to), { once: true });
    to(event);
  }

  key(event) {
    const moves = { ArrowRight: this.time + JUMP, ArrowUp: this.time + JUMP, ArrowLeft: this.time - JUMP, ArrowDown: this.time - JUMP, Home: 0, End: this.duration };
    if (event.key in moves) this.seek(moves[event.key]);
    else if (event.key === " " || event.key === "Enter") this.toggle();
    else return;
    event.preventDefault();
  }

  announce() { // keys of the keyboard and of headphones
    if (!("mediaSession" in navigator)) return;
    navigator.mediaSession.setActionHandler("play", () => this.start());
    navigator.mediaSession.setActionHandler("pause", () => this.audio.pause());
  }
}

export function setPlaying(button, playing, name) {
  const label = `${playing ? "Pause" : "Play"}${name && ` ${name}`}`;
  if (button.getAttribute("aria-label") === label) return;
  button.setAttribute("aria-label", label);
  button.replaceChildren(icon(playing ? "pause" : "play"));
}

function setText(element, text) { // only if it changes, or readers of the screen would say it again
  if (element.textContent !== text) element.textContent = text;
}
