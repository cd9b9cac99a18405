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
 * @property {() => void} [drawn] is called when rows have been drawn
 *
 * @typedef {object} Host
 * @property {(title: string, message: string, value?: string) => Promise<string | null>} prompt
 * @property {(title: string, message: string) => Promise<boolean>} confirm
 * @property {(error: unknown) => void} complain
 * @property {() => void} changed
 */
import { h, keepFromGraph, oncePerFrame } from "./dom.js";
import * as change from "./row_changes.js";
import { rowLine } from "./row_line.js";
import { WindowedList } from "./windowed_list.js";
import { t } from "./words.js";

const ROW = 28;
const MOST_ROWS = 8; // that a node makes room for of itself; more are scrolled to

export class Panel {
  /**
   * @param {Model} model
   * @param {Host} host
   * @param {{ordered: boolean}} options ordered rows can be moved and removed
   */
  constructor(model, host, { ordered }) {
    this.model = model;
    this.host = host;
    /** @type {Item[]} */
    this.items = [];
    /** @type {number[]} */
    this.shown = [];
    this.list = new WindowedList(() => rowLine(this.actions(ordered)), ROW);
    this.all = h("input", { type: "checkbox", title: t("All"), "aria-label": t("All"), onchange: () => this.switchAll() });
    this.filter = h("input", { type: "search", className: "sepme-filter", placeholder: t("Filter"), "aria-label": t("Filter"), oninput: () => this.refresh() });
    this.presets = h("select", { className: "sepme-presets", title: t("Presets"), "aria-label": t("Presets"), onchange: () => this.choosePreset() });
    this.parts = button("◔", t("Start and end"), () => this.toggleParts());
    this.asText = button("✎", t("Edit as text"), () => this.toggleText());
    this.problem = h("p", { className: "sepme-problem", role: "alert", hidden: true });
    this.textarea = h("textarea", { hidden: true, spellcheck: false, "aria-label": t("Edit as text"), oninput: () => this.model.setText(this.textarea.value) });
    this.foot = h("div", { className: "sepme-foot" });
    const tools = h("div", { className: "sepme-tools" }, this.all, this.filter, this.presets, this.parts, this.asText);
    this.element = h("div", { className: "sepme-panel" }, tools, this.problem, this.list.element, this.textarea, this.foot);
    keepFromGraph(this.element);
    this.refreshSoon = oncePerFrame(() => this.refresh());
  }

  /** Room that the panel needs, in pixels. */
  get minHeight() {
    const rows = Math.min(Math.max(this.items.length, 1), MOST_ROWS) * ROW;
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
    this.showPresets(Object.keys(presets));
    if (this.items.some(({ row }) => row.start > 0 || row.end < 1)) this.element.classList.add("sepme-parts");
    this.list.element.style.minHeight = `${Math.min(Math.max(this.items.length, 1), MOST_ROWS) * ROW}px`;
    this.list.show(this.shown.length);
    this.model.drawn?.();
  }

  showProblem(/** @type {string} */ problem, /** @type {boolean} */ unreadable) {
    this.problem.textContent = problem;
    this.problem.hidden = !problem;
    this.all.disabled = this.presets.disabled = unreadable;
    if (unreadable) this.textarea.hidden = false;
    if (this.textarea !== document.activeElement) this.textarea.value = this.model.text();
  }

  showPresets(/** @type {string[]} */ names) {
    const key = JSON.stringify(names);
    if (this.presets.dataset.names === key) return;
    this.presets.dataset.names = key;
    const option = (/** @type {string} */ value, /** @type {string} */ text) => h("option", { value }, text);
    const load = names.map((name) => option(`load ${name}`, name));
    const remove = names.map((name) => option(`delete ${name}`, `${t("Delete")} “${name}”`));
    this.presets.replaceChildren(option("", t("Presets")), ...load, option("save", t("Save as…")), ...remove);
  }

  /** @returns {import("./row_line.js").Actions} */
  actions(/** @type {boolean} */ ordered) {
    return {
      item: (index) => this.items[this.shown[index]],
      change: (item, given) => this.change(item, given),
      move: ordered ? (item, to) => this.move(item, to) : null,
      remove: ordered ? (item) => this.write(change.removeRow(this.model.state(), item.index)) : null,
      below: (clientY) => this.items[this.shown[this.list.indexAt(clientY)]],
    };
  }

  /** Writes a new state and shows it. */
  write(/** @type {State} */ state) {
    this.model.write(state);
    this.host.changed();
    this.refresh();
  }

  change(/** @type {Item} */ item, /** @type {Partial<import("./rows.js").Row>} */ given) {
    const state = this.model.complete();
    this.write(change.changeRow(state, this.model.placeOf(state, item), given));
  }

  move(/** @type {Item} */ item, /** @type {number} */ to) {
    const { length } = this.items;
    const place = Math.min(Math.max(to, 0), length - 1);
    const focused = document.activeElement?.className;
    this.write(change.moveRow(this.model.state(), item.index, place));
    const line = this.list.reveal(Math.max(this.shown.indexOf(place), 0));
    const control = focused && line.querySelector(`.${focused.split(" ")[0]}`);
    if (control) /** @type {HTMLElement} */ (control).focus({ preventScroll: true });
  }

  /** Switches all rows that the filter leaves. */
  switchAll() {
    const state = this.model.complete();
    const places = this.shown.map((at) => this.model.placeOf(state, this.items[at]));
    this.write(change.switchAll(state, this.all.checked, places));
  }

  async choosePreset() {
    const [verb, ...rest] = this.presets.value.split(" ");
    const name = rest.join(" ");
    this.presets.value = "";
    try {
      if (verb === "load") this.write(change.loadPreset(this.model.state(), name, this.model.kind));
      if (verb === "delete") this.write(change.deletePreset(this.model.state(), name));
      if (verb === "save") await this.savePreset();
    } catch (error) {
      this.host.complain(error);
    }
  }

  async savePreset() {
    const name = (await this.host.prompt(t("Presets"), t("Name of the preset")))?.trim();
    if (name) this.write(change.savePreset(this.model.complete(), name, this.model.kind));
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

function button(/** @type {string} */ sign, /** @type {string} */ title, /** @type {() => void} */ onclick) {
  return h("button", { type: "button", title, "aria-label": title, onclick }, sign);
}
