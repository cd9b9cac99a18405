// @ts-check
/**
 * What runs reported of our nodes, by what the nodes were computed from.
 *
 * A report belongs to its inputs, not to its node: it is shown wherever the same is computed again
 * (in another tab, after a reload, in a copy), and is one of an earlier run as soon as something
 * before the node has changed. Then it is shown in the tab alone that the run was queued from: other
 * tabs may have nodes of the same ids, as two of one template have.
 *
 * @typedef {object} Report
 * @property {"ok" | "note" | "warning"} level
 * @property {string} headline
 * @property {number | null} margin
 * @property {string} text all of it
 */
import { lineage, typeOf } from "./lineage.js";

const MOST = 200; // reports that are kept
const PAST = 16; // runs that are asked for after a reload

export class Reports {
  /**
   * @param {(path: string) => Promise<any>} get a decoded answer of the server
   * @param {() => void} changed is called when there is something new
   * @param {(type: string) => any} described the server's description of a node of ours
   */
  constructor(get, changed, described) {
    this.described = described;
    this.get = get;
    this.changed = changed;
    /** @type {Map<string, Report>} */
    this.known = new Map();
    /** @type {Map<string, Report>} the last one of a node, by its tab and its place there */
    this.last = new Map();
    /** @type {Map<string, Promise<any>>} workflows as they were queued, by the run */
    this.queued = new Map();
    /** @type {Promise<void> | null} */
    this.past = null;
  }

  /** The report of a node of this workflow with just these inputs, if there was one. */
  of(/** @type {any} */ workflow, /** @type {string} */ executionId) {
    return this.known.get(this.inputs(workflow, executionId));
  }

  inputs(/** @type {any} */ workflow, /** @type {string} */ executionId) {
    return lineage(workflow, executionId, this.described);
  }

  /** The last report of a node, whatever it was computed from. */
  lastOf(/** @type {number} */ tab, /** @type {string} */ executionId, /** @type {string} */ type) {
    return this.last.get(placed(tab, executionId, type));
  }

  keepLast(/** @type {number} */ tab, /** @type {string} */ executionId, /** @type {string} */ type, /** @type {Report} */ report) {
    keep(this.last, placed(tab, executionId, type), report);
  }

  /**
   * Takes in what a run told of a node.
   *
   * @param {string} run its id
   * @param {string} executionId the node's
   * @param {any} output
   * @param {(workflow: any) => {tab: number, shown: any}} from what it was queued from, as far as is
   *     known: the tab, and the workflow that is shown there, for runs whose own is not to be had
   */
  async hear(run, executionId, output, from) {
    const report = reported(output);
    if (!report) return;
    const own = await this.workflowOf(run);
    const { tab, shown } = from(own);
    const workflow = own ?? shown;
    if (!workflow) return;
    this.keep(this.inputs(workflow, executionId), report);
    const type = typeOf(workflow, executionId);
    if (type) this.keepLast(tab, executionId, type, report);
    this.changed();
  }

  /** Asks once for what was reported before the page was opened. */
  recall() {
    this.past ??= this.get(`/history?max_items=${PAST}`).then((runs) => {
      for (const run of Object.values(runs)) this.remember(run);
      this.changed();
    }, () => {});
    return this.past;
  }

  remember(/** @type {any} */ run) {
    const workflow = workflowIn(run.prompt);
    if (!workflow) return;
    for (const [executionId, output] of Object.entries(run.outputs ?? {})) {
      const report = reported(output);
      const inputs = report && this.inputs(workflow, executionId);
      if (inputs && !this.known.has(inputs)) this.keep(inputs, report);
    }
  }

  keep(/** @type {string} */ inputs, /** @type {Report} */ report) {
    if (inputs) keep(this.known, inputs, report);
  }

  /** The workflow as it was when the run was queued; it may have been edited since. */
  workflowOf(/** @type {string} */ run) {
    const asked = this.queued.get(run) ?? this.ask(run).catch(() => null);
    this.queued = new Map([...this.queued, [run, asked]].slice(-8));
    return asked;
  }

  async ask(/** @type {string} */ run) {
    const { queue_running: running = [] } = await this.get("/queue");
    const now = running.find((/** @type {any} */ each) => each[1] === run);
    return workflowIn(now ?? (await this.get(`/history/${run}`))[run]?.prompt);
  }
}

/** Another node of the same id may come in a node's place, so its type counts too. */
function placed(/** @type {number} */ tab, /** @type {string} */ executionId, /** @type {string} */ type) {
  return JSON.stringify([tab, executionId, type]);
}

/** Keeps the newest ones. */
function keep(/** @type {Map<string, Report>} */ store, /** @type {string} */ key, /** @type {Report} */ report) {
  store.delete(key);
  store.set(key, report);
  if (store.size > MOST) store.delete(/** @type {string} */ (store.keys().next().value));
}

/** @returns {Report | null} */
export function reported(/** @type {any} */ output) {
  const [state] = output?.sepme_state ?? [];
  if (!state) return null;
  const text = (output.sepme_report ?? []).join("\n");
  return { level: state.level, headline: String(state.headline), margin: state.margin ?? null, text };
}

function workflowIn(/** @type {any} */ prompt) {
  return prompt?.[3]?.extra_pnginfo?.workflow ?? null;
}
