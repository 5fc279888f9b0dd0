// The filters that the catalogue's columns allow, and the chips of those in use.

import { $, bdi, icon, make, number, spoken } from "./dom.js";
import { bounded, K, toggled } from "./state.js";

const FEW = 8; // values of a column that are shown at once
const ARTISTS = [1, 2, 3, 5];
const MATCHES = { max: "its best stretch", mean: "all of it", late: "stretch by stretch" };

export class Filters {
  // change(patch): another state is asked for
  constructor(form, chips, change) {
    Object.assign(this, { form, chips, change, columns: [], state: null, open: new Set() });
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  show({ columns, tracks }, state) {
    Object.assign(this, { columns, tracks, state });
    const focused = document.activeElement?.dataset?.key;
    this.form.replaceChildren(...columns.filter((column) => tells(column, tracks)).map((column) => this.group(column)), this.more());
    this.chips.replaceChildren(...this.active());
    if (focused) this.form.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  group(column) {
    const legend = make("legend", {}, bdi(spoken(column.name)));
    return make("fieldset", {}, legend, column.type === "choice" ? this.choice(column) : this.range(column));
  }

  choice({ name, values }) {
    const chosen = this.state.is[name] ?? [];
    const all = this.open.has(name) || values.length <= FEW + 1;
    const shown = values.filter(([value], n) => all || n < FEW || chosen.includes(value));
    const box = make("div", { className: "choices" }, ...shown.map(([value, count]) => this.pill(name, value, count, chosen.includes(value))));
    if (shown.length < values.length) {
      const button = make("button", { type: "button", className: "link", textContent: `${values.length - shown.length} more` });
      button.addEventListener("click", () => { this.open.add(name); this.show(this, this.state); });
      box.append(button);
    }
    return box;
  }

  pill(column, value, count, checked) {
    const box = make("input", { type: "checkbox", checked });
    box.dataset.key = `${column}=${value}`;
    box.addEventListener("change", () => this.change(toggled(this.state, column, value)));
    return make("label", { className: "pill" }, box, make("span", {}, bdi(spoken(value)), make("small", { textContent: ` ${number(count)}` })));
  }

  range({ name, min, max }) {
    const end = (kind, placeholder, label) => {
      const box = make("input", { type: "number", step: "any", placeholder: tidy(placeholder), value: this.state[kind][name] ?? "" });
      box.setAttribute("aria-label", `${spoken(name)}: ${label}`);
      box.dataset.key = `${kind}.${name}`;
      box.addEventListener("change", () => {
        if (!box.reportValidity()) return;
        this.change(bounded(this.state, kind, name, box.value === "" ? null : Number(box.value)));
      });
      return box;
    };
    return make("div", { className: "range" }, end("least", min, "at least"), make("span", { textContent: "to" }), end("most", max, "at most"));
  }

  more() {
    const { artist, match, copies } = this.state;
    const limits = [["", "any number"], ...ARTISTS.map((n) => [n, `at most ${n}`])];
    const pick = (key, label, options, value, read) => {
      const select = make("select", {}, ...options.map(([given, text]) => make("option", { value: given, textContent: text })));
      select.value = String(value ?? "");
      select.dataset.key = key;
      select.addEventListener("change", () => this.change({ [key]: read(select.value), k: K }));
      return make("label", { className: "row" }, label, select);
    };
    const own = make("input", { type: "checkbox", checked: copies });
    own.dataset.key = "copies";
    own.addEventListener("change", () => this.change({ copies: own.checked, k: K }));
    return make(
      "fieldset", {}, make("legend", { textContent: "answers" }),
      pick("artist", "Of an artist", limits, artist, (value) => Number(value) || null),
      pick("match", "Judged by", Object.entries(MATCHES), match, (value) => value),
      make("label", { className: "row" }, "Also the query’s own sound", own),
    );
  }

  active() {
    const { is, least, most, artist, match, copies } = this.state;
    const chip = (text, patch) => {
      const button = make("button", { type: "button", className: "chip", title: "Remove this filter" }, bdi(text), icon("cross"));
      button.addEventListener("click", () => this.change(patch));
      return make("li", {}, button);
    };
    return [
      ...Object.entries(is).flatMap(([column, values]) => values.map((value) => chip(`${spoken(column)}: ${spoken(value)}`, toggled(this.state, column, value)))),
      ...Object.entries(least).map(([column, value]) => chip(`${spoken(column)} ≥ ${tidy(value)}`, bounded(this.state, "least", column, null))),
      ...Object.entries(most).map(([column, value]) => chip(`${spoken(column)} ≤ ${tidy(value)}`, bounded(this.state, "most", column, null))),
      ...(artist ? [chip(`at most ${artist} of an artist`, { artist: null, k: K })] : []),
      ...(match !== "max" ? [chip(`judged by ${MATCHES[match]}`, { match: "max", k: K })] : []),
      ...(copies ? [chip("with the sound itself", { copies: false, k: K })] : []),
    ];
  }

  toggle(wanted = this.form.hidden) {
    this.form.hidden = !wanted;
    $("#narrow").setAttribute("aria-expanded", String(wanted));
    if (wanted) $("input, select, button", this.form)?.focus();
  }
}

// whether a filter on a column leaves something out, and more than one track in
function tells({ type, values, min, max }, tracks) {
  return (type === "choice" && values?.some(([, count]) => count > 1 && count < tracks)) || (type === "number" && min < max);
}

const tidy = (value) => String(Math.round(Number(value) * 1000) / 1000);
