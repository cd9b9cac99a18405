// @ts-check
/**
 * Rows whose file is missing: what they erase, and where it can be computed again.
 *
 * @typedef {import("./rows.js").Row} Row
 */
import { conceptLines, typed } from "./concepts.js";
import { nameKey } from "./rows.js";

const SOURCES = ["model", "clip", "concepts"];

/** The line of a concept set that a library's file came from; empty when it is not known. */
export function lineOf(/** @type {import("./library_client.js").Entry | undefined} */ entry) {
  if (!entry?.concept) return "";
  const synonyms = entry.synonyms?.length ? ` | ${entry.synonyms.map(typed).join(", ")}` : "";
  return `${typed(entry.concept)}${synonyms}${entry.anchor ? ` -> ${entry.anchor}` : ""}`;
}

/** The same of a row, as far as it is known: the name of its file when nothing else is. */
export function wantedLine(/** @type {Row} */ row) {
  const file = /** @type {string} */ (row.key.split(/[\\/]/).pop());
  return row.erases || file.replace(/\.safetensors$/i, "");
}

/** Whether a node has everything that missing files are computed again from. */
export function canRestore(/** @type {any} */ node) {
  return SOURCES.every((name) => inputOf(node, name)?.link != null);
}

/**
 * Connects a node to the model and CLIP in use, and to a concept set that names the lines: one
 * that is in the graph already, else a new one. What is connected stays as it is.
 *
 * @param {any} node
 * @param {string[]} lines
 * @param {(type: string) => any} create makes a node
 * @returns {string[]} inputs for which nothing was found
 */
export function connectSources(node, lines, create) {
  const set = () => conceptSet(node, lines, create);
  /** @type {Record<string, () => [any, number] | null>} */
  const find = { model: () => modelInUse(node), clip: () => clipInUse(node.graph, node), concepts: () => [set(), 0] };
  return SOURCES.filter((name) => {
    if (inputOf(node, name)?.link != null) return false;
    const found = find[name]();
    found?.[0].connect(found[1], node, node.inputs.findIndex((/** @type {any} */ each) => each.name === name));
    return !found;
  });
}

function inputOf(/** @type {any} */ node, /** @type {string} */ name) {
  return node.inputs?.find((/** @type {any} */ input) => input.name === name);
}

/** The node and the output that an input comes from. @returns {[any, number] | null} */
function sourceOf(/** @type {any} */ graph, /** @type {any} */ input) {
  const link = input.link == null ? null : graph.getLink(input.link);
  const node = link && graph.getNodeById(link.origin_id);
  return node ? [node, link.origin_slot] : null;
}

/** Where the first node behind this one that takes a model has it from. @returns {[any, number] | null} */
function modelInUse(/** @type {any} */ node) {
  const { graph } = node;
  const [seen, left] = [new Set(), [node]];
  for (let at = left.shift(); at; at = left.shift()) {
    if (seen.has(at)) continue;
    seen.add(at);
    const input = at !== node && at.inputs?.find((/** @type {any} */ each) => each.type === "MODEL" && each.link != null);
    if (input) return sourceOf(graph, input);
    const links = (at.outputs ?? []).flatMap((/** @type {any} */ output) => output.links ?? []);
    left.push(...links.map((/** @type {any} */ id) => graph.getNodeById(graph.getLink(id)?.target_id)).filter(Boolean));
  }
  return null;
}

/** The CLIP that prompts are encoded with, else any that is in use. @returns {[any, number] | null} */
function clipInUse(/** @type {any} */ graph, /** @type {any} */ node) {
  const encodes = (/** @type {any} */ each) => each.outputs?.some((/** @type {any} */ output) => output.type === "CONDITIONING");
  const others = graph.nodes.filter((/** @type {any} */ each) => each !== node);
  for (const each of [...others.filter(encodes), ...others]) {
    const input = each.inputs?.find((/** @type {any} */ one) => one.type === "CLIP" && one.link != null);
    const source = input && sourceOf(graph, input);
    if (source) return source;
  }
  return null;
}

function conceptSet(/** @type {any} */ node, /** @type {string[]} */ lines, /** @type {(type: string) => any} */ create) {
  const { graph } = node;
  const known = graph.nodes.find((/** @type {any} */ each) => each.type === "SepME_Concepts" && namesAll(each, lines));
  if (known) return known;
  const made = create("SepME_Concepts");
  made.pos = [node.pos[0] - made.size[0] - 60, node.pos[1]];
  graph.add(made);
  textOf(made).value = lines.join("\n");
  return made;
}

function namesAll(/** @type {any} */ node, /** @type {string[]} */ lines) {
  const names = new Set(conceptLines(String(textOf(node)?.value ?? "")).map((line) => nameKey(line.name)));
  return conceptLines(lines.join("\n")).every((line) => names.has(nameKey(line.name)));
}

function textOf(/** @type {any} */ node) {
  return node.widgets?.find((/** @type {any} */ widget) => widget.name === "concepts");
}
