// @ts-check
/**
 * What runs reported of our nodes, by what the nodes were computed from.
 *
 * A report belongs to its inputs, not to its node: it is shown wherever the same is computed again
 * (in another tab, after a reload, in a copy), and is one of an earlier run as soon as something
 * before the node has changed.
 *
 * @typedef {object} Report
 * @property {"ok" | "note" | "warning"} level
 * @property {string} headline
 * @property {number | null} margin
 * @property {string} text all of it
 */
import { lineage } from "./lineage.js";

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

  /**
   * Takes in what a run told of a node.
   *
   * @param {string} run its id
   * @param {string} executionId the node's
   * @param {any} output
   * @param {any} shown the workflow as the page has it, for runs whose own is not to be had
   * @returns {Promise<Report | null>}
   */
  async hear(run, executionId, output, shown) {
    const report = reported(output);
    if (!report) return null;
    const workflow = (await this.workflowOf(run)) ?? shown;
    this.keep(this.inputs(workflow, executionId), report);
    this.changed();
    return report;
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
    if (!inputs) return;
    this.known.delete(inputs);
    this.known.set(inputs, report);
    if (this.known.size > MOST) this.known.delete(/** @type {string} */ (this.known.keys().next().value));
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
