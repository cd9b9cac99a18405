// @ts-check
/** The curve while a concept is computed, with its stopping threshold. */
import { follow, shape, words } from "./curve.js";
import { h, oncePerFrame } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [300, 48];

export class CurveView {
  constructor() {
    /** @type {import("./curve.js").Progress[]} */
    this.steps = [];
    this.says = "";
    this.line = svg("polyline", { class: "sepme-line" });
    this.threshold = svg("line", { class: "sepme-threshold", x1: 0, x2: WIDTH });
    this.picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, this.threshold, this.line);
    this.caption = h("p");
    this.element = h("div", { className: "sepme-curve", role: "status", hidden: true, "data-height": HEIGHT + 44 });
    this.element.append(this.picture, this.caption);
    this.draw = oncePerFrame(() => this.redraw());
  }

  add(/** @type {import("./curve.js").Progress} */ at) {
    this.steps = follow(this.steps, at);
    this.says = words(at);
    this.draw();
  }

  clear() {
    this.steps = [];
    this.says = "";
    this.draw();
  }

  redraw() {
    this.element.hidden = !this.says;
    this.caption.textContent = this.says;
    this.picture.style.display = this.steps.length ? "" : "none";
    if (!this.steps.length) return;
    const { points, threshold } = shape(this.steps, WIDTH, HEIGHT);
    this.line.setAttribute("points", points);
    this.threshold.setAttribute("y1", String(threshold));
    this.threshold.setAttribute("y2", String(threshold));
  }
}

function svg(/** @type {string} */ tag, /** @type {Record<string, any>} */ given, /** @type {Element[]} */ ...children) {
  const element = /** @type {SVGElement} */ (document.createElementNS(SVG, tag));
  for (const [name, value] of Object.entries(given)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}
