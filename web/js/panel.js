// @ts-check
/**
 * Rows with what belongs to all of them: switch, filter, presets, text.
 *
 * @typedef {import("./row_line.js").Item} Item
 * @typedef {import("./rows.js").State} State
 *
 * @typedef {object} Model what the panel shows and changes
 * @property {import("./rows.js").Kind} kind
 * @property {() => string} text
 * @property {(text: string) => void} setText
 * @property {() => State} state
 * @property {(state: State) => void} write
 * @property {() => Item[]} items
 * @property {() => State} complete the state with a row for every item
 * @property {(state: State, item: Item) => number} placeOf an item's place among the state's rows
 * @property {() => boolean} linked whether the text comes from another node
 * @property {Record<string, (row: import("./rows.js").Row) => string>} [orders] what rows can be
 *   sorted by: the text of a row, by what the page calls it
 * @property {() => void} [drawn] is called when rows have been drawn
 *
 * @typedef {object} Host
 * @property {(title: string, message: string, value?: string) => Promise<string | null>} prompt
 * @property {(title: string, message: string, type?: string) => Promise<boolean>} confirm
 * @property {import("./preset_store.js").PresetStore} presets for all workflows
 * @property {(error: unknown) => void} complain
 * @property {() => void} changed
 */
import { h, keepFromGraph, oncePerFrame } from "./dom.js";
import { PresetsMenu } from "./presets_menu.js";
import * as change from "./row_changes.js";
import { STEP, rowLine } from "./row_line.js";
import { allowed } from "./rows.js";
import { Selection } from "./selection.js";
import { WindowedList } from "./windowed_list.js";
import { t } from "./words.js";

const [ROW, COMPACT_ROW] = [28, 20];
const COMPACT = "sepme_compact"; // a property of the node
const MOST_ROWS = 8; // that a node makes room for of itself; more are scrolled to

export class Panel {
  /**
   * @param {Model} model
   * @param {Host} host
   * @param {{ordered: boolean, properties?: () => any}} options ordered rows can be moved and
   *   removed; the properties are the node's, which keep how it looks
   */
  constructor(model, host, { ordered, properties = () => ({}) }) {
    this.model = model;
    this.host = host;
    this.ordered = ordered;
    this.properties = properties;
    /** @type {Item[]} */
    this.items = [];
    /** @type {number[]} */
    this.shown = [];
    this.chosen = new Selection();
    /** @type {{by: number, items: Set<number>} | null} strengths that are being dragged */
    this.shifting = null;
    this.list = new WindowedList(() => rowLine(this.actions()), ROW);
    this.all = h("input", { type: "checkbox", title: t("All"), "aria-label": t("All"), onchange: () => this.switchAll() });
    this.filter = h("input", { type: "search", className: "sepme-filter", placeholder: t("Filter"), "aria-label": t("Filter"), oninput: () => this.refresh() });
    this.presets = new PresetsMenu(model, host, (state) => this.write(state));
    this.parts = button("◔", t("Start and end"), () => this.toggleParts());
    this.dense = button("≡", t("Compact"), () => this.toggleCompact());
    this.asText = button("✎", t("Edit as text"), () => this.toggleText());
    this.problem = h("p", { className: "sepme-problem", role: "alert", hidden: true });
    this.textarea = h("textarea", { hidden: true, spellcheck: false, "aria-label": t("Edit as text"), oninput: () => this.model.setText(this.textarea.value) });
    this.foot = h("div", { className: "sepme-foot" });
    const sorter = model.orders ? [this.sorter(model.orders)] : [];
    const tools = h("div", { className: "sepme-tools" }, this.all, this.filter, this.presets.element, ...sorter, this.parts, this.dense, this.asText);
    this.element = h("div", { className: "sepme-panel" }, tools, this.problem, this.list.element, this.textarea, this.foot);
    keepFromGraph(this.element);
    this.refreshSoon = oncePerFrame(() => this.refresh());
  }

  get compact() {
    return Boolean(this.properties()?.[COMPACT]);
  }

  get rowHeight() {
    return this.compact ? COMPACT_ROW : ROW;
  }

  /** Room that the panel needs, in pixels. */
  get minHeight() {
    const rows = Math.min(Math.max(this.items.length, 1), MOST_ROWS) * this.rowHeight;
    const more = (this.problem.hidden ? 0 : 48) + (this.textarea.hidden ? 0 : 96);
    const below = [.../** @type {Iterable<HTMLElement>} */ (this.foot.children)].filter((child) => !child.hidden);
    return 72 + rows + more + below.reduce((sum, child) => sum + Number(child.dataset.height ?? 34), 0);
  }

  refresh() {
    const { problem, presets } = this.model.state();
    this.items = this.model.items();
    this.shown = change.matching(this.items.map((item) => `${item.label} ${item.state}`), this.filter.value);
    this.showProblem(problem || (this.model.linked() ? t("The rows come from a link.") : ""), Boolean(problem));
    const switches = this.items.map((item) => item.row.on);
    this.all.checked = switches.length > 0 && switches.every(Boolean);
    this.all.indeterminate = !this.all.checked && switches.some(Boolean);
    this.element.inert = this.model.linked();
    this.presets.show(Object.keys(presets));
    this.element.classList.toggle("sepme-compact", this.compact);
    this.dense.setAttribute("aria-pressed", String(this.compact));
    if (this.items.some(({ row }) => row.start > 0 || row.end < 1)) this.element.classList.add("sepme-parts");
    this.list.element.style.minHeight = `${Math.min(Math.max(this.items.length, 1), MOST_ROWS) * this.rowHeight}px`;
    this.list.show(this.shown.length, this.rowHeight);
    this.model.drawn?.();
  }

  showProblem(/** @type {string} */ problem, /** @type {boolean} */ unreadable) {
    this.problem.textContent = problem;
    this.problem.hidden = !problem;
    this.all.disabled = this.presets.element.disabled = unreadable;
    if (unreadable) this.textarea.hidden = false;
    if (this.textarea !== document.activeElement) this.textarea.value = this.model.text();
  }

  /** @returns {import("./row_line.js").Actions} */
  actions() {
    return {
      item: (index) => this.previewed(this.items[this.shown[index]]),
      change: (item, given) => this.change(item, given),
      shift: (item, by, all, done) => this.shift(item, by, all, done),
      choose: (item, event) => this.choose(item, event),
      chosen: (item) => this.chosen.has(item.row.key),
      key: (item, action) => this.key(item, action),
      move: this.ordered ? (item, to) => this.move(item, to) : null,
      remove: this.ordered ? (item) => this.remove(item) : null,
      below: (clientY) => this.items[this.shown[this.list.indexAt(clientY)]],
    };
  }

  /** Writes a new state and shows it. */
  write(/** @type {State} */ state) {
    this.model.write(state);
    this.host.changed();
    this.refresh();
  }

  /** The items that the filter leaves. */
  visible() {
    return this.shown.map((at) => this.items[at]);
  }

  /** The items that are changed with one: all chosen ones if it is one of them. */
  together(/** @type {Item} */ item) {
    if (!this.chosen.has(item.row.key)) return [item];
    return this.visible().filter(({ row }) => this.chosen.has(row.key));
  }

  placesOf(/** @type {State} */ state, /** @type {Item[]} */ items) {
    return items.map((item) => this.model.placeOf(state, item)).filter((place) => place >= 0);
  }

  change(/** @type {Item} */ item, /** @type {Partial<import("./rows.js").Row>} */ given) {
    const state = this.model.complete();
    this.write(change.changeRows(state, this.placesOf(state, this.together(item)), given));
  }

  /** Makes strengths larger by the same; while they are dragged they are only shown so. */
  shift(/** @type {Item} */ item, /** @type {number} */ by, /** @type {boolean} */ all, /** @type {boolean} */ done) {
    const items = all ? this.visible() : this.together(item);
    this.shifting = done ? null : { by, items: new Set(items.map(({ index }) => index)) };
    if (!done) return this.list.draw();
    const state = this.model.complete();
    this.write(change.shiftStrengths(state, this.placesOf(state, items), by));
  }

  /** A row as it will be once the pointer lets go. @returns {Item} */
  previewed(/** @type {Item} */ item) {
    if (!this.shifting?.items.has(item.index)) return item;
    const { row } = item;
    return { ...item, row: { ...row, ...allowed(row, { strength: row.strength + this.shifting.by }) } };
  }

  choose(/** @type {Item} */ item, /** @type {MouseEvent} */ event) {
    this.chosen.click(this.visible().map(({ row }) => row.key), item.row.key, event);
    this.list.draw();
  }

  /** @returns {boolean} whether anything came of it */
  key(/** @type {Item} */ item, /** @type {import("./row_keys.js").KeyAction} */ { what, by, all }) {
    if (what === "clear") return this.chosen.clear() && (this.list.draw(), true);
    if (what === "shift") this.shift(item, by * STEP, all, true);
    if (what === "focus") this.focus(this.shown.indexOf(item.index) + by, focused());
    if (what === "move" && this.ordered) this.move(item, item.index + by);
    if (what === "remove" && this.ordered) this.remove(item);
    return this.ordered || what === "shift" || what === "focus";
  }

  move(/** @type {Item} */ item, /** @type {number} */ to) {
    const place = Math.min(Math.max(to, 0), this.items.length - 1);
    const control = focused();
    this.write(change.moveRow(this.model.state(), item.index, place));
    this.focus(this.shown.indexOf(place), control);
  }

  remove(/** @type {Item} */ item) {
    const control = focused();
    const at = this.shown.indexOf(item.index);
    this.write(change.removeRows(this.model.state(), this.together(item).map(({ index }) => index)));
    this.focus(at, control);
  }

  /** Brings a row into view; the part of a row that had the focus has it there. */
  focus(/** @type {number} */ at, /** @type {string} */ control) {
    if (!this.shown.length) return;
    const line = this.list.reveal(Math.min(Math.max(at, 0), this.shown.length - 1));
    const part = control && line.querySelector(`.${control}`);
    if (part) /** @type {HTMLElement} */ (part).focus({ preventScroll: true });
  }

  /** Switches all rows that the filter leaves. */
  switchAll() {
    const state = this.model.complete();
    this.write(change.switchAll(state, this.all.checked, this.placesOf(state, this.visible())));
  }

  /** The menu that puts rows into an order. */
  sorter(/** @type {NonNullable<Model["orders"]>} */ orders) {
    const title = t("Sort");
    const element = h("select", { className: "sepme-sort", title, "aria-label": title });
    const options = Object.keys(orders).map((name) => h("option", { value: name }, t(name)));
    element.append(h("option", { value: "" }, "⇅"), ...options);
    element.addEventListener("change", () => {
      this.write(change.sortRows(this.model.state(), orders[element.value]));
      element.value = "";
    });
    return element;
  }

  toggleCompact() {
    Object.assign(this.properties(), { [COMPACT]: !this.compact });
    this.refresh();
    this.host.changed();
  }

  toggleParts() {
    this.element.classList.toggle("sepme-parts");
  }

  toggleText() {
    this.textarea.hidden = !this.textarea.hidden;
    this.refresh();
    this.host.changed();
  }
}

/** The part of a row that has the focus, by its class; empty when it has none. */
function focused() {
  return document.activeElement?.className.toString().split(" ")[0] ?? "";
}

function button(/** @type {string} */ sign, /** @type {string} */ title, /** @type {() => void} */ onclick) {
  return h("button", { type: "button", title, "aria-label": title, onclick }, sign);
}
