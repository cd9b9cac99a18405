// @ts-check
/**
 * The files that were thrown away, each with a button that brings it back.
 *
 * @typedef {object} Thrown
 * @property {string} trash its name in the trash
 * @property {string} file the name that it had
 * @property {number} modified in seconds since 1970
 * @property {number} size in bytes
 */
import { h } from "./dom.js";
import { bytes, day } from "./library_words.js";
import { matching } from "./row_changes.js";
import { WindowedList } from "./windowed_list.js";
import { t } from "./words.js";

const CARD = 48;

export class TrashList {
  /**
   * @param {import("./library_client.js").LibraryClient} library
   * @param {import("./panel.js").Host} host
   */
  constructor(library, host) {
    this.library = library;
    this.host = host;
    /** @type {Thrown[]} */
    this.files = [];
    /** @type {Thrown[]} */
    this.shown = [];
    this.list = new WindowedList(() => this.card(), CARD);
    this.element = this.list.element;
    this.element.hidden = true;
  }

  /** Lists the trash anew; nothing is in it where the server cannot tell. */
  async load() {
    this.files = await this.library.trash().catch((/** @type {unknown} */ error) => (this.host.complain(error), []));
  }

  draw(/** @type {string} */ wanted) {
    this.shown = matching(this.files.map(({ file }) => file), wanted).map((at) => this.files[at]);
    this.list.show(this.shown.length);
  }

  card() {
    /** @type {Thrown} */
    let thrown;
    const [file, facts] = [h("span"), h("small")];
    const restore = h("button", { type: "button", title: t("Restore"), "aria-label": t("Restore"), onclick: () => this.restore(thrown) }, h("i", { className: "pi pi-undo" }));
    const element = h("div", { className: "sepme-card sepme-thrown" }, h("div", { className: "sepme-words" }, file, facts), restore);
    const draw = (/** @type {number} */ index) => {
      thrown = this.shown[index];
      file.textContent = file.title = thrown.file;
      facts.textContent = `${bytes(thrown.size)} · ${day(thrown.modified)}`;
    };
    return { element, draw };
  }

  async restore(/** @type {Thrown} */ { trash }) {
    await this.library.restore(trash).catch(this.host.complain);
  }
}
