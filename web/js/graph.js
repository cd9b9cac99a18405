// @ts-check
/** Finding and making nodes in the page's graph. */
import { nodesOf } from "./panels.js";

/** The node that an execution id such as `1:2:3` means: a node within subgraphs. */
export function nodeOf(/** @type {any} */ root, /** @type {string} */ executionId) {
  let graph = root;
  let node = null;
  for (const id of String(executionId).split(":")) {
    node = graph?.getNodeById?.(Number(id)) ?? graph?.getNodeById?.(id) ?? null;
    graph = node?.subgraph;
  }
  return node;
}

/** All execution ids of a node: in a subgraph it has one for each of its uses. @returns {string[]} */
export function executionIds(/** @type {any} */ root, /** @type {any} */ node) {
  if (!node.graph || node.graph === root) return [String(node.id)];
  const within = (/** @type {any} */ graph, /** @type {string} */ path) => {
    const hosts = (graph.nodes ?? []).filter((/** @type {any} */ each) => each.subgraph);
    return hosts.flatMap((/** @type {any} */ host) => {
      const here = `${path}${host.id}:`;
      return host.subgraph === node.graph ? [`${here}${node.id}`] : /** @type {string[]} */ (within(host.subgraph, here));
    });
  };
  return within(root, "");
}

/** Adds a node that loads a file. */
export function addLoader(/** @type {any} */ app, /** @type {string} */ file, /** @type {[number, number]} */ place) {
  const node = /** @type {any} */ (window).LiteGraph.createNode("SepME_Load");
  node.pos = place;
  const { graph } = app.canvas;
  graph.add(node);
  loadFile(node, file);
  graph.setDirtyCanvas(true, true);
  return node;
}

/** Lets the nodes that load a file follow it to its new name. */
export function renameLoaded(/** @type {any} */ root, /** @type {string} */ from, /** @type {string} */ to) {
  for (const node of nodesOf(root)) if (node.comfyClass === "SepME_Load" && fileWidget(node)?.value === from) loadFile(node, to);
}

function fileWidget(/** @type {any} */ node) {
  return node.widgets?.find((/** @type {any} */ each) => each.name === "increment");
}

function loadFile(/** @type {any} */ node, /** @type {string} */ file) {
  const widget = fileWidget(node);
  const { values } = widget.options;
  if (Array.isArray(values) && !values.includes(file)) values.push(file);
  widget.value = file;
}

/** The middle of what is visible. @returns {[number, number]} */
export function middle(/** @type {any} */ { canvas }) {
  const box = canvas.canvas.getBoundingClientRect();
  const { scale, offset } = canvas.ds;
  return [box.width / 2 / scale - offset[0] - 100, box.height / 2 / scale - offset[1] - 40];
}

/** Where something was dropped, in the graph, and the node there if there is one. */
export function dropPlace(/** @type {any} */ { canvas }, /** @type {DragEvent} */ event) {
  const box = canvas.canvas.getBoundingClientRect();
  const { scale, offset } = canvas.ds;
  /** @type {[number, number]} */
  const place = [(event.clientX - box.left) / scale - offset[0], (event.clientY - box.top) / scale - offset[1]];
  return { place, node: canvas.graph.getNodeOnPos?.(...place) ?? null };
}

/**
 * Shows an element in the place of another one like it that is left over on its node.
 *
 * "Nodes 2.0" draws nodes by their ids: where another workflow is opened that has a node of the
 * same id, it goes on showing what belonged to the one before.
 *
 * @param {any} app
 * @param {any} node
 * @param {HTMLElement} element
 * @param {string} kind the class that both have
 */
export function takePlace({ canvas }, node, element, kind) {
  if (node.graph !== canvas?.graph) return;
  document.querySelector(`[data-node-id="${CSS.escape(String(node.id))}"] .${kind}`)?.replaceWith(element);
}
