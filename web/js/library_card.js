// @ts-check
/**
 * One file in the sidebar: its picture, what it removes, and what can be done with it.
 *
 * @typedef {import("./library_client.js").Entry} Entry
 *
 * @typedef {object} Doing
 * @property {(index: number) => Entry} entry the file at a place of the list
 * @property {(entry: Entry) => string} picture the address of its picture
 * @property {() => boolean} writable
 * @property {(entry: Entry) => void} add
 * @property {(entry: Entry) => void} rename
 * @property {(entry: Entry) => void} remove
 * @property {(entry: Entry) => void} choosePicture
 * @property {(entry: Entry, data: DataTransfer) => void} dropPicture
 */
import { h } from "./dom.js";
import { FILE_TYPE } from "./file_drop.js";
import { described } from "./library_words.js";
import { maybePicture } from "./pictures.js";
import { t } from "./words.js";

/** @returns {import("./windowed_list.js").Line} */
export function libraryCard(/** @type {Doing} */ doing) {
  /** @type {Entry} */
  let entry;
  const picture = h("img", { alt: "", loading: "lazy", draggable: false });
  const [concept, file, facts] = [h("strong"), h("span"), h("small")];
  const add = action("pi-plus", t("Add"), () => doing.add(entry));
  const rename = action("pi-pencil", t("Rename"), () => doing.rename(entry));
  const image = action("pi-image", t("Picture: choose one, or drop it here"), () => doing.choosePicture(entry));
  const remove = action("pi-trash", t("Delete"), () => doing.remove(entry));
  const words = h("div", { className: "sepme-words" }, concept, file, facts);
  const actions = h("div", { className: "sepme-actions" }, add, rename, image, remove);
  const element = h("div", { className: "sepme-card", draggable: true }, picture, words, actions);
  element.addEventListener("dragstart", (event) => event.dataTransfer?.setData(FILE_TYPE, entry.file));
  takePictures(element, (data) => doing.dropPicture(entry, data));
  const draw = (/** @type {number} */ index) => {
    if (entry === doing.entry(index)) return;
    entry = doing.entry(index);
    picture.hidden = !entry.thumbnail;
    if (entry.thumbnail) picture.src = doing.picture(entry);
    else picture.removeAttribute("src");
    concept.textContent = entry.concept || "?";
    file.textContent = file.title = entry.file;
    facts.textContent = facts.title = entry.problem || described(entry);
    element.classList.toggle("sepme-has-problem", Boolean(entry.problem));
    add.disabled = Boolean(entry.problem);
    rename.disabled = remove.disabled = image.disabled = entry.linked === true || !doing.writable();
  };
  return { element, draw };
}

/** Takes pictures that are dropped; the page would open their workflow otherwise. */
function takePictures(/** @type {HTMLElement} */ element, /** @type {(data: DataTransfer) => void} */ take) {
  const ours = (/** @type {DragEvent} */ { dataTransfer }) => !dataTransfer?.types.includes(FILE_TYPE) && maybePicture(dataTransfer);
  const mark = (/** @type {boolean} */ on) => element.classList.toggle("sepme-takes", on);
  element.addEventListener("dragover", (event) => {
    if (!ours(event)) return;
    event.preventDefault();
    event.stopPropagation();
    mark(true);
  });
  element.addEventListener("dragleave", () => mark(false));
  element.addEventListener("drop", (event) => {
    mark(false);
    if (!ours(event)) return;
    event.preventDefault();
    event.stopPropagation();
    take(/** @type {DataTransfer} */ (event.dataTransfer));
  });
}

/** A button with one of the page's own icons: not every system has a letter for each. */
export function action(/** @type {string} */ icon, /** @type {string} */ title, /** @type {() => void} */ onclick) {
  const sign = h("i", { className: `pi ${icon}` });
  return h("button", { type: "button", title, "aria-label": title, onclick }, sign);
}
