// @ts-check
/**
 * A long list of which only the visible rows exist.
 *
 * @typedef {object} Line
 * @property {HTMLElement} element
 * @property {(index: number) => void} draw shows the row at that place
 */
import { h, oncePerFrame } from "./dom.js";

export class WindowedList {
  /**
   * @param {() => Line} make
   * @param {number} height of a row, in pixels
   * @param {[string, string]} roles of the list and of a row
   */
  constructor(make, height, [list, row] = ["list", "listitem"]) {
    this.make = make;
    this.height = height;
    this.role = row;
    this.count = 0;
    /** @type {Line[]} */
    this.pool = [];
    this.inner = h("div", { className: "sepme-inner" });
    this.element = h("div", { className: "sepme-list", role: list }, this.inner);
    this.redraw = oncePerFrame(() => this.draw());
    this.element.addEventListener("scroll", this.redraw, { passive: true });
    new ResizeObserver(this.redraw).observe(this.element);
  }

  /** Shows that many rows, each drawn anew, of another height if one is given. */
  show(/** @type {number} */ count, height = this.height) {
    this.height = height;
    this.count = count;
    this.inner.style.height = `${count * this.height}px`;
    this.draw();
  }

  draw() {
    const first = Math.floor(this.element.scrollTop / this.height);
    const needed = Math.ceil((this.element.clientHeight || 8 * this.height) / this.height) + 1;
    while (this.pool.length < Math.min(needed, this.count)) this.grow();
    for (let n = 0; n < this.pool.length; n += 1) this.place(first + n);
  }

  grow() {
    const line = this.make();
    line.element.setAttribute("role", this.role);
    this.pool.push(line);
    this.inner.append(line.element);
  }

  place(/** @type {number} */ index) {
    const line = this.pool[index % this.pool.length];
    line.element.hidden = index >= this.count;
    if (line.element.hidden) return;
    line.element.style.transform = `translateY(${index * this.height}px)`;
    line.element.setAttribute("aria-posinset", String(index + 1));
    line.element.setAttribute("aria-setsize", String(this.count));
    line.draw(index);
  }

  /** The element of a row, brought into view. */
  reveal(/** @type {number} */ index) {
    const [top, bottom] = [index * this.height, (index + 1) * this.height];
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (bottom > scrollTop + clientHeight) this.element.scrollTop = bottom - clientHeight;
    this.draw();
    return this.pool[index % this.pool.length].element;
  }

  /** The place below a point of the screen, whatever the graph's zoom. */
  indexAt(/** @type {number} */ clientY) {
    const box = this.inner.getBoundingClientRect();
    const zoom = box.height / Math.max(this.inner.offsetHeight, 1);
    const index = Math.floor((clientY - box.top) / zoom / this.height);
    return Math.min(Math.max(index, 0), this.count - 1);
  }
}
