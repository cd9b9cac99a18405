// @ts-check
/**
 * The rows of SepME Load Stack.
 *
 * @typedef {import("./row_line.js").Item} Item
 * @typedef {import("./library_client.js").Entry} Entry
 */
import { stem } from "./choices.js";
import { h } from "./dom.js";
import { acceptFiles } from "./file_drop.js";
import { FilePicker } from "./file_picker.js";
import { Panel } from "./panel.js";
import { canRestore, connectSources, lineOf, wantedLine } from "./restoring.js";
import { addFile, changeRow, renameFile } from "./row_changes.js";
import { listed, nameKey, writeState } from "./rows.js";
import { TextWidget } from "./text_widget.js";
import { t } from "./words.js";

/** States that only rows have whose file is not in its place. */
const WITHOUT_FILE = new Set(["missing", "computed", "refused", "moved"]);

/** Whether a run has loaded a row's file. */
function hasFile(/** @type {{state: string}} */ { state }) {
  return state !== "off" && !WITHOUT_FILE.has(state);
}

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
    /** @type {Map<string, {state: string, text: string, connected: boolean, unlisted: boolean}>} what the last run told, by file */
    this.told = new Map();
    this.panel = new Panel(this.model(), host, { ordered: true, properties: () => node.properties });
    this.again = h("button", { type: "button", className: "sepme-again", hidden: true, onclick: () => this.restore() }, t("Compute again"));
    const picker = new FilePicker(library, (file) => this.has(file), (files) => this.add(...files));
    this.follow = h("button", { type: "button", className: "sepme-again", hidden: true, onclick: () => this.followMoved() }, t("Use the moved files"));
    this.panel.foot.append(this.follow, this.again, picker.element);
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
      orders: {
        name: ({ key }) => key,
        concept: ({ key, erases }) => this.library.entry(key)?.concept ?? erases ?? "",
        family: ({ key }) => this.library.entry(key)?.family ?? "",
      },
      drawn: () => this.drawn(),
    };
  }

  drawn() {
    const absent = this.rows.state.rows.filter((row) => this.absent(listed(row.key)));
    const moved = absent.filter((row) => this.library.whereIs(row.sha256));
    this.follow.hidden = !moved.length;
    this.again.hidden = canRestore(this.node) || !absent.some((row) => row.on && !moved.includes(row));
  }

  /** Whether the folder has no such file; what a run has loaded though nobody listed it is there. */
  absent(/** @type {string} */ file) {
    const told = this.told.get(file);
    const listed = this.library.entry(file) !== undefined;
    if (told && listed) told.unlisted = false;
    return this.library.loaded && !listed && !(told?.unlisted && hasFile(told));
  }

  /** Lets rows name the files that were moved, by where they are now. */
  followMoved() {
    const { state } = this.rows;
    const rows = state.rows.map((row) => {
      const now = this.absent(listed(row.key)) && this.library.whereIs(row.sha256);
      return now ? { ...row, key: now } : row;
    });
    this.panel.write({ ...state, rows });
  }

  /** Lets rows and presets follow a file to its new name. */
  renamed(/** @type {string} */ from, /** @type {string} */ to) {
    const { state } = this.rows;
    if (state.problem) return;
    const next = renameFile(state, from, to);
    if (writeState(next, "file") !== writeState(state, "file")) this.panel.write(next);
  }

  /** @returns {Item[]} */
  items() {
    return this.rows.state.rows.map((row, index) => {
      const file = listed(row.key);
      const { state, text } = row.on ? this.stateOf(row) : { state: "off", text: "" };
      const { concept, family } = this.library.entry(file) ?? {};
      const label = concept && nameKey(concept) !== nameKey(stem(file)) ? `${row.key} (${concept})` : row.key;
      return { index, label, hint: [label, family].filter(Boolean).join(" · "), row, state, text, done: 0 };
    });
  }

  /** What the folder says goes before what the last run said. */
  stateOf(/** @type {import("./rows.js").Row} */ { key, sha256 }) {
    const file = listed(key);
    const entry = this.library.entry(file);
    const told = this.told.get(file);
    const absent = this.absent(file);
    const now = absent && this.library.whereIs(sha256);
    if (now) return { state: "moved", text: t("It is loaded from {file}, which is the same to the bit. “Use the moved files” writes that name into the rows.", { file: now }) };
    if (absent && !canRestore(this.node)) return { state: "missing", text: t("It is not in models/sepme. Put the file there, switch the row off, or press “Compute again”.") };
    if (entry?.problem) return { state: "corrupt", text: entry.problem };
    const known = told && told.state !== "off" && WITHOUT_FILE.has(told.state) === absent;
    const fits = known && (told.connected || !absent);
    if (fits) return told;
    return { state: "waiting", text: absent ? t("Its file is missing: it will be computed again with the next run.") : t("Not loaded yet: it will be with the next run.") };
  }

  /** Takes in what the server tells of a row. */
  tell(/** @type {any} */ row) {
    if (!row.file) return; // what is computed again is told by its concept first
    const unlisted = this.library.loaded && !this.library.entry(row.file);
    this.told.set(row.file, { ...row, connected: canRestore(this.node), unlisted });
    if (unlisted && hasFile(row)) this.library.refresh(); // somebody has put it there since
    this.panel.refreshSoon();
  }

  progress() {}

  ended() {}

  /** Adds rows for files, and their hashes as soon as they are known. */
  async add(/** @type {string[]} */ ...files) {
    if (this.rows.state.problem) return;
    this.panel.write(files.reduce((state, file) => addFile(state, file, lineOf(this.library.entry(file))), this.rows.state));
    for (const file of files) this.keepHash(file, await this.library.hash(file).catch(() => ""));
  }

  keepHash(/** @type {string} */ file, /** @type {string} */ sha256) {
    const { state } = this.rows;
    const at = state.rows.findLastIndex((row) => listed(row.key) === listed(file) && !row.sha256);
    if (sha256 && at >= 0) this.panel.write(changeRow(state, at, { sha256 }));
  }

  has(/** @type {string} */ file) {
    return this.rows.state.rows.some((row) => listed(row.key) === file);
  }
}
