// @ts-check
/**
 * What the server knows of the files in models/sepme.
 *
 * @typedef {object} Entry
 * @property {string} file
 * @property {string} concept
 * @property {string[]} synonyms
 * @property {string} anchor
 * @property {string} family
 * @property {string} method
 * @property {number} size in bytes
 * @property {number} modified in seconds since 1970
 * @property {{exact: number, linear: number, prompt: string} | null} leak
 * @property {boolean} thumbnail
 * @property {string} problem why the file cannot be used; empty when it can
 */
import { ask } from "./ask.js";
import { listed } from "./rows.js";

const PATH = "/sepme/library";

export class LibraryClient {
  /** @param {any} api the page's own */
  constructor(api) {
    this.api = api;
    /** @type {Entry[]} */
    this.files = [];
    /** @type {Map<string, Entry>} */
    this.byFile = new Map();
    this.loaded = false;
    this.writable = true;
    this.problem = "";
    /** @type {Set<() => void>} */
    this.listeners = new Set();
  }

  /** Calls a function whenever the files may be others; lists them if nobody has yet. */
  listen(/** @type {() => void} */ listener) {
    if (this.listeners.has(listener)) return;
    this.listeners.add(listener);
    if (this.listeners.size === 1) this.refresh();
  }

  forget(/** @type {() => void} */ listener) {
    this.listeners.delete(listener);
  }

  entry(/** @type {string} */ file) {
    return this.byFile.get(listed(file));
  }

  /** Lists the files again, if anybody wants to know. */
  async refresh() {
    if (!this.listeners.size) return;
    try {
      const { files, writable } = await this.ask("");
      Object.assign(this, { files, writable, loaded: true, problem: "" });
      this.byFile = new Map(this.files.map((entry) => [entry.file, entry]));
    } catch (error) {
      this.problem = /** @type {Error} */ (error).message;
    }
    for (const listener of this.listeners) listener();
  }

  async hash(/** @type {string} */ file) {
    return (await this.ask(`/hash?file=${encodeURIComponent(listed(file))}`)).sha256;
  }

  async rename(/** @type {string} */ file, /** @type {string} */ name) {
    await this.ask("/rename", { file, name });
    await this.refresh();
  }

  async remove(/** @type {string} */ file) {
    await this.ask("/delete", { file });
    await this.refresh();
  }

  /** Address of a file's picture. */
  picture(/** @type {Entry} */ { file, modified }) {
    return this.api.apiURL(`${PATH}/thumbnail?file=${encodeURIComponent(file)}&t=${modified}`);
  }

  /** @returns {Promise<any>} */
  ask(/** @type {string} */ path, /** @type {object | undefined} */ sent = undefined) {
    return ask(this.api, PATH + path, sent);
  }
}
