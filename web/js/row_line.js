// @ts-check
/**
 * One row on the screen.
 *
 * @typedef {object} Item a row as it is shown
 * @property {number} index its place
 * @property {string} label
 * @property {string} [hint] more about it, shown where the mouse rests on the label
 * @property {import("./rows.js").Row} row
 * @property {string} state
 * @property {string} text what a person should know
 * @property {number} done 0 to 1 while computing
 *
 * @typedef {object} Actions
 * @property {(index: number) => Item} item the row at a place of the list
 * @property {(item: Item, change: Partial<import("./rows.js").Row>) => void} change
 * @property {(item: Item, by: number, all: boolean, done: boolean) => void} shift makes strengths
 *   larger: of the row, of all chosen ones if it is one of them, or of all rows
 * @property {(item: Item, event: MouseEvent) => void} choose
 * @property {(item: Item) => boolean} chosen
 * @property {(item: Item, action: import("./row_keys.js").KeyAction) => boolean} key whether anything came of it
 * @property {((item: Item, to: number) => void) | null} move null where the order has no meaning
 * @property {((item: Item) => void) | null} remove
 * @property {(clientY: number) => Item} below the row below a point of the screen
 */
import { draggable, h } from "./dom.js";
import { keyAction } from "./row_keys.js";
import { STRONGEST } from "./rows.js";
import { t } from "./words.js";

export const STEP = 0.05; // of a number

/** Which colour a state has; the word is always there too. */
const TONES = new Map(
  Object.entries({
    ready: "good", computing: "busy", leaking: "warn", doubled: "warn", replaced: "warn", computed: "warn", moved: "warn",
    refused: "bad", missing: "bad", corrupt: "bad", mismatch: "bad", unreadable: "bad",
  }),
);

/** @type {Record<string, string>} */
const HINTS = { strength: "Drag to change it, for all chosen rows if this is one of them; with Shift for all rows." };

/** @returns {import("./windowed_list.js").Line} */
export function rowLine(/** @type {Actions} */ actions) {
  /** @type {Item} */
  let item;
  const on = h("input", { type: "checkbox", className: "sepme-on" });
  const label = h("span", { className: "sepme-label" });
  const state = h("span", { className: "sepme-state" });
  const numbers = {
    strength: number("sepme-strength", -STRONGEST, STRONGEST, {
      during: (by, event) => actions.shift(item, by, event.shiftKey, false),
      done: (by, event) => actions.shift(item, by, event.shiftKey, true),
    }),
    start: number("sepme-part", 0, 1),
    end: number("sepme-part", 0, 1),
  };
  const element = h("div", { className: "sepme-row" }, on, label, ...Object.values(numbers), state);
  if (actions.move) element.prepend(handle(() => item, element, actions));
  if (actions.remove) element.append(remover(() => actions.remove?.(item)));
  label.addEventListener("click", (event) => actions.choose(item, event));
  element.addEventListener("keydown", (event) => {
    const action = keyAction(event, event.target instanceof HTMLInputElement && event.target.type === "number");
    if (action && actions.key(item, action)) event.preventDefault();
  });
  on.addEventListener("change", () => actions.change(item, { on: on.checked }));
  for (const [name, input] of Object.entries(numbers))
    input.addEventListener("change", () => {
      actions.change(item, { [name]: input.value === "" ? NaN : Number(input.value) });
      input.value = String(/** @type {any} */ (item.row)[name]);
    });

  function draw(/** @type {number} */ index) {
    const before = item;
    item = actions.item(index);
    on.checked = item.row.on;
    on.disabled = item.state === "unreadable";
    on.setAttribute("aria-label", `${t("on")}: ${item.label}`);
    label.textContent = item.label;
    label.title = item.hint ?? item.label;
    for (const [name, input] of Object.entries(numbers)) {
      const typing = input === document.activeElement && before?.label === item.label;
      if (!typing) input.value = String(/** @type {any} */ (item.row)[name]);
      input.title = HINTS[name] ? `${t(name)}. ${t(HINTS[name])}` : t(name);
      input.setAttribute("aria-label", `${t(name)}: ${item.label}`);
    }
    state.textContent = t(item.state);
    state.title = item.text;
    state.dataset.tone = TONES.get(item.state) ?? "none";
    state.style.setProperty("--done", `${Math.round(item.done * 100)}%`);
    element.dataset.state = item.state;
    element.classList.toggle("sepme-is-off", !item.row.on);
    element.classList.toggle("sepme-chosen", actions.chosen(item));
  }
  return { element, draw };
}

function number(/** @type {string} */ className, /** @type {number} */ min, /** @type {number} */ max, follow = {}) {
  const input = h("input", { type: "number", className, min, max, step: STEP });
  draggable(input, STEP, follow);
  return input;
}

function remover(/** @type {() => void} */ remove) {
  const title = t("Remove");
  return h("button", { type: "button", className: "sepme-remove", title, "aria-label": title, onclick: remove }, "×");
}

/** What a row is dragged by; keys move it from anywhere in it. */
function handle(/** @type {() => Item} */ item, /** @type {HTMLElement} */ element, /** @type {Actions} */ actions) {
  const title = t("Drag, or press Alt with an arrow, Home or End");
  const button = h("button", { type: "button", className: "sepme-handle", title, "aria-label": title }, "⠿");
  let dragged = false;
  button.addEventListener("pointerdown", (event) => {
    dragged = true;
    button.setPointerCapture(event.pointerId);
    element.classList.add("sepme-dragged");
  });
  const end = (/** @type {PointerEvent} */ event) => {
    if (!dragged) return;
    dragged = false;
    element.classList.remove("sepme-dragged");
    const to = actions.below(event.clientY);
    if (event.type === "pointerup" && to.index !== item().index) actions.move?.(item(), to.index);
  };
  button.addEventListener("pointerup", end);
  button.addEventListener("pointercancel", end);
  return button;
}
