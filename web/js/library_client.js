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
 * @property {string | number | null} [picture] another one whenever the picture beside it is
 * @property {boolean} [linked] whether it lies elsewhere, and is changed only there
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
    /** @type {(from: string, to: string) => void} is told when a file has another name */
    this.renamed = () => {};
    /** @type {Map<string, string>} files by their hash, as far as they were looked for */
    this.places = new Map();
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
      this.places.clear();
    } catch (error) {
      this.problem = /** @type {Error} */ (error).message;
    }
    this.tell();
  }

  tell() {
    for (const listener of this.listeners) listener();
  }

  /** Where a file of that hash is; empty while nobody knows. Asked once for every listing. */
  whereIs(/** @type {string | undefined} */ sha256) {
    if (!sha256) return "";
    if (!this.places.has(sha256)) this.lookFor(sha256);
    return this.places.get(sha256) ?? "";
  }

  async lookFor(/** @type {string} */ sha256) {
    this.places.set(sha256, "");
    const { file } = await this.ask(`/find?sha256=${sha256}`).catch(() => ({ file: "" }));
    if (!file) return;
    this.places.set(sha256, file);
    this.tell();
  }

  async hash(/** @type {string} */ file) {
    return (await this.ask(`/hash?file=${encodeURIComponent(listed(file))}`)).sha256;
  }

  async rename(/** @type {string} */ file, /** @type {string} */ name) {
    const now = await this.ask("/rename", { file, name });
    await this.refresh();
    this.renamed(file, now.file);
  }

  async remove(/** @type {string} */ file) {
    await this.ask("/delete", { file });
    await this.refresh();
  }

  /** What was thrown away. @returns {Promise<import("./trash_list.js").Thrown[]>} */
  async trash() {
    return (await this.ask("/trash")).files;
  }

  async restore(/** @type {string} */ trash) {
    await this.ask("/restore", { trash });
    await this.refresh();
  }

  /** Address of a file's picture. */
  picture(/** @type {Entry} */ { file, modified, picture }) {
    return this.api.apiURL(`${PATH}/thumbnail?file=${encodeURIComponent(file)}&t=${encodeURIComponent(picture ?? modified)}`);
  }

  /** Puts a picture beside a file. */
  async setPicture(/** @type {string} */ file, /** @type {Blob} */ picture) {
    await this.ask(`/thumbnail?file=${encodeURIComponent(file)}`, picture);
    await this.refresh();
  }

  /** @returns {Promise<any>} */
  ask(/** @type {string} */ path, /** @type {object | undefined} */ sent = undefined) {
    return ask(this.api, PATH + path, sent);
  }
}
