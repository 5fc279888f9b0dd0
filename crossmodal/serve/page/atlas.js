// The map of the catalogue: what map.js draws, with the server's points.

import * as api from "./api.js";
import { $, counted, make, number, spoken } from "./dom.js";

export class Atlas {
  // pick(point): a point was chosen; colour(column): another colour was
  constructor(section, { pick, colour }) {
    Object.assign(this, { section, pick, map: null, shown: null, hits: [], origin: null });
    this.choice = $("#colour", section);
    this.choice.addEventListener("change", () => colour(this.choice.value));
  }

  // draws the map, or colours it anew; false if there is none to draw
  async show(colour) {
    if (this.shown === colour) return true;
    if (typeof crossmodalMap !== "function") return false;
    this.shown = colour;
    $("#map").dataset.said = "Drawing the map …";
    try {
      const found = await api.map(colour);
      if (this.shown === colour) this.fill(found, colour);
      return true;
    } catch (error) {
      this.shown = null;
      $("#map").dataset.said = error.message;
      throw error;
    }
  }

  fill({ points, groups, columns, total }, colour) {
    this.choice.replaceChildren(...columns.map((name) => make("option", { value: name, textContent: spoken(name) })));
    if (colour) this.choice.value = colour;
    this.choice.closest("label").hidden = columns.length < 2;
    $("#mapped").textContent = points.length < total ? `${number(points.length)} of ${counted(total, "track")}` : counted(total, "track");
    if (this.map) this.map.redraw(points, groups);
    else this.map = crossmodalMap($("#map", this.section), { points, groups, onpick: this.pick });
    this.map.highlight(this.hits, this.origin);
  }

  highlight(ids, origin) {
    Object.assign(this, { hits: ids, origin });
    this.map?.highlight(ids, origin);
  }

  focus(id) { return this.map?.focus(id) ?? false; }
}
