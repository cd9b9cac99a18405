// @ts-check
/**
 * What stands below a node's widgets: what its last run reported, and the switch for folded widgets.
 *
 * @typedef {import("./reports.js").Report} Report
 */
import { h, keepFromGraph } from "./dom.js";
import { advanced, fold, hide, pageFolds, unusual } from "./folding.js";
import { t } from "./words.js";

const [LINE, OPEN] = [30, 150]; // pixels: of a line, and of the unfolded report
const SIGNS = { ok: "pi-check-circle", note: "pi-info-circle", warning: "pi-exclamation-triangle" };

export class Foot {
  /**
   * @param {any} node
   * @param {() => void} changed is called when a person has changed something that is kept
   */
  constructor(node, changed) {
    this.node = node;
    this.changed = changed;
    /** @type {Report | null} */
    this.report = null;
    this.old = false; // whether it is of an earlier run, with other inputs
    this.sign = h("i", { "aria-hidden": "true" });
    this.words = h("span");
    this.headline = h("button", { type: "button", className: "sepme-headline", hidden: true, "data-height": LINE, "aria-expanded": "false", onclick: () => this.unfold() }, this.sign, this.words);
    this.whole = h("pre", { className: "sepme-report", hidden: true, tabIndex: 0, "data-height": OPEN });
    this.more = h("button", { type: "button", className: "sepme-advanced", hidden: true, onclick: () => this.toggle() });
    this.tools = h("div", { className: "sepme-foot-tools", "data-height": LINE }, this.more);
    this.element = h("div", { className: "sepme-panel sepme-node-foot" }, this.tools, this.headline, this.whole);
    /** @type {(() => void)[]} what else is to be drawn when the node's widgets have changed */
    this.drawn = [];
    keepFromGraph(this.element);
  }

  /** Takes in a button, and what it unfolds if it does. */
  addTool(/** @type {HTMLElement} */ button, /** @type {HTMLElement[]} */ ...unfolds) {
    this.more.before(button);
    this.tools.after(...unfolds);
  }

  /** Takes in a remark on what is typed. */
  addRemark(/** @type {HTMLElement} */ element, /** @type {() => void} */ draw) {
    this.tools.after(element);
    this.drawn.push(draw);
  }

  /** Room that it needs, in pixels. */
  get minHeight() {
    const shown = [.../** @type {Iterable<HTMLElement>} */ (this.element.children)].filter((child) => !child.hidden);
    return (shown.length && 14) + shown.reduce((sum, child) => sum + Number(child.dataset.height ?? LINE), 0);
  }

  /** Whether there is anything to be shown. */
  get wanted() {
    return [...this.element.children].some((child) => !(/** @type {HTMLElement} */ (child).hidden));
  }

  /**
   * Puts it on its node, as a widget behind all others: those are saved by their places. It is put
   * there at once, since not every page draws a widget that comes later.
   */
  place() {
    this.widget = this.node.addDOMWidget("sepme_foot", "sepme_foot", this.element, {
      serialize: false,
      hideOnZoom: false,
      getMinHeight: () => this.minHeight,
      getMaxHeight: () => this.minHeight,
    });
    this.widget.serialize = false;
    this.settle();
  }

  /** Takes the room that it needs now, none where it is empty; gives whether that is a change. */
  settle() {
    const height = `${this.minHeight}px`;
    if (this.element.style.minHeight === height) return false;
    this.element.style.minHeight = height;
    this.element.hidden = !this.wanted;
    hide(this.widget, !this.wanted);
    return true;
  }

  /** Shows what was reported; nothing where nothing was. */
  tell(/** @type {Report | null} */ report, /** @type {boolean} */ old) {
    if (report === this.report && old === this.old) return;
    [this.report, this.old] = [report, old];
    this.headline.hidden = !report;
    if (!report) this.whole.hidden = true;
    if (!report) return;
    const margin = report.margin === null ? "" : ` · ${t("margin {value}", { value: report.margin.toFixed(2) })}`;
    this.words.textContent = `${old ? `${t("Earlier run")}: ` : ""}${report.headline}${margin}`;
    this.headline.title = old ? t("Something before this node, or in it, has changed since. Run it again to see how it is now.") : report.headline;
    this.headline.dataset.level = old ? "old" : report.level;
    this.sign.className = `pi ${old ? "pi-history" : SIGNS[report.level] ?? SIGNS.note}`;
    this.whole.textContent = report.text || report.headline;
  }

  unfold() {
    this.whole.hidden = !this.whole.hidden;
    this.headline.setAttribute("aria-expanded", String(!this.whole.hidden));
  }

  /** Draws what depends on the node's widgets. */
  refresh() {
    fold(this.node);
    const names = advanced(this.node);
    this.more.hidden = !names.length || pageFolds(this.node);
    if (!this.more.hidden) this.showAdvanced();
    this.drawn.forEach((draw) => draw());
    this.tools.hidden = [...this.tools.children].every((child) => /** @type {HTMLElement} */ (child).hidden);
  }

  showAdvanced() {
    const open = Boolean(this.node.showAdvanced);
    const changed = unusual(this.node);
    const text = `${open ? "▾" : "▸"} ${t("Advanced")}${changed.length ? ` · ${changed.join(", ")}` : ""}`;
    if (this.more.textContent !== text) this.more.textContent = text;
    this.more.title = changed.length ? t("Not as in a new node: {names}", { names: changed.join(", ") }) : t("What is rarely needed");
    this.more.setAttribute("aria-expanded", String(open));
  }

  /** Folds or unfolds what is rarely needed, and gives the node the room for it. */
  toggle() {
    const { node } = this;
    const before = node.computeSize()[1];
    node.showAdvanced = !node.showAdvanced;
    this.refresh();
    const [width, height] = node.computeSize();
    node.setSize([Math.max(node.size[0], width), Math.max(node.size[1] + height - before, height)]);
    this.changed();
  }
}
