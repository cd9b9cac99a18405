// @ts-check
/**
 * Presets for all workflows, kept among the user's settings on the server.
 *
 * @typedef {import("./rows.js").Kind} Kind
 * @typedef {Record<string, unknown>} Presets rows as they are written, by the preset's name
 * @typedef {{version: number} & Record<Kind, Presets>} Kept
 */
import { renamedRows } from "./row_changes.js";
import { t } from "./words.js";

export const PATH = "/settings/SepME.Presets";
const VERSION = 1;

export class PresetStore {
  /** @param {(path: string, sent?: object) => Promise<any>} ask */
  constructor(ask) {
    this.ask = ask;
    /** @type {Kept} */
    this.kept = none();
    this.stamp = 0; // another one for every change
  }

  /** Takes what the server has now: another page may have changed it. */
  async load() {
    const told = await this.ask(PATH);
    const kept = told?.version === undefined ? none() : told;
    if (kept.version !== VERSION) throw new Error(t("The presets for all workflows have version {version}; this version of SepME reads {known}. Update the SepME nodes to use them.", { version: String(kept.version), known: VERSION }));
    if (JSON.stringify(kept) !== JSON.stringify(this.kept)) this.take({ ...none(), ...kept });
  }

  names(/** @type {Kind} */ kind) {
    return Object.keys(this.kept[kind]);
  }

  rows(/** @type {Kind} */ kind, /** @type {string} */ name) {
    return this.kept[kind][name];
  }

  async save(/** @type {Kind} */ kind, /** @type {string} */ name, /** @type {unknown} */ rows) {
    await this.change(kind, (presets) => ({ ...presets, [name]: rows }));
  }

  async remove(/** @type {Kind} */ kind, /** @type {string} */ name) {
    await this.change(kind, (presets) => Object.fromEntries(Object.entries(presets).filter(([other]) => other !== name)));
  }

  /** Lets the presets follow a file to its new name. */
  async renamed(/** @type {string} */ from, /** @type {string} */ to) {
    await this.change("file", (presets) => Object.fromEntries(Object.entries(presets).map(([name, rows]) => [name, renamedRows(rows, from, to)])));
  }

  async change(/** @type {Kind} */ kind, /** @type {(presets: Presets) => Presets} */ edit) {
    await this.load();
    const next = { ...this.kept, [kind]: edit(this.kept[kind]) };
    if (JSON.stringify(next) === JSON.stringify(this.kept)) return;
    await this.ask(PATH, next);
    this.take(next);
  }

  take(/** @type {Kept} */ kept) {
    this.kept = kept;
    this.stamp += 1;
  }
}

/** @returns {Kept} */
function none() {
  return { version: VERSION, file: {}, concept: {} };
}
