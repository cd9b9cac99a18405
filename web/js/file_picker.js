// @ts-check
/**
 * A field that adds files of the library: typed, or chosen in a list of folders with pictures.
 *
 * Nothing is added but by Enter or a click on it; the list lies above the whole page, so that no
 * node cuts it off.
 *
 * @typedef {import("./choices.js").Choice} Choice
 * @typedef {import("./library_client.js").Entry} Entry
 */
import { choices, lastPart, parentOf, stem } from "./choices.js";
import { h, keepFromGraph, oncePerFrame } from "./dom.js";
import { described } from "./library_words.js";
import { WindowedList } from "./windowed_list.js";
import { t } from "./words.js";

const [WIDTH, HEIGHT, CHOICE, PAGE] = [460, 300, 26, 8]; // pixels, and rows that PageDown goes

export class FilePicker {
  /**
   * @param {import("./library_client.js").LibraryClient} library
   * @param {(file: string) => boolean} has whether a file was added before
   * @param {(files: string[]) => void} add
   */
  constructor(library, has, add) {
    this.library = library;
    this.has = has;
    this.add = add;
    this.folder = "";
    this.active = -1;
    /** @type {Set<string>} files that are added together */
    this.ticked = new Set();
    /** @type {Choice[]} */
    this.choices = [];
    this.id = `sepme-picker-${Math.random().toString(36).slice(2)}`;
    this.input = this.field();
    const browse = h("button", { type: "button", className: "sepme-browse", title: t("Choose files"), "aria-label": t("Choose files"), onclick: () => this.toggle() }, h("i", { className: "pi pi-folder-open" }));
    this.element = h("div", { className: "sepme-adder" }, this.input, browse);
    this.list = new WindowedList(() => this.line(), CHOICE, ["listbox", "option"]);
    Object.assign(this.list.element, { id: this.id, ariaMultiSelectable: "true", ariaLabel: t("Files") });
    this.path = h("button", { type: "button", className: "sepme-path", title: t("To the folder above"), onclick: () => this.open(parentOf(this.folder)) });
    this.note = h("p", { className: "sepme-problem", role: "status" });
    this.picture = h("img", { alt: "" });
    this.caption = h("p");
    this.finish = h("button", { type: "button", className: "sepme-finish", onclick: () => this.take([...this.ticked]) });
    this.popup = this.layout();
    this.refresh = oncePerFrame(() => this.draw());
    this.outside = (/** @type {Event} */ event) => {
      const { target } = event;
      if (!(target instanceof Node) || !(this.popup.contains(target) || this.element.contains(target))) this.close();
    };
  }

  get opened() {
    return this.popup.isConnected;
  }

  field() {
    const label = t("Add a file");
    const input = h("input", { className: "sepme-add", placeholder: label, "aria-label": label, role: "combobox", autocomplete: "off", "aria-expanded": "false", "aria-controls": this.id, spellcheck: false });
    input.addEventListener("input", () => this.search());
    input.addEventListener("click", () => this.show());
    input.addEventListener("keydown", (event) => this.key(event));
    return input;
  }

  layout() {
    const side = h("div", { className: "sepme-preview" }, this.picture, this.caption);
    const middle = h("div", { className: "sepme-choices" }, this.list.element, side);
    const hint = h("span", { className: "sepme-hint" }, t("Enter adds, Shift+Enter ticks, Esc closes"));
    const foot = h("div", { className: "sepme-tools" }, hint, this.finish);
    const popup = h("div", { className: "sepme-panel sepme-picker" }, this.path, this.note, middle, foot);
    popup.addEventListener("mousedown", (event) => event.preventDefault()); // the field keeps the focus
    keepFromGraph(popup);
    return popup;
  }

  show() {
    if (this.opened) return;
    document.body.append(this.popup);
    this.input.ariaExpanded = "true";
    for (const type of ["pointerdown", "wheel"]) document.addEventListener(type, this.outside, { capture: true, passive: true });
    this.library.listen(this.refresh);
    this.draw();
    this.place();
  }

  close() {
    this.popup.remove();
    this.input.ariaExpanded = "false";
    for (const type of ["pointerdown", "wheel"]) document.removeEventListener(type, this.outside, { capture: true });
    this.library.forget(this.refresh);
    this.ticked.clear();
    this.active = -1;
  }

  toggle() {
    if (this.opened) return this.close();
    this.input.focus();
    this.show();
  }

  /** Below the field, or above it where there is more room; within the page. */
  place() {
    const box = this.input.getBoundingClientRect();
    const below = window.innerHeight - box.bottom;
    const top = below > HEIGHT || below > box.top ? box.bottom + 2 : Math.max(box.top - HEIGHT - 2, 0);
    const left = Math.max(Math.min(box.left, window.innerWidth - WIDTH - 8), 0);
    Object.assign(this.popup.style, { left: `${left}px`, top: `${top}px`, width: `${WIDTH}px`, height: `${HEIGHT}px` });
  }

  search() {
    this.show();
    this.active = this.input.value.trim() ? 0 : -1;
    this.list.element.scrollTop = 0;
    this.draw();
  }

  /** Shows what is in a folder. */
  open(/** @type {string} */ folder) {
    this.folder = folder;
    this.input.value = "";
    this.search();
  }

  draw() {
    const { library, folder, input } = this;
    this.choices = choices(library.files, folder, input.value);
    this.active = Math.min(this.active, this.choices.length - 1);
    this.path.hidden = !folder;
    this.path.textContent = `← ${folder}`;
    this.note.textContent = this.choices.length ? "" : this.why();
    this.note.hidden = !this.note.textContent;
    this.finish.hidden = !this.ticked.size;
    this.finish.textContent = t("Add {count}", { count: this.ticked.size });
    this.list.show(this.choices.length);
    this.preview(this.choices[this.active]?.entry ?? null);
    this.input.setAttribute("aria-activedescendant", this.active < 0 ? "" : `${this.id}-${this.active}`);
  }

  /** Why there is nothing to choose. */
  why() {
    const { problem, loaded, files } = this.library;
    if (problem || !loaded) return problem;
    return files.length ? t("No file in models/sepme fits “{text}”.", { text: this.input.value }) : t("There are no files in models/sepme yet: SepME Save puts them there.");
  }

  line() {
    let at = 0;
    const tick = h("input", { type: "checkbox", tabIndex: -1, onclick: () => this.tick(at) });
    const sign = h("i", { className: "pi pi-folder" });
    const [label, more] = [h("span", { className: "sepme-label" }), h("small")];
    const element = h("div", { className: "sepme-choice" }, tick, sign, label, more);
    element.addEventListener("click", (event) => {
      if (event.target !== tick) this.click(at, event);
    });
    element.addEventListener("mouseenter", () => this.preview(this.choices[at]?.entry ?? null));
    const draw = (/** @type {number} */ index) => {
      at = index;
      const { folder, count, entry } = this.choices[index];
      element.id = `${this.id}-${index}`;
      element.classList.toggle("sepme-active", index === this.active);
      element.ariaSelected = String(Boolean(entry && this.ticked.has(entry.file)));
      tick.hidden = !entry;
      tick.checked = element.ariaSelected === "true";
      tick.ariaLabel = `${t("on")}: ${entry?.file ?? ""}`;
      sign.hidden = Boolean(entry);
      label.textContent = element.title = entry ? this.named(entry) : lastPart(folder);
      more.textContent = entry ? this.beside(entry) : String(count);
    };
    return { element, draw };
  }

  /** A file's name as far as the folder does not tell it. */
  named(/** @type {Entry} */ { file }) {
    return this.input.value.trim() ? file.replace(/\.safetensors$/i, "") : stem(file);
  }

  beside(/** @type {Entry} */ { file, concept, family }) {
    if (this.has(file)) return t("added");
    return [stem(file) === concept ? "" : concept, family].filter(Boolean).join(" · ");
  }

  preview(/** @type {Entry | null} */ entry) {
    this.picture.hidden = !entry?.thumbnail;
    if (entry?.thumbnail) this.picture.src = this.library.picture(entry);
    this.caption.textContent = entry ? `${entry.concept} · ${described(entry)}` : "";
  }

  click(/** @type {number} */ at, /** @type {MouseEvent} */ { ctrlKey, metaKey, shiftKey }) {
    const { entry, folder } = this.choices[at];
    if (!entry) this.open(folder);
    else if (this.ticked.size || ctrlKey || metaKey || shiftKey) this.tick(at);
    else this.take([entry.file]);
  }

  tick(/** @type {number} */ at) {
    const file = this.choices[at]?.entry?.file;
    if (file && !this.ticked.delete(file)) this.ticked.add(file);
    this.draw();
  }

  take(/** @type {string[]} */ files) {
    if (!files.length) return;
    this.input.value = "";
    this.close();
    this.add(files);
  }

  key(/** @type {KeyboardEvent} */ event) {
    if (event.isComposing) return; // Enter chooses a Chinese word then
    const done = this.carryOut(event);
    if (!done) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @returns {boolean} whether the key was one of the list's */
  carryOut(/** @type {KeyboardEvent} */ { key, shiftKey }) {
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: PAGE, PageUp: -PAGE }[key];
    if (by) return this.go(by);
    if (key === "Enter") return this.enter(shiftKey);
    if (!this.opened) return false;
    if (key === "Escape" || key === "Tab") this.close();
    if (key === "Escape") return true;
    const at = this.choices[this.active];
    if (this.input.value) return false;
    if (key === "ArrowRight" && at?.folder) this.open(at.folder);
    else if ((key === "ArrowLeft" || key === "Backspace") && this.folder) this.open(parentOf(this.folder));
    else return false;
    return true;
  }

  go(/** @type {number} */ by) {
    this.show();
    const last = this.choices.length - 1;
    this.active = Math.min(Math.max(this.active + by, Math.min(0, last)), last);
    if (this.active >= 0) this.list.reveal(this.active);
    this.draw();
    return true;
  }

  enter(/** @type {boolean} */ ticks) {
    if (!this.opened) {
      this.search();
      return true;
    }
    const at = this.choices[this.active];
    if (ticks) this.tick(this.active), this.go(1);
    else if (at?.folder) this.open(at.folder);
    else this.take(this.ticked.size ? [...this.ticked] : at?.entry ? [at.entry.file] : []);
    return true;
  }
}
