// The list of answers.

import { $, bdi, clock, make, nameOf, spoken, stretch } from "./dom.js";
import { setPlaying } from "./player.js";
import * as waveform from "./waveform.js";

const TAGS = 8; // shown in a row; details have all
const PLACES = 3; // of a score

export class Results {
  // acts: { like(hit), plus(hit), minus(hit), narrow(column, value) }; columns: those that can be filtered by a value
  constructor(list, player, acts) {
    Object.assign(this, { list, player, acts, columns: new Map(), rows: [] });
    list.addEventListener("click", (event) => this.click(event));
    this.seen = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) this.hear(this.rowOf(entry.target));
    }, { rootMargin: "200px" });
    this.sized = new ResizeObserver((entries) => { for (const entry of entries) this.paint(this.rowOf(entry.target.closest(".hit"))); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rows.forEach((row) => this.paint(row)));
  }

  show(hits) {
    this.seen.disconnect();
    this.sized.disconnect();
    this.rows = hits.map((hit) => this.make(hit));
    this.list.removeAttribute("aria-hidden");
    this.list.replaceChildren(...this.rows.map((row) => row.item));
    for (const { item } of this.rows) {
      this.seen.observe(item);
      this.sized.observe($("canvas", item));
    }
    this.follow();
  }

  wait() { // as many grey rows as fit
    this.show([]);
    this.list.setAttribute("aria-hidden", "true");
    this.list.append(...Array.from({ length: 5 }, () => make("li", { className: "hit ghost" })));
  }

  rowOf(item) { return this.rows.find((row) => row.item === item); }
  rowWith(element) { return this.rowOf(element.closest?.(".hit")); }

  make(hit) {
    const item = $("#hit").content.firstElementChild.cloneNode(true);
    $(".rank", item).textContent = hit.rank;
    $(".title", item).textContent = nameOf(hit);
    $(".by", item).append(...this.credits(hit));
    $(".score b", item).textContent = hit.score.toFixed(2);
    $(".score i", item).style.width = `${Math.min(Math.max(hit.score, 0), 1) * 100}%`;
    $(".when", item).textContent = stretch(hit.start, hit.end);
    $(".tags", item).append(...this.tags(hit));
    setPlaying($(".play", item), false, `${nameOf(hit)} from ${clock(hit.start)}`);
    return { hit, item, sound: null };
  }

  credits(hit) {
    const named = ["artist", "album"].filter((column) => hit[column]).map((column) => this.value(column, hit[column]));
    const parts = hit.duration ? [...named, clock(hit.duration)] : named;
    return parts.flatMap((part, n) => (n ? [" · ", part] : [part]));
  }

  // a value that filters when it is pressed, where that is possible
  value(column, value) {
    if (!this.columns.has(column)) return bdi(spoken(value));
    const button = make("button", { type: "button", className: "value", title: `Only ${spoken(column)}: ${spoken(value)}` }, bdi(spoken(value)));
    button.addEventListener("click", () => this.acts.narrow(column, String(value)));
    return button;
  }

  tags(hit) {
    const tells = (column) => column.startsWith("tag") || (this.columns.get(column)?.type === "choice" && this.columns.get(column).values?.length > 1);
    const told = Object.entries(hit.metadata).filter(([column, value]) => value && tells(column) && column !== "languages");
    return told.flatMap(([column, value]) => [value].flat().map((one) => this.value(column, one))).slice(0, TAGS);
  }

  facts({ item, hit }) {
    const list = $(".facts", item);
    if (list.childElementCount) return;
    const first = { id: hit.track_id, score: hit.score.toFixed(PLACES), matches: stretch(hit.start, hit.end) };
    const rows = { ...first, ...hit.metadata };
    for (const [column, value] of Object.entries(rows)) {
      const values = [value].flat().filter((one) => one !== null && one !== "" && typeof one !== "object");
      if (!values.length) continue;
      const shown = values.flatMap((one, n) => [n ? ", " : "", column in first ? bdi(String(one)) : this.value(column, one)]);
      list.append(make("div", {}, make("dt", {}, bdi(spoken(column))), make("dd", {}, ...shown)));
    }
  }

  click(event) {
    const row = this.rowWith(event.target);
    if (!row) return;
    const act = event.target.closest("[data-act]")?.dataset.act;
    const canvas = $("canvas", row.item);
    if (act === "play") this.play(row);
    else if (act === "facts") this.unfold(row);
    else if (act) this.acts[act](row.hit);
    else if (event.target === canvas && row.sound) this.player.play(row.hit, waveform.secondAt(canvas, event, row.sound.duration));
  }

  play({ hit }) {
    if (this.player.plays(hit.track_id)) this.player.toggle();
    else this.player.play(hit);
  }

  unfold(row) {
    const list = $(".facts", row.item);
    this.facts(row);
    list.hidden = !list.hidden;
    $(".fold", row.item).setAttribute("aria-expanded", String(!list.hidden));
  }

  async hear(row) {
    if (!row || row.asked || this.player.silent) return;
    row.asked = true;
    this.seen.unobserve(row.item);
    try {
      row.sound = await waveform.peaks(row.hit.track_id);
      this.paint(row);
    } catch (error) {
      if (error.status === 404) $(".wave", row.item).replaceChildren(make("span", { className: "soft", textContent: "Its sound is not there." }));
    }
  }

  paint(row) {
    if (!row?.sound) return;
    const { start, end, track_id: id } = row.hit;
    const canvas = $("canvas", row.item);
    if (canvas) waveform.draw(canvas, row.sound, { start, end, time: this.player.plays(id) ? this.player.time : null });
  }

  // what the player does, shown in the row that it is about
  follow() {
    for (const row of this.rows) {
      const current = this.player.plays(row.hit.track_id);
      if (current || row.current) {
        row.item.classList.toggle("current", current);
        setPlaying($(".play", row.item), current && this.player.playing, `${nameOf(row.hit)} from ${clock(row.hit.start)}`);
        this.paint(row);
      }
      row.current = current;
    }
  }

  // the focus goes to the row after (1), before (-1), or to the first
  step(from, way) {
    const at = from ? this.rows.indexOf(from) + way : 0;
    $(".play", this.rows[at]?.item ?? document)?.focus();
    return at >= 0;
  }
}
