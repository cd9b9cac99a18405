// @ts-check
/** The button "Save increments" of a node that gives a stack: a node behind it that writes the files. */
import { h } from "./dom.js";
import { t } from "./words.js";

const [STACK, SAVE, GAP] = ["SEPME_STACK", "SepME_Save", 60];

/**
 * @param {any} node
 * @param {(made: any) => void} show is called with the node that saves
 */
export function saveButton(node, show) {
  const create = (/** @type {string} */ type) => /** @type {any} */ (window).LiteGraph.createNode(type);
  return h("button", { type: "button", className: "sepme-save", title: t("Adds SepME Save: with the next run it writes one file for each increment"), onclick: () => show(saveBehind(node, create)) }, t("Save increments"));
}

/**
 * The node that saves what another gives: the one that is there already, else a new one beside it.
 *
 * @param {any} node
 * @param {(type: string) => any} create makes a node
 */
export function saveBehind(node, create) {
  const { graph } = node;
  const slot = node.outputs.findIndex((/** @type {any} */ output) => output.type === STACK);
  const behind = (node.outputs[slot].links ?? []).map((/** @type {any} */ id) => graph.getNodeById(graph.getLink(id)?.target_id));
  const known = behind.find((/** @type {any} */ each) => each?.type === SAVE);
  if (known) return known;
  const made = create(SAVE);
  made.pos = [node.pos[0] + node.size[0] + GAP, node.pos[1] + node.size[1] - made.size[1]];
  graph.add(made);
  node.connect(slot, made, made.inputs.findIndex((/** @type {any} */ input) => input.type === STACK));
  return made;
}
