// @ts-check
/**
 * The button "Protect neighbours", and the names that it suggests, to be ticked.
 *
 * @typedef {import("./neighbours.js").Suggested} Suggested
 */
import { h } from "./dom.js";
import { missing, withNames } from "./neighbours.js";
import { t } from "./words.js";

export class Chooser {
  /**
   * @param {any} node one with a field `protected_concepts`
   * @param {(progress: (done: number, all: number) => void) => Promise<Suggested[]>} suggest
   * @param {() => void} changed is called when the field has changed
   */
  constructor(node, suggest, changed) {
    this.node = node;
    this.suggest = suggest;
    this.changed = changed;
    this.widget = node.widgets.find((/** @type {any} */ widget) => widget.name === "protected_concepts");
    this.button = h("button", { type: "button", className: "sepme-protect", title: t("Suggests names that are most like the concepts, to be kept as they are"), onclick: () => this.ask() }, t("Protect neighbours"));
    this.note = h("p", { className: "sepme-note", role: "status" });
    this.list = h("div", { className: "sepme-names" });
    this.add = h("button", { type: "button", className: "sepme-protect-ticked", onclick: () => this.write() }, t("Protect what is ticked"));
    this.close = h("button", { type: "button", onclick: () => { this.element.hidden = true; } }, t("Close"));
    const ends = h("div", { className: "sepme-foot-tools" }, this.add, this.close);
    this.element = h("div", { className: "sepme-chooser", hidden: true, "data-height": 190 }, this.note, this.list, ends);
  }

  get linked() {
    return this.node.inputs?.find((/** @type {any} */ input) => input.name === "protected_concepts")?.link != null;
  }

  async ask() {
    this.button.disabled = true;
    this.show([], t("The text encoder is asked…"));
    const progress = (/** @type {number} */ done, /** @type {number} */ all) => this.show([], `${t("The text encoder is asked…")} ${done}/${all}`);
    try {
      const found = missing(await this.suggest(progress), String(this.widget.value ?? ""));
      this.show(found, found.length ? t("Like the concepts. What is ticked stays as it is:") : t("Nothing else was found that is like the concepts."));
    } catch (error) {
      this.show([], error instanceof Error ? error.message : String(error));
    }
    this.button.disabled = false;
  }

  show(/** @type {Suggested[]} */ found, /** @type {string} */ note) {
    this.element.hidden = false;
    this.note.textContent = note;
    this.note.title = note;
    const groups = found.map(({ concept, names }) => {
      const all = h("input", { type: "checkbox", "aria-label": `${t("All")}: ${concept}` });
      const ticks = names.map(({ name, similarity }) => {
        const tick = h("input", { type: "checkbox", value: name });
        return h("label", { title: t("similarity {value}", { value: similarity }) }, tick, name);
      });
      all.addEventListener("change", () => ticks.forEach((label) => { /** @type {HTMLInputElement} */ (label.firstChild).checked = all.checked; }));
      return h("fieldset", {}, h("legend", {}, h("label", {}, all, concept)), ...ticks);
    });
    this.list.replaceChildren(...groups);
    this.add.hidden = !found.length;
  }

  /** Adds what is ticked to the field. */
  write() {
    if (this.linked) return this.show([], t("The protected concepts come from a link: add the names there."));
    const ticked = [.../** @type {NodeListOf<HTMLInputElement>} */ (this.list.querySelectorAll("input[value]:checked"))].map((tick) => tick.value).filter((name) => name !== "on");
    this.widget.value = withNames(String(this.widget.value ?? ""), ticked);
    this.widget.callback?.(this.widget.value);
    this.element.hidden = true;
    this.changed();
  }
}
