// @ts-check
/**
 * The rows of SepME Load Stack.
 *
 * @typedef {import("./row_line.js").Item} Item
 * @typedef {import("./library_client.js").Entry} Entry
 */
import { h } from "./dom.js";
import { Panel } from "./panel.js";
import { canRestore, connectSources, lineOf, wantedLine } from "./restoring.js";
import { addFile, changeRow } from "./row_changes.js";
import { listed } from "./rows.js";
import { TextWidget } from "./text_widget.js";
import { t } from "./words.js";

/** States that only rows without a file have. */
const WITHOUT_FILE = new Set(["missing", "computed", "refused"]);

export class StackPanel {
  /**
   * @param {any} node
   * @param {import("./panel.js").Host} host
   * @param {import("./library_client.js").LibraryClient} library
   */
  constructor(node, host, library) {
    this.node = node;
    this.host = host;
    this.rows = new TextWidget(node, "rows", "file");
    this.library = library;
    /** @type {Map<string, {state: string, text: string, connected: boolean}>} what the last run told, by file */
    this.told = new Map();
    this.panel = new Panel(this.model(), host, { ordered: true });
    this.again = h("button", { type: "button", className: "sepme-again", hidden: true, onclick: () => this.restore() }, t("Compute again"));
    this.panel.foot.append(this.again, this.adder());
    this.rows.hide();
    acceptFiles(this.panel.element, (file) => this.add(file));
  }

  /** What the panel has to be drawn anew for. */
  get seen() {
    return `${this.rows.linked}${canRestore(this.node)}\n${this.rows.text}`;
  }

  /** @returns {import("./panel.js").Model} */
  model() {
    const { rows } = this;
    return {
      kind: "file",
      text: () => rows.text,
      setText: (text) => { rows.text = text; },
      state: () => rows.state,
      write: (state) => { rows.state = state; },
      complete: () => rows.state,
      items: () => this.items(),
      placeOf: (_, item) => item.index,
      linked: () => rows.linked,
      drawn: () => { this.again.hidden = canRestore(this.node) || this.missing().length === 0; },
    };
  }

  /** Rows that are on and have no file. */
  missing() {
    const { library } = this;
    return this.rows.state.rows.filter((row) => row.on && library.loaded && !library.entry(row.key));
  }

  /** Connects what missing files can be computed again from, with the next run. */
  restore() {
    const lines = [...new Set(this.rows.state.rows.map(wantedLine))].sort();
    const left = connectSources(this.node, lines, (type) => /** @type {any} */ (window).LiteGraph.createNode(type));
    if (left.length) this.host.complain(t("Nothing was found to connect to: {inputs}. Connect it yourself.", { inputs: left.join(", ") }));
    this.host.changed();
    this.panel.refresh();
  }

  /** @returns {Item[]} */
  items() {
    return this.rows.state.rows.map((row, index) => {
      const file = listed(row.key);
      const { state, text } = row.on ? this.stateOf(file) : { state: "off", text: "" };
      const concept = this.library.entry(file)?.concept;
      const label = concept && !file.includes(concept) ? `${row.key} (${concept})` : row.key;
      return { index, label, row, state, text, done: 0 };
    });
  }

  /** What the folder says goes before what the last run said. */
  stateOf(/** @type {string} */ file) {
    const entry = this.library.entry(file);
    const told = this.told.get(file);
    const absent = this.library.loaded && !entry;
    if (absent && !canRestore(this.node)) return { state: "missing", text: t("It is not in models/sepme. Put the file there, switch the row off, or press “Compute again”.") };
    if (entry?.problem) return { state: "corrupt", text: entry.problem };
    const known = told && told.state !== "off" && WITHOUT_FILE.has(told.state) === absent;
    const fits = known && (told.connected || !absent);
    if (fits) return told;
    return { state: "waiting", text: absent ? t("Its file is missing: it will be computed again with the next run.") : t("Not loaded yet: it will be with the next run.") };
  }

  /** Takes in what the server tells of a row. */
  tell(/** @type {any} */ row) {
    this.told.set(row.file, { ...row, connected: canRestore(this.node) });
    this.panel.refreshSoon();
  }

  progress() {}

  ended() {}

  async add(/** @type {string} */ file) {
    if (this.rows.state.problem) return;
    this.panel.write(addFile(this.rows.state, file, lineOf(this.library.entry(file))));
    const sha256 = await this.library.hash(file).catch(() => "");
    const { state } = this.rows;
    const at = state.rows.findLastIndex((row) => listed(row.key) === listed(file) && !row.sha256);
    if (sha256 && at >= 0) this.panel.write(changeRow(state, at, { sha256 }));
  }

  adder() {
    const options = h("datalist", { id: `sepme-files-${crypto.randomUUID?.() ?? Math.random()}` });
    const input = h("input", { className: "sepme-add", placeholder: t("Add a file"), "aria-label": t("Add a file"), list: options.id });
    input.addEventListener("focus", () => {
      const files = this.library.files.filter((entry) => !entry.problem);
      options.replaceChildren(...files.map(({ file, concept }) => h("option", { value: file }, concept)));
    });
    const add = (/** @type {boolean} */ sure) => {
      const wanted = input.value.trim();
      if (!wanted || !(sure || this.library.entry(wanted))) return;
      input.value = "";
      this.add(wanted);
    };
    input.addEventListener("input", () => add(false));
    input.addEventListener("change", () => add(true));
    return h("label", { className: "sepme-adder" }, input, options);
  }
}

export const FILE_TYPE = "application/x-sepme-file";

/** Lets files of the library be dropped on an element. */
function acceptFiles(/** @type {HTMLElement} */ element, /** @type {(file: string) => void} */ add) {
  const ours = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes(FILE_TYPE);
  element.addEventListener("dragover", (event) => {
    if (ours(event)) event.preventDefault();
  });
  element.addEventListener("drop", (event) => {
    if (!ours(event)) return;
    event.preventDefault();
    event.stopPropagation();
    add(/** @type {DataTransfer} */ (event.dataTransfer).getData(FILE_TYPE));
  });
}
