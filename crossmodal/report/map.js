// A map of tracks to wander in. A plain script: it defines crossmodalMap and nothing else.
//
//   const map = crossmodalMap(element, { points, groups, onpick, onhover, onleave });
//
// points   [{ id, title, artist, x, y, group }]; x and y of any range; group a name, a list of names, or null
// groups   the names that get colours, the commonest first; each has an entry in the legend
// onpick   called with the point that a click, a tap or Enter picks
// onhover  called with the point under the pointer, or null
// onleave  called when Escape, or a click where no point is, lets go of what was picked
// map.highlight(ids, from)   hits, larger and with their ranks, the others faded; lines to them from the id `from`, if
//                            it is given; [] ends it
// map.focus(id)              selects a point and goes there; false if it is not on the map
// map.redraw(points, groups) other points or colours; the place, the selection and the hits stay
//
// Drag, wheel, pinch and the buttons move it. Keys: arrows go from point to point, with Shift they move the map; + and
// - zoom, 0 shows all, Enter picks, Escape lets go. Colours are the page's variables --c0 to --c9, --ink, --soft,
// --rule, --paper, --panel and --accent where it has them; --map-height is how high it may be.
"use strict";

globalThis.crossmodalMap = (() => {
  const COLOURS = 10;
  const REACH = { mouse: 14, touch: 24 }; // pixels around a point that belong to it
  const CLICK = 5; // pixels that a pointer may stray in a click
  const LARGEST = 50; // zoom
  const REST = [Symbol("several"), Symbol("none")]; // the points of several groups, and of none: no group's name
  const NAMED = 30; // as few points in sight are named
  const GLIDE = 420; // ms

  const STYLE = `
    .crossmodal-map {
      --map-0: var(--c0, #2f6fb5); --map-1: var(--c1, #d9731a); --map-2: var(--c2, #2e8b57);
      --map-3: var(--c3, #c23b55); --map-4: var(--c4, #7d5bb5); --map-5: var(--c5, #8a6142);
      --map-6: var(--c6, #d46fae); --map-7: var(--c7, #13919b); --map-8: var(--c8, #a08a10);
      --map-9: var(--c9, #3b3f9e); --map-rare: var(--soft, #5b636b); --map-several: var(--soft, #5b636b);
      --map-none: var(--rule, #c9c8c1); --map-ink: var(--ink, #1d2125); --map-paper: var(--paper, #fdfdfb);
      --map-panel: var(--panel, #f4f4f0); --map-line: var(--rule, #dddcd6); --map-accent: var(--accent, #1f5fa8);
      color: var(--map-ink);
    }
    @media (prefers-color-scheme: dark) { .crossmodal-map {
      --map-0: var(--c0, #6aa9ee); --map-1: var(--c1, #f29a4c); --map-2: var(--c2, #5cc48a);
      --map-3: var(--c3, #f0788d); --map-4: var(--c4, #b395ea); --map-5: var(--c5, #c49a78);
      --map-6: var(--c6, #eda0d0); --map-7: var(--c7, #45c6cf); --map-8: var(--c8, #d3bd45);
      --map-9: var(--c9, #8f92ff); --map-rare: var(--soft, #a2a9b0); --map-several: var(--soft, #a2a9b0);
      --map-none: var(--rule, #4a5159); --map-ink: var(--ink, #e6e7e5); --map-paper: var(--paper, #15181b);
      --map-panel: var(--panel, #1e2226); --map-line: var(--rule, #363c42); --map-accent: var(--accent, #7db4f0);
    } }
    .map-plane {
      position: relative; width: 100%; aspect-ratio: 1; max-height: var(--map-height, min(42rem, 78vh));
      overflow: hidden; border-radius: .6rem; background: var(--map-panel);
    }
    .map-plane:focus-visible { outline: 2px solid var(--map-accent); outline-offset: 2px; }
    .map-plane canvas {
      position: absolute; inset: 0; width: 100%; height: 100%; touch-action: none; cursor: grab; user-select: none;
    }
    .map-plane canvas.on { cursor: pointer; }
    .map-plane canvas.moving { cursor: grabbing; }
    .map-tip {
      position: absolute; top: 0; left: 0; z-index: 1; max-width: min(70%, 22rem); margin: 0; padding: .3rem .6rem;
      border-radius: .3rem; background: var(--map-ink); color: var(--map-paper); font-size: .84rem; line-height: 1.35;
      pointer-events: none; overflow-wrap: anywhere;
    }
    .map-tip small { display: block; color: inherit; opacity: .75; font-size: .92em; }
    .map-said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); margin: 0; }
    .map-zoom { position: absolute; top: .6rem; right: .6rem; display: grid; gap: .3rem; }
    .map-zoom button {
      width: 2.1rem; height: 2.1rem; padding: 0; border: 1px solid var(--map-line); border-radius: .4rem;
      background: var(--map-paper); color: var(--map-ink); font: 1.1rem/1 system-ui, sans-serif; cursor: pointer;
    }
    .map-legend {
      display: flex; flex-wrap: wrap; gap: .3rem; max-height: 9.5rem; margin: .6rem 0 0; padding: 3px; overflow-y: auto;
      list-style: none;
    }
    .map-legend button {
      padding: .15rem .6rem; border: 1px solid var(--map-line); border-radius: 1rem; background: none; color: inherit;
      font: inherit; font-size: .85rem; cursor: pointer;
    }
    .map-legend button:hover, .map-legend [aria-pressed="true"] { border-color: var(--map-accent); }
    .map-legend [aria-pressed="true"] { background: var(--map-panel); font-weight: 600; }
    .map-legend i { display: inline-block; width: .7em; height: .7em; margin-inline-end: .45em; border-radius: 50%; }
    .map-legend small { font-size: 1em; opacity: .7; }
    .crossmodal-map button:focus-visible { outline: 2px solid var(--map-accent); outline-offset: 2px; }
  `;

  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const isStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

  const spoken = (name) => name.replaceAll("_", " ");
  const words = ({ point, names }) => [point.title || point.id, point.artist, ...names.map(spoken)].filter(Boolean);

  function make(parent, tag, properties = {}, attributes = {}) {
    const made = Object.assign(document.createElement(tag), properties);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    parent.append(made);
    return made;
  }

  function addStyle() {
    if (addStyle.done) return;
    addStyle.done = new CSSStyleSheet(); // no <style>: a policy of default-src 'self' forbids that
    addStyle.done.replaceSync(STYLE);
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, addStyle.done];
  }

  // where the window is: the point (x, y) of the unit square is in its middle
  class Camera {
    constructor() { Object.assign(this, { x: 0.5, y: 0.5, zoom: 1, width: 0, height: 0 }); }
    get scale() { return Math.min(this.width, this.height) * 0.9 * this.zoom; }
    place(x, y) { return [(x - this.x) * this.scale + this.width / 2, (y - this.y) * this.scale + this.height / 2]; }
    put(x, y, zoom = this.zoom) {
      Object.assign(this, { x: clamp(x, 0, 1), y: clamp(y, 0, 1), zoom: clamp(zoom, 1, LARGEST) });
    }

    pan(dx, dy) { this.put(this.x - dx / this.scale, this.y - dy / this.scale); }

    zoomBy(factor, px = this.width / 2, py = this.height / 2) { // what is at the pixel stays there
      const before = this.scale;
      this.zoom = clamp(this.zoom * factor, 1, LARGEST);
      const share = 1 / before - 1 / this.scale;
      this.put(this.x + (px - this.width / 2) * share, this.y + (py - this.height / 2) * share);
    }
  }

  // points in the unit square, each with the names of its groups and its shade
  function arranged(points, groups) {
    const xs = points.map((point) => point.x), ys = points.map((point) => point.y);
    const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
    const most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
    const span = Math.max(most(xs) - least(xs), most(ys) - least(ys), 1e-9);
    const middle = [xs, ys].map((values) => (least(values) + most(values)) / 2);
    const number = new Map(groups.map((name, n) => [name, n]));
    return points.map((point) => {
      const names = [point.group ?? []].flat().filter((name) => name !== "");
      const one = number.get(names[0]) < COLOURS ? String(number.get(names[0])) : "rare";
      const shade = names.length > 1 ? "several" : names.length ? one : "none";
      const [x, y] = [(point.x - middle[0]) / span + 0.5, (point.y - middle[1]) / span + 0.5];
      return { point, names, shade, x, y, px: 0, py: 0 };
    });
  }

  return function crossmodalMap(element, { points, groups = [], onpick, onhover, onleave }) {
    addStyle();
    element.classList.add("crossmodal-map");
    const plane = make(element, "div", { className: "map-plane", tabIndex: 0 }, { role: "application" });
    const canvas = make(plane, "canvas", {}, { "aria-hidden": "true" });
    const tip = make(plane, "p", { className: "map-tip", hidden: true, dir: "auto" });
    const said = make(plane, "p", { className: "map-said" }, { role: "status" });
    const zoom = make(plane, "div", { className: "map-zoom" });
    const alone = "Groups; press one to see it alone";
    const legend = make(element, "ul", { className: "map-legend" }, { "aria-label": alone });
    const context = canvas.getContext("2d");
    const camera = new Camera();
    let dots = [], byId = new Map(), ranks = new Map(), origin = null, only = null;
    let selected = null, hovered = null, colours = {}, font = "", frame = 0, gliding = 0;

    // drawing

    const isHit = (dot) => ranks.has(dot.point.id);
    const isLit = (dot) => (only === null || belongs(dot, only)) && (!ranks.size || isHit(dot) || dot === selected);
    const belongs = (dot, name) => REST.includes(name) ? dot.shade === name.description : dot.names.includes(name);
    const isSeen = (dot) => dot.px > -20 && dot.py > -20 && dot.px < camera.width + 20 && dot.py < camera.height + 20;
    const radius = () => clamp(7 - Math.log10(dots.length + 1) * 1.35, 2, 6) * clamp(camera.zoom ** 0.35, 1, 3);
    const ask = () => { frame ||= requestAnimationFrame(draw); };

    function readColours() {
      const style = getComputedStyle(element);
      for (const name of [...Array(COLOURS).keys(), "rare", "several", "none", "ink", "paper", "accent"]) {
        colours[name] = style.getPropertyValue(`--map-${name}`).trim();
      }
      font = style.fontFamily;
      ask();
    }

    function draw() {
      frame = 0;
      if (!camera.width) return;
      const dense = devicePixelRatio || 1;
      context.setTransform(dense, 0, 0, dense, 0, 0);
      context.clearRect(0, 0, camera.width, camera.height);
      for (const dot of dots) [dot.px, dot.py] = camera.place(dot.x, dot.y);
      const seen = dots.filter(isSeen);
      drawDots(seen.filter((dot) => !isLit(dot)), 0.22);
      const lit = seen.filter(isLit);
      drawDots(lit, 0.85);
      drawLines();
      for (const dot of seen.filter(isHit).reverse()) drawRank(dot);
      if (lit.length <= NAMED) drawNames(lit);
      if (selected) drawRing(selected);
      showTip();
    }

    function drawDots(some, opacity) { // one path a shade: thousands of dots in a few milliseconds
      const shades = new Map();
      const size = radius();
      for (const dot of some) {
        if (!shades.has(dot.shade)) shades.set(dot.shade, new Path2D());
        shades.get(dot.shade).moveTo(dot.px + size, dot.py);
        shades.get(dot.shade).arc(dot.px, dot.py, size, 0, 2 * Math.PI);
      }
      context.globalAlpha = opacity;
      for (const [shade, path] of shades) {
        Object.assign(context, { fillStyle: colours[shade], strokeStyle: colours[shade], lineWidth: 1.5 });
        if (shade === "several") context.stroke(path);
        else context.fill(path);
      }
      context.globalAlpha = 1;
    }

    function drawLines() {
      const from = byId.get(origin);
      if (!from) return;
      Object.assign(context, { strokeStyle: colours.accent, lineWidth: 1.2, globalAlpha: 0.55 });
      context.beginPath();
      for (const dot of dots.filter(isHit)) {
        context.moveTo(from.px, from.py);
        context.lineTo(dot.px, dot.py);
      }
      context.stroke();
      context.globalAlpha = 1;
    }

    function drawRank(dot) {
      const size = Math.max(radius() + 3, 9);
      context.beginPath();
      context.arc(dot.px, dot.py, size, 0, 2 * Math.PI);
      Object.assign(context, { fillStyle: colours.ink, strokeStyle: colours[dot.shade], lineWidth: 3 });
      context.fill();
      context.stroke();
      Object.assign(context, { fillStyle: colours.paper, font: `600 ${size * 1.15}px ${font}` });
      Object.assign(context, { textAlign: "center", textBaseline: "middle" });
      context.fillText(ranks.get(dot.point.id), dot.px, dot.py + 0.5);
    }

    function drawRing(dot) {
      context.beginPath();
      context.arc(dot.px, dot.py, radius() + 4, 0, 2 * Math.PI);
      Object.assign(context, { strokeStyle: colours.ink, lineWidth: 2.5 });
      context.stroke();
    }

    function drawNames(some) { // those for which there is room
      Object.assign(context, { font: `12px ${font}`, textAlign: "left", textBaseline: "middle" });
      Object.assign(context, { fillStyle: colours.ink, strokeStyle: colours.paper, lineWidth: 3, lineJoin: "round" });
      const taken = [];
      for (const dot of some) {
        if (dot === hovered || dot === selected || dot.px < 0 || dot.px > camera.width) continue;
        const name = shortened(dot.point.title || dot.point.id);
        const [room, y, width] = [Math.max(radius(), 9) + 6, dot.py, context.measureText(name).width];
        const x = dot.px + room + width < camera.width ? dot.px + room : dot.px - room - width;
        const covers = (one) => x < one.x + one.width && one.x < x + width && Math.abs(y - one.y) < 15;
        if (taken.some(covers)) continue;
        taken.push({ x, y, width });
        context.strokeText(name, x, y);
        context.fillText(name, x, y);
      }
    }

    const shortened = (name) => name.length > 28 ? `${name.slice(0, 27)}\u2026` : name;

    function showTip() {
      const dot = hovered && isSeen(hovered) ? hovered : selected;
      tip.hidden = !dot || !isSeen(dot);
      if (tip.hidden) return;
      if (tip.dot !== dot) fillTip(dot);
      const room = radius() + 8;
      const left = dot.px + room + tip.offsetWidth < camera.width ? dot.px + room : dot.px - room - tip.offsetWidth;
      tip.style.left = `${clamp(left, 4, Math.max(camera.width - tip.offsetWidth - 4, 4))}px`;
      tip.style.top = `${clamp(dot.py - tip.offsetHeight / 2, 4, Math.max(camera.height - tip.offsetHeight - 4, 4))}px`;
    }

    function fillTip(dot) {
      tip.dot = dot;
      const [title, ...more] = words(dot);
      tip.textContent = title;
      if (more.length) make(tip, "small", { textContent: more.join(" \u00b7 ") });
    }

    // moving

    const tell = (dot) => { said.textContent = dot ? words(dot).join(", ") : ""; };

    function moved(change) {
      cancelAnimationFrame(gliding);
      change();
      ask();
    }

    function glide(x, y, wanted) {
      if (isStill()) return moved(() => camera.put(x, y, wanted));
      const from = { ...camera }, began = performance.now();
      const step = (now) => {
        const part = clamp((now - began) / GLIDE, 0, 1), eased = 1 - (1 - part) ** 3;
        const [nowX, nowY] = [from.x + (x - from.x) * eased, from.y + (y - from.y) * eased];
        camera.put(nowX, nowY, from.zoom * (wanted / from.zoom) ** eased);
        ask();
        if (part < 1) gliding = requestAnimationFrame(step);
      };
      cancelAnimationFrame(gliding);
      gliding = requestAnimationFrame(step);
    }

    function nearest(x, y, reach) {
      let best = null, least = reach ** 2;
      for (const dot of dots) {
        const distance = (dot.px - x) ** 2 + (dot.py - y) ** 2;
        if (distance <= least && (isLit(dot) || !best)) [best, least] = [dot, distance];
      }
      return best;
    }

    function hover(dot) {
      if (dot === hovered) return;
      hovered = dot;
      canvas.classList.toggle("on", dot !== null);
      onhover?.(dot?.point ?? null);
      ask();
    }

    function pick(dot) {
      selected = dot;
      tell(dot);
      onpick?.(dot.point);
      ask();
    }

    function letGo() {
      selected = null;
      hover(null);
      tell(null);
      onleave?.();
      ask();
    }

    function go(dx, dy) { // to the nearest point in a direction, straight ahead rather than aside
      if (!selected) return select(nearest(camera.width / 2, camera.height / 2, Infinity));
      let best = null, least = Infinity;
      for (const dot of dots) {
        const [x, y] = [dot.x - selected.x, dot.y - selected.y];
        const [ahead, aside] = [x * dx + y * dy, Math.abs(x * dy - y * dx)];
        const cost = ahead + 2 * aside;
        if (dot !== selected && ahead > 0 && aside <= 2 * ahead && cost < least) [best, least] = [dot, cost];
      }
      if (best) select(best);
    }

    function select(dot) {
      selected = dot;
      hover(null);
      tell(dot);
      ask();
      if (!dot) return;
      const [x, y] = camera.place(dot.x, dot.y);
      const inside = x > 40 && y > 40 && x < camera.width - 40 && y < camera.height - 40;
      if (!inside) glide(dot.x, dot.y, camera.zoom);
    }

    // what people do

    const pointers = new Map();
    let strayed = false;
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const spread = ([[ax, ay], [bx, by]]) => // of two fingers
      ({ x: (ax + bx) / 2, y: (ay + by) / 2, wide: Math.max(Math.hypot(ax - bx, ay - by), 1) });

    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      canvas.setPointerCapture(event.pointerId);
      if (!pointers.size) strayed = false;
      pointers.set(event.pointerId, at(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId), now = at(event);
      if (!before) return hover(nearest(...now, REACH.mouse));
      const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
      if (!strayed && pointers.size === 1 && Math.hypot(dx, dy) < CLICK) return;
      strayed = true;
      hover(null);
      canvas.classList.add("moving");
      const old = spread([...pointers.values(), before]);
      pointers.set(event.pointerId, now);
      const fresh = spread([...pointers.values(), now]);
      moved(() => {
        if (pointers.size === 1) return camera.pan(dx, dy);
        camera.zoomBy(fresh.wide / old.wide, fresh.x, fresh.y);
        camera.pan(fresh.x - old.x, fresh.y - old.y);
      });
    });
    const release = (event) => {
      const known = pointers.delete(event.pointerId);
      canvas.classList.remove("moving");
      if (!known || strayed || pointers.size || event.type === "pointercancel") return;
      const dot = nearest(...at(event), event.pointerType === "touch" ? REACH.touch : REACH.mouse);
      if (dot) pick(dot);
      else letGo();
    };
    for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, release);
    canvas.addEventListener("pointerleave", () => hover(null));
    canvas.addEventListener("wheel", (event) => {
      const lines = event.deltaMode ? 16 : 1;
      const factor = Math.exp(-clamp(event.deltaY * lines, -240, 240) * (event.ctrlKey ? 0.012 : 0.0022));
      if (factor < 1 && camera.zoom === 1) return; // all is in sight: the page scrolls
      event.preventDefault();
      moved(() => camera.zoomBy(factor, ...at(event)));
    }, { passive: false });

    function zoomTo(factor) { // what is selected and in sight stays where it is
      const wanted = clamp(camera.zoom * factor, 1, LARGEST), share = 1 - camera.zoom / wanted;
      const { x, y } = selected && isSeen(selected) ? selected : camera;
      glide(camera.x + (x - camera.x) * share, camera.y + (y - camera.y) * share, wanted);
    }

    const zoomIn = () => zoomTo(1.6), zoomOut = () => zoomTo(1 / 1.6);
    const showAll = () => glide(0.5, 0.5, 1);
    const keys = {
      "+": zoomIn, "=": zoomIn, "-": zoomOut, 0: showAll, Escape: letGo, Enter: () => selected && pick(selected),
    };
    const ways = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
    plane.addEventListener("keydown", (event) => {
      if (event.target !== plane || event.ctrlKey || event.metaKey || event.altKey) return;
      const way = ways[event.key];
      if (!way && !keys[event.key]) return;
      event.preventDefault();
      if (!way) keys[event.key]();
      else if (event.shiftKey) moved(() => camera.pan(-60 * way[0], -60 * way[1]));
      else go(...way);
    });
    const buttons = { "+": ["Zoom in", zoomIn], "\u2212": ["Zoom out", zoomOut], "\u2922": ["Show all", showAll] };
    for (const [textContent, [title, act]] of Object.entries(buttons)) {
      make(zoom, "button", { type: "button", textContent, title, onclick: act }, { "aria-label": title });
    }

    // the legend

    function listGroups(names) {
      const entries = [...names, ...REST].map(entry).filter(Boolean);
      legend.replaceChildren(...(entries.length > 1 ? entries : []));
    }

    function entry(name, number) {
      const count = dots.filter((dot) => belongs(dot, name)).length;
      if (!count) return null;
      const shade = name.description ?? (number < COLOURS ? number : "rare");
      const item = document.createElement("li");
      const button = make(item, "button", { type: "button" }, { "aria-pressed": String(name === only) });
      make(button, "i").style.background = `var(--map-${shade})`;
      make(button, "bdi", { textContent: spoken(name.description ?? name) });
      make(button, "small", { textContent: ` ${count}` });
      button.addEventListener("click", () => {
        only = only === name ? null : name;
        for (const other of legend.querySelectorAll("button")) {
          other.setAttribute("aria-pressed", String(other === button && only !== null));
        }
        ask();
      });
      return item;
    }

    // from outside

    function redraw(some, names) {
      const chosen = selected?.point.id;
      dots = arranged(some, names);
      byId = new Map(dots.map((dot) => [dot.point.id, dot]));
      [selected, hovered, tip.dot] = [byId.get(chosen) ?? null, null, null];
      only = dots.some((dot) => only !== null && belongs(dot, only)) ? only : null;
      const help = "Arrow keys go from track to track, Enter picks, plus and minus zoom, 0 shows all.";
      plane.setAttribute("aria-label", `Map of ${dots.length} tracks. ${help}`);
      listGroups(names);
      readColours();
    }

    function highlight(ids, from = null) {
      ranks = new Map(ids.filter((id) => byId.has(id)).map((id) => [id, ids.indexOf(id) + 1]));
      origin = from;
      ask();
    }

    function focus(id) {
      const dot = byId.get(id);
      if (!dot) return false;
      selected = dot;
      hover(null);
      tell(dot);
      glide(dot.x, dot.y, Math.max(camera.zoom, 2));
      return true;
    }

    new ResizeObserver(() => {
      const dense = devicePixelRatio || 1;
      [camera.width, camera.height] = [plane.clientWidth, plane.clientHeight];
      [canvas.width, canvas.height] = [camera.width * dense, camera.height * dense];
      draw(); // at once: a canvas that was resized is empty
    }).observe(plane);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", readColours);
    new MutationObserver(readColours).observe(document.documentElement, { attributeFilter: ["class", "data-theme"] });
    redraw(points, groups);
    return { highlight, focus, redraw };
  };
})();
