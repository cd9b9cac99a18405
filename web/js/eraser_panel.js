// @ts-check
/**
 * The rows of SepME Eraser: one for every line of its concepts.
 *
 * @typedef {import("./row_line.js").Item} Item
 * @typedef {import("./curve.js").Progress} Progress
 */
import { conceptLines, signature } from "./concepts.js";
import { CurveView } from "./curve_view.js";
import { after } from "./dom.js";
import { Panel } from "./panel.js";
import { completed, places } from "./row_changes.js";
import { RowKeeper } from "./row_keeper.js";
import { freshRow, nameKey } from "./rows.js";
import { TextWidget } from "./text_widget.js";
import { Told } from "./told.js";
import { t } from "./words.js";

const REST = 400; // milliseconds without a change, before the server is asked
/** Widgets that the increments depend on, and `mode`, which says what leaks. */
const SETTINGS = ["concepts", "protected_concepts", "preserve", "preserve_list", "method", "mode", "resolution", "templates"];

export class EraserPanel {
  /**
   * @param {any} node
   * @param {import("./panel.js").Host} host
   * @param {(settings: object) => Promise<{texts: string, rows: any[]}>} ask what the server knows without a run
   */
  constructor(node, host, ask) {
    this.node = node;
    this.ask = ask;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.asking = undefined;
    this.rows = new TextWidget(node, "rows", "concept");
    this.concepts = new TextWidget(node, "concepts", "concept");
    this.told = new Told();
    this.panel = new Panel(this.model(), host, { ordered: false, properties: () => node.properties });
    this.curve = new CurveView();
    this.panel.foot.append(this.curve.element);
    this.rows.hide();
    this.keeper = new RowKeeper();
    /** @type {{concepts: string, rows: string} | null} the texts when they were last looked at */
    this.kept = null;
    after(this.concepts.widget, "callback", () => this.keep()); // before the page takes its next picture for undo
  }

  /** Keeps rows with the concepts that were typed; what came together with its rows stays as it is. */
  keep() {
    const [before, concepts] = [this.kept, this.concepts.text];
    this.kept = { concepts, rows: this.rows.text };
    if (before?.concepts === concepts) return;
    if (!before || before.rows !== this.rows.text) return this.keeper.start(concepts);
    const { state } = this.rows;
    if (state.problem || this.rows.linked || this.concepts.linked) return this.keeper.start(concepts);
    const rows = this.keeper.follow(concepts, state.rows);
    if (rows !== state.rows) this.write({ ...state, rows });
  }

  write(/** @type {import("./rows.js").State} */ state) {
    this.rows.state = state;
    this.kept = { concepts: this.concepts.text, rows: this.rows.text };
  }

  /** What the panel has to be drawn anew for. */
  get seen() {
    return JSON.stringify([this.rows.linked, this.rows.text, this.concepts.linked, this.settings()]);
  }

  /** @returns {import("./panel.js").Model} */
  model() {
    const { rows } = this;
    return {
      kind: "concept",
      text: () => rows.text,
      setText: (text) => { rows.text = text; },
      state: () => rows.state,
      write: (state) => this.write(state),
      complete: () => completed(rows.state, this.lines().filter((line) => !line.problem).map((line) => line.name)),
      items: () => this.items(),
      placeOf: (state, item) => places(state.rows).get(nameKey(item.row.key)) ?? -1,
      linked: () => rows.linked,
    };
  }

  /** Values of the widgets that count, by their names. */
  settings() {
    const counting = this.node.widgets.filter((/** @type {any} */ widget) => SETTINGS.includes(widget.name));
    return Object.fromEntries(counting.map((/** @type {any} */ { name, value }) => [name, value]));
  }

  /** The same for all spellings of what gives the same increments. */
  signature() {
    return JSON.stringify({ ...this.settings(), concepts: signature(this.lines()) });
  }

  /** Whether some of the settings come from other nodes: those are known to the server only. */
  get linked() {
    return (this.node.inputs ?? []).some((/** @type {any} */ input) => input.link != null && SETTINGS.includes(input.name));
  }

  lines() {
    return this.concepts.linked ? [] : conceptLines(this.concepts.text);
  }

  /** @returns {Item[]} */
  items() {
    const { rows } = this.rows.state;
    const known = places(rows);
    const lines = this.lines();
    const signature = this.signature();
    return lines.map((line, index) => {
      const row = rows[known.get(nameKey(line.name)) ?? -1] ?? freshRow(line.name || line.text);
      if (line.problem) return { index, label: line.text, row, state: "unreadable", text: t("Line {number}: {problem}", { number: line.number, problem: line.problem }), done: 0 };
      return { index, label: line.name, row, ...this.stateOf(row.on, this.told.row(line.name, signature, this.linked)) };
    });
  }

  stateOf(/** @type {boolean} */ on, /** @type {any} */ told) {
    if (!on) return { state: "off", text: "", done: 0 };
    if (!told || told.state === "off") return { state: "new", text: t("Not computed yet: it will be with the next run."), done: 0 };
    return { state: told.state, text: told.text, done: told.step / Math.max(told.max_steps, 1) };
  }

  /** Takes in what the server tells of a row. */
  tell(/** @type {any} */ row) {
    const signature = this.signature();
    this.told.hear(row, signature);
    if (!this.told.knows(signature)) this.asking ??= setTimeout(() => this.askNow(), REST);
    this.panel.refreshSoon();
  }

  progress(/** @type {Progress} */ at) {
    this.curve.add(at);
  }

  /** Forgets what never came to an end, and asks what is left of it. */
  ended() {
    this.told.ended();
    this.curve.clear();
    this.panel.refreshSoon();
    this.askSoon();
  }

  /** Asks about texts that nothing was told of yet. */
  changed() {
    this.keep();
    if (!this.told.knows(this.signature())) this.askSoon();
  }

  /** Asks what is computed already, once the texts have rested for a while. */
  askSoon() {
    clearTimeout(this.asking);
    this.asking = setTimeout(() => this.askNow(), REST);
  }

  async askNow() {
    this.asking = undefined;
    const about = this.signature();
    if (this.concepts.linked || !this.lines().length) return;
    const answer = await this.ask(this.settings()).catch(() => null);
    if (!answer || about !== this.signature()) return;
    this.told.answer(answer, about);
    this.panel.refreshSoon();
  }
}
