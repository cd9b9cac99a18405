// @ts-check
/** The feet of all our nodes, kept in step with the graph and with what runs report. */
import { ask } from "./ask.js";
import { Chooser } from "./chooser.js";
import { Foot } from "./foot.js";
import { executionIds, nodeOf } from "./graph.js";
import { ASKING, suggesting } from "./neighbours.js";
import { Panels } from "./panels.js";
import { takeOff } from "./progress_text.js";
import { PromptCheck } from "./prompt_check.js";
import { reported, Reports } from "./reports.js";
import { saveButton } from "./saving.js";
import { shortRun } from "./short_run.js";
import { Tabs } from "./tabs.js";
import { t } from "./words.js";

const PREFIX = "SepME_";

export class Feet {
  /**
   * @param {any} app the page's own
   * @param {any} api the page's own
   * @param {() => void} changed is called when a person has changed something that is kept
   */
  constructor(app, api, changed) {
    this.app = app;
    this.api = api;
    this.changed = changed;
    /** @type {Panels<Foot>} */
    this.feet = new Panels(() => this.root);
    this.tabs = new Tabs(api, () => this.open);
    this.reports = new Reports((path) => this.get(path), () => { this.seen = null; }, described);
    /** @type {any[] | null} what the reports shown depend on */
    this.seen = null;
  }

  listen() {
    this.api.addEventListener("executed", (/** @type {any} */ { detail }) => this.hear(detail));
  }

  hear(/** @type {any} */ { prompt_id: run, node: id, output }) {
    if (reported(output)) takeOff(nodeOf(this.root, id));
    return this.reports.hear(run, String(id), output, (workflow) => this.origin(run, workflow));
  }

  /** Where a run was queued; one from before the page was opened tells it by its workflow alone. */
  origin(/** @type {string} */ run, /** @type {any} */ workflow) {
    const { now } = this.tabs;
    const shown = this.workflow();
    const tab = this.tabs.of(run) ?? (!workflow || (workflow.id && workflow.id === shown.id) ? now : -1);
    return { tab, shown: tab === now ? shown : null };
  }

  /** Gives one of our nodes a foot. @returns {Foot | null} */
  attach(/** @type {any} */ node) {
    if (!node.comfyClass?.startsWith(PREFIX)) return null;
    const foot = new Foot(node, this.changed);
    this.furnish(node, foot);
    foot.refresh();
    foot.place();
    this.feet.set(node, foot);
    return foot;
  }

  /** Adds what only some of our nodes have. */
  furnish(/** @type {any} */ node, /** @type {Foot} */ foot) {
    const has = (/** @type {string} */ name) => node.widgets?.some((/** @type {any} */ widget) => widget.name === name);
    if (has("prompts_to_check")) {
      const check = new PromptCheck(node, (texts) => ask(this.api, "/sepme/check", texts));
      foot.addRemark(check.element, () => check.refresh());
    }
    if (has("concepts") && has("protected_concepts")) {
      const chooser = new Chooser(node, (progress) => this.neighbours(node, progress), this.changed);
      foot.addTool(chooser.button, chooser.element);
    }
    if (node.comfyClass === "SepME_Eraser") foot.addTool(saveButton(node, (made) => this.show(made)));
  }

  /** Chooses a node that was just asked for, so that it is seen. */
  show(/** @type {any} */ node) {
    requestAnimationFrame(() => this.app.canvas.selectItems([node])); // after the page's choice of the node that was clicked
    this.changed();
  }

  /** Names that are most like a node's concepts, from the text encoder. */
  async neighbours(/** @type {any} */ node, /** @type {(done: number, all: number) => void} */ progress) {
    const { output } = await this.app.graphToPrompt();
    const id = executionIds(this.root, node).find((each) => output[each]);
    if (!id) throw new Error(t("This node is switched off: switch it on first."));
    return (await shortRun(this.api, suggesting(output, id), ASKING, progress)).sepme_neighbours;
  }

  /** Draws anew what has changed, whoever has changed it. */
  look() {
    const all = this.feet.all();
    if (all.length) this.reports.recall();
    for (const [, foot] of all) foot.refresh();
    const now = [this.open?.activeState, ...all.flatMap(([node]) => [node, worth(node)])];
    if (now.length !== this.seen?.length || now.some((each, at) => each !== this.seen?.[at])) {
      this.seen = now;
      this.report(all);
    }
    for (const [node, foot] of all) this.room(node, foot);
  }

  /** Shows each node's report: the one for its inputs, else its last one as one of an earlier run. */
  report(/** @type {[any, Foot][]} */ all) {
    if (!this.reports.known.size) return;
    const { root, reports, tabs: { now: tab } } = this;
    const workflow = this.workflow();
    for (const [node, foot] of all) {
      const ids = executionIds(root, node);
      const found = ids.map((id) => reports.of(workflow, id)).find(Boolean);
      if (found) reports.keepLast(tab, ids[0], node.comfyClass, found);
      foot.tell(found ?? ids.map((id) => reports.lastOf(tab, id, node.comfyClass)).find(Boolean) ?? null, !found);
    }
  }

  /** Gives a node the room that its foot needs now. */
  room(/** @type {any} */ node, /** @type {Foot} */ foot) {
    if (!foot.settle()) return;
    const [width, least] = node.computeSize();
    if (node.size[0] < width || node.size[1] < least) node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], least)]);
    this.app.canvas?.setDirty(true, true);
  }

  get root() {
    return this.app.rootGraph ?? this.app.graph;
  }

  /** The workflow as it is now, as a run would carry it. */
  workflow() {
    return JSON.parse(JSON.stringify(this.root.serialize()));
  }

  async get(/** @type {string} */ path) {
    return (await this.api.fetchApi(path)).json();
  }
}

/** What the server says of our nodes; of others everything counts that is saved. */
function described(/** @type {string} */ type) {
  return type?.startsWith(PREFIX) ? /** @type {any} */ (window).LiteGraph.registered_node_types[type]?.nodeData : undefined;
}

/** A node's own values; what stands before it is seen in the page's own state. */
function worth(/** @type {any} */ node) {
  return (node.widgets ?? []).map((/** @type {any} */ widget) => (widget.serialize === false ? "" : String(widget.value))).join("\n");
}
