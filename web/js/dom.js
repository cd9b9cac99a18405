// @ts-check
/** Elements, made in one expression. */

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [given] properties; what is none becomes an attribute
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name in element && name !== "list") /** @type {any} */ (element)[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Calls a function after one that an object may have already; the page offers no other hook. */
export function after(/** @type {any} */ object, /** @type {string} */ name, /** @type {(...given: any[]) => void} */ then) {
  const before = object[name];
  object[name] = function (/** @type {any[]} */ ...given) {
    const result = before?.apply(this, given);
    then(...given);
    return result;
  };
}

/** Runs a function once before the next frame, however often it is asked for. */
export function oncePerFrame(/** @type {() => void} */ run) {
  let due = false;
  return () => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      run();
    });
  };
}

/** Keeps what happens inside an element from the graph below it; the page's shortcuts still work. */
export function keepFromGraph(/** @type {HTMLElement} */ element) {
  element.dataset.captureWheel = "true";
  for (const type of ["pointerdown", "pointermove", "dblclick", "copy", "paste", "cut"])
    element.addEventListener(type, (event) => event.stopPropagation());
  element.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
  });
  element.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
  }, { passive: true });
}

/**
 * Lets a number be dragged to the left and right.
 *
 * @typedef {(by: number, event: PointerEvent) => void} Dragged takes what it was dragged by
 *
 * @param {HTMLInputElement} input
 * @param {number} each
 * @param {{during?: Dragged, done?: Dragged}} follow without `done` the input says itself that it
 *   has changed
 */
export function draggable(input, each, { during, done } = {}) {
  /** @type {{x: number, value: number, by: number} | null} */
  let from = null;
  input.addEventListener("pointerdown", (event) => {
    from = { x: event.clientX, value: Number(input.value), by: NaN };
    input.setPointerCapture(event.pointerId);
  });
  input.addEventListener("pointermove", (event) => {
    if (!from || (Number.isNaN(from.by) && Math.abs(event.clientX - from.x) < 4)) return;
    from.by = Math.round((event.clientX - from.x) / 4) * each;
    const [low, high] = [Number(input.min), Number(input.max)];
    input.value = String(Math.round(Math.min(Math.max(from.value + from.by, low), high) * 100) / 100);
    during?.(from.by, event);
  });
  const end = (/** @type {PointerEvent} */ event) => {
    const by = from?.by ?? NaN;
    from = null;
    if (Number.isNaN(by)) return;
    input.blur();
    if (done) done(event.type === "pointerup" ? by : 0, event);
    else input.dispatchEvent(new Event("change"));
  };
  input.addEventListener("pointerup", end);
  input.addEventListener("pointercancel", end);
}
