// @ts-check
/**
 * The menu of presets: those of this workflow, which travel with it, and those for all workflows.
 *
 * @typedef {import("./panel.js").Model} Model
 * @typedef {import("./panel.js").Host} Host
 * @typedef {import("./rows.js").State} State
 */
import { h } from "./dom.js";
import * as change from "./row_changes.js";
import { writeRows } from "./rows.js";
import { t } from "./words.js";

export class PresetsMenu {
  /**
   * @param {Model} model
   * @param {Host} host
   * @param {(state: State) => void} write
   */
  constructor(model, host, write) {
    this.model = model;
    this.host = host;
    this.write = write;
    const title = t("Presets");
    this.element = h("select", { className: "sepme-presets", title, "aria-label": title, onchange: () => this.choose() });
    this.element.addEventListener("focus", () => host.presets.load().catch(host.complain));
  }

  show(/** @type {string[]} */ here) {
    const everywhere = this.host.presets.names(this.model.kind);
    const key = JSON.stringify([here, everywhere]);
    if (this.element.dataset.names === key) return;
    this.element.dataset.names = key;
    this.element.replaceChildren(
      h("option", { value: "" }, t("Presets")),
      group(t("In this workflow"), here, "", t("Save as…")),
      group(t("In all workflows"), everywhere, "-all", t("Save for all workflows as…")),
    );
  }

  async choose() {
    const [verb, ...rest] = this.element.value.split(" ");
    this.element.value = "";
    await this.carryOut(verb, rest.join(" ")).catch(this.host.complain);
  }

  async carryOut(/** @type {string} */ verb, /** @type {string} */ name) {
    const { model, host } = this;
    const { presets } = host;
    if (verb === "load") this.write(change.loadPreset(model.state(), name, model.kind));
    if (verb === "load-all") this.write(change.loadRows(model.state(), presets.rows(model.kind, name), model.kind));
    if (verb === "delete") this.write(change.deletePreset(model.state(), name));
    if (verb === "delete-all" && (await host.confirm(t("Delete"), name))) await presets.remove(model.kind, name);
    if (verb === "save") await this.save();
    if (verb === "save-all") await this.saveForAll();
    this.show(Object.keys(model.state().presets));
  }

  async save() {
    const name = await this.askName();
    if (name) this.write(change.savePreset(this.model.complete(), name, this.model.kind));
  }

  async saveForAll() {
    const { model, host } = this;
    const name = await this.askName();
    if (!name) return;
    const taken = host.presets.names(model.kind).includes(name);
    if (taken && !(await host.confirm(t("Replace"), name, "overwrite"))) return;
    await host.presets.save(model.kind, name, writeRows(model.complete().rows, model.kind));
  }

  async askName() {
    return (await this.host.prompt(t("Presets"), t("Name of the preset")))?.trim();
  }
}

function group(/** @type {string} */ label, /** @type {string[]} */ names, /** @type {string} */ which, /** @type {string} */ save) {
  const option = (/** @type {string} */ value, /** @type {string} */ text) => h("option", { value }, text);
  const load = names.map((name) => option(`load${which} ${name}`, name));
  const remove = names.map((name) => option(`delete${which} ${name}`, `${t("Delete")} “${name}”`));
  return h("optgroup", { label }, ...load, option(`save${which}`, save), ...remove);
}
