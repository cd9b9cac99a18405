// @ts-check
/**
 * The sidebar's list of all increment files.
 *
 * @typedef {import("./library_client.js").Entry} Entry
 */
import { stem } from "./choices.js";
import { h, oncePerFrame } from "./dom.js";
import { FILE_TYPE } from "./file_drop.js";
import { described } from "./library_words.js";
import { matching } from "./row_changes.js";
import { WindowedList } from "./windowed_list.js";
import { t } from "./words.js";

const CARD = 84;

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
    this.note = h("p", { className: "sepme-problem", role: "status" });
    this.list = new WindowedList(() => this.card(), CARD);
    const refresh = action("pi-refresh", t("Refresh"), () => library.refresh());
    const tools = h("div", { className: "sepme-tools" }, this.filter, refresh);
    this.element = h("div", { className: "sepme-panel sepme-library sepme-parts" }, tools, this.note, this.list.element);
    this.refresh = oncePerFrame(() => this.draw());
  }

  open(/** @type {HTMLElement} */ container) {
    container.style.height = "100%";
    container.append(this.element);
    this.library.listen(this.refresh);
    this.library.refresh();
  }

  close() {
    this.library.forget(this.refresh);
    this.element.remove();
  }

  draw() {
    const { files, problem, writable, loaded } = this.library;
    const texts = files.map((entry) => `${entry.file} ${entry.concept} ${entry.family} ${entry.problem}`);
    this.shown = matching(texts, this.filter.value).map((at) => files[at]);
    const empty = loaded && !files.length ? t("There are no files in models/sepme yet: SepME Save puts them there.") : "";
    const locked = writable ? "" : t("models/sepme is read-only: nothing can be renamed or deleted.");
    this.note.textContent = problem || empty || locked;
    this.note.hidden = !this.note.textContent;
    this.list.show(this.shown.length);
  }

  card() {
    /** @type {Entry} */
    let entry;
    const picture = h("img", { alt: "", loading: "lazy", draggable: false });
    const [concept, file, facts] = [h("strong"), h("span"), h("small")];
    const add = action("pi-plus", t("Add"), () => this.use(entry.file));
    const rename = action("pi-pencil", t("Rename"), () => this.rename(entry));
    const remove = action("pi-trash", t("Delete"), () => this.remove(entry));
    const words = h("div", { className: "sepme-words" }, concept, file, facts);
    const actions = h("div", { className: "sepme-actions" }, add, rename, remove);
    const element = h("div", { className: "sepme-card", draggable: true }, picture, words, actions);
    element.addEventListener("dragstart", (event) => event.dataTransfer?.setData(FILE_TYPE, entry.file));
    const draw = (/** @type {number} */ index) => {
      if (entry === this.shown[index]) return;
      entry = this.shown[index];
      picture.hidden = !entry.thumbnail;
      if (entry.thumbnail) picture.src = this.library.picture(entry);
      else picture.removeAttribute("src");
      concept.textContent = entry.concept || "?";
      file.textContent = file.title = entry.file;
      facts.textContent = facts.title = entry.problem || described(entry);
      element.classList.toggle("sepme-has-problem", Boolean(entry.problem));
      add.disabled = Boolean(entry.problem);
      rename.disabled = remove.disabled = !this.library.writable;
    };
    return { element, draw };
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
}

/** A button with one of the page's own icons: not every system has a letter for each. */
function action(/** @type {string} */ icon, /** @type {string} */ title, /** @type {() => void} */ onclick) {
  const sign = h("i", { className: `pi ${icon}` });
  return h("button", { type: "button", title, "aria-label": title, onclick }, sign);
}
