// @ts-check
/**
 * What a node of a saved workflow is computed from: the same text for the same types, values and
 * links, wherever the nodes stand and whatever their ids are.
 *
 * @typedef {object} Place a graph of the workflow, and how it is reached
 * @property {any} graph
 * @property {Place | null} outside
 * @property {any} host the node of the outside graph that stands for this one
 * @property {string} path ids of the hosts, each with a colon behind it
 */

const [FROM_OUTSIDE, TO_OUTSIDE] = [-10, -20]; // the host's ids of a subgraph's own inputs and outputs
const WIDGETS = new Set(["INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"]);
const CHANGED_BY_RUNNING = new Set(["randomize", "increment", "decrement"]);

/**
 * @param {any} workflow as the page saves it
 * @param {string} executionId such as `1:2:3`, a node within subgraphs
 * @param {(type: string) => any} [known] the server's description of a node of ours: its values alone
 *     are taken, not what the page hangs on it (the text of its progress, which it saves as a value)
 * @returns {string} empty when there is no such node
 */
export function lineage(workflow, executionId, known = () => undefined) {
  const { place, node } = found(workflow, executionId);
  if (!place || !node) return "";
  /** @type {Map<string, number>} */
  const seen = new Map();
  /** @type {any[]} */
  const told = [];
  const given = (/** @type {any} */ each) => values(each, widgetCount(known(each?.type)));
  describe({ ...workflow, given }, place, node, seen, told);
  return JSON.stringify(told);
}

/** What kind of node it is; undefined where there is none. @returns {string | undefined} */
export function typeOf(/** @type {any} */ workflow, /** @type {string} */ executionId) {
  return found(workflow, executionId).node?.type;
}

function found(/** @type {any} */ workflow, /** @type {string} */ executionId) {
  const ids = String(executionId).split(":");
  /** @type {Place | null} */
  let place = { graph: workflow, outside: null, host: null, path: "" };
  for (const id of ids.slice(0, -1)) place = place && inside(workflow, place, nodeAt(place.graph, id));
  return { place, node: place && nodeAt(place.graph, ids[ids.length - 1]) };
}

/** Tells of a node and of everything before it; gives its number. */
function describe(/** @type {any} */ workflow, /** @type {Place} */ place, /** @type {any} */ node, /** @type {Map<string, number>} */ seen, /** @type {any[]} */ told) {
  const key = place.path + node.id;
  const known = seen.get(key);
  if (known !== undefined) return known;
  const number = told.length;
  seen.set(key, number);
  const entry = [node.type, node.mode ?? 0, workflow.given(node), /** @type {any[]} */ ([])];
  told.push(entry);
  for (const input of node.inputs ?? []) {
    const from = input.link == null ? null : source(workflow, place, input.link);
    if (from?.node) entry[3].push([input.name, from.slot, describe(workflow, from.place, from.node, seen, told)]);
    else if (from) entry[3].push([input.name, from.slot, workflow.given(from.host)]);
  }
  return number;
}

/** Where a link comes from, through the walls of subgraphs; only its host where it begins there. */
function source(/** @type {any} */ workflow, /** @type {Place} */ place, /** @type {any} */ id) {
  const link = linkAt(place.graph, id);
  if (!link) return null;
  if (link.from === FROM_OUTSIDE) return outside(workflow, place, link.slot);
  const node = nodeAt(place.graph, link.from);
  const within = node && inside(workflow, place, node);
  const ends = within?.graph.links?.find((/** @type {any} */ each) => each.target_id === TO_OUTSIDE && each.target_slot === link.slot);
  if (within && ends) return /** @type {any} */ (source(workflow, within, ends.id));
  return node ? { place, node, slot: link.slot } : null;
}

/** @returns {any} */
function outside(/** @type {any} */ workflow, /** @type {Place} */ place, /** @type {number} */ slot) {
  const { host } = place;
  const name = place.graph.inputs?.[slot]?.name;
  const input = host?.inputs?.find((/** @type {any} */ each) => each.name === name);
  const from = input?.link != null && place.outside ? source(workflow, place.outside, input.link) : null;
  return from ?? { host, slot: name };
}

/** @returns {Place | null} */
function inside(/** @type {any} */ workflow, /** @type {Place} */ place, /** @type {any} */ host) {
  const graph = workflow.definitions?.subgraphs?.find((/** @type {any} */ each) => each.id === host?.type);
  return graph ? { graph, outside: place, host, path: `${place.path}${host.id}:` } : null;
}

function nodeAt(/** @type {any} */ graph, /** @type {any} */ id) {
  return graph.nodes?.find((/** @type {any} */ node) => String(node.id) === String(id));
}

/** The page saves the links of a workflow as lists, those of its subgraphs as objects. */
function linkAt(/** @type {any} */ graph, /** @type {any} */ id) {
  const found = graph.links?.find((/** @type {any} */ link) => (Array.isArray(link) ? link[0] : link.id) === id);
  if (!found) return null;
  return Array.isArray(found) ? { from: found[1], slot: found[2] } : { from: found.origin_id, slot: found.origin_slot };
}

/** A node's values, without those that change by running. */
function values(/** @type {any} */ node, /** @type {number} */ count) {
  const given = node?.widgets_values;
  if (!Array.isArray(given)) return given ?? null;
  return given.slice(0, count).filter((_, at) => !CHANGED_BY_RUNNING.has(given[at + 1]));
}

/** How many values the widgets of a node have; all there are where it is not known. */
function widgetCount(/** @type {any} */ known) {
  if (!known) return Infinity;
  const inputs = Object.values({ ...known.input?.required, ...known.input?.optional });
  const counts = inputs.map(([type, options]) => (Array.isArray(type) || WIDGETS.has(type) ? 1 + Number(Boolean(options?.control_after_generate)) : 0));
  return counts.reduce((sum, each) => sum + each, 0);
}
