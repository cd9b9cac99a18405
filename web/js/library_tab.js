// @ts-check
/**
 * The sidebar: all increment files, those that were thrown away, and the size of the cache.
 *
 * @typedef {import("./library_client.js").Entry} Entry
 */
import { CacheLine } from "./cache_line.js";
import { stem } from "./choices.js";
import { h, oncePerFrame } from "./dom.js";
import { action, libraryCard } from "./library_card.js";
import { choosePicture, droppedPicture, shrunk } from "./pictures.js";
import { matching } from "./row_changes.js";
import { TrashList } from "./trash_list.js";
import { WindowedList } from "./windowed_list.js";
import { t } from "./words.js";

const CARD = 84;
/** What files can be sorted by; those that are alike stay in the order of their names. */
const ORDERS = /** @type {Record<string, (one: Entry, other: Entry) => number>} */ ({
  name: () => 0,
  family: (one, other) => one.family.localeCompare(other.family),
  concept: (one, other) => one.concept.localeCompare(other.concept),
  newest: (one, other) => other.modified - one.modified,
  largest: (one, other) => other.size - one.size,
});

export class LibraryTab {
  /**
   * @param {import("./library_client.js").LibraryClient} library
   * @param {import("./panel.js").Host} host
   * @param {(file: string) => void} use puts a file into the graph
   */
  constructor(library, host, use) {
    this.library = library;
    this.host = host;
    this.use = use;
    /** @type {Entry[]} */
    this.shown = [];
    this.filter = h("input", { type: "search", placeholder: t("Filter"), "aria-label": t("Filter"), oninput: () => this.draw() });
    this.order = h("select", { className: "sepme-order", title: t("Sort"), "aria-label": t("Sort"), onchange: () => this.draw() });
    this.order.append(...Object.keys(ORDERS).map((name) => h("option", { value: name }, t(name))));
    this.note = h("p", { className: "sepme-problem", role: "status" });
    this.list = new WindowedList(() => libraryCard(this.doing()), CARD);
    this.trash = new TrashList(library, host);
    this.cache = new CacheLine(library.api, host);
    this.thrown = action("pi-trash", t("Trash"), () => this.toggleTrash());
    const refresh = action("pi-refresh", t("Refresh"), () => this.reload());
    const tools = h("div", { className: "sepme-tools" }, this.filter, this.order, this.thrown, refresh);
    this.element = h("div", { className: "sepme-panel sepme-library sepme-parts" }, tools, this.note, this.list.element, this.trash.element, this.cache.element);
    const draw = oncePerFrame(() => this.draw());
    this.refresh = () => (this.trash.element.hidden ? draw() : this.trash.load().then(draw));
  }

  open(/** @type {HTMLElement} */ container) {
    container.style.height = "100%";
    container.append(this.element);
    this.library.listen(this.refresh);
    this.reload();
  }

  close() {
    this.library.forget(this.refresh);
    this.element.remove();
  }

  reload() {
    this.library.refresh();
    this.cache.refresh();
  }

  toggleTrash() {
    const { element } = this.trash;
    element.hidden = !element.hidden;
    this.list.element.hidden = this.order.disabled = !element.hidden;
    this.thrown.setAttribute("aria-pressed", String(!element.hidden));
    this.refresh();
  }

  draw() {
    const inTrash = !this.trash.element.hidden;
    this.note.textContent = inTrash ? this.noteOfTrash() : this.noteOfFiles();
    this.note.hidden = !this.note.textContent;
    if (inTrash) return this.trash.draw(this.filter.value);
    const { files } = this.library;
    const texts = files.map((entry) => `${entry.file} ${entry.concept} ${entry.family} ${entry.problem}`);
    this.shown = matching(texts, this.filter.value).map((at) => files[at]).sort(ORDERS[this.order.value]);
    this.list.show(this.shown.length);
  }

  noteOfFiles() {
    const { files, problem, writable, loaded } = this.library;
    const empty = loaded && !files.length ? t("There are no files in models/sepme yet: SepME Save puts them there.") : "";
    const locked = writable ? "" : t("models/sepme is read-only: nothing can be renamed or deleted.");
    return problem || empty || locked;
  }

  noteOfTrash() {
    return this.trash.files.length ? t("In the trash: what is restored gets its place back.") : t("The trash is empty.");
  }

  /** @returns {import("./library_card.js").Doing} */
  doing() {
    return {
      entry: (index) => this.shown[index],
      picture: (entry) => this.library.picture(entry),
      writable: () => this.library.writable,
      add: ({ file }) => this.use(file),
      rename: (entry) => this.rename(entry),
      remove: (entry) => this.remove(entry),
      choosePicture: (entry) => this.setPicture(entry, choosePicture()),
      dropPicture: (entry, data) => this.setPicture(entry, droppedPicture(data, location.origin)),
    };
  }

  async rename(/** @type {Entry} */ { file }) {
    const before = stem(file);
    const name = await this.host.prompt(t("Rename"), t("New name"), before);
    if (name && name !== before) await this.library.rename(file, name).catch(this.host.complain);
  }

  async remove(/** @type {Entry} */ { file }) {
    if (await this.host.confirm(t("Delete"), `${file} → models/sepme/trash`))
      await this.library.remove(file).catch(this.host.complain);
  }

  async setPicture(/** @type {Entry} */ { file }, /** @type {Promise<Blob | null>} */ given) {
    try {
      const picture = await given;
      if (picture) await this.library.setPicture(file, await shrunk(picture));
    } catch (error) {
      this.host.complain(error);
    }
  }
}
