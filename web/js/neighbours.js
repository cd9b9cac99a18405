// @ts-check
/**
 * What to ask the server so that it suggests names to protect.
 *
 * The suggestions come from the text encoder, which only a run has: so a small run of its own is
 * queued, with what this node's CLIP comes from and nothing else of the graph.
 *
 * @typedef {Record<string, {class_type: string, inputs: Record<string, any>}>} Prompt as the server runs it
 * @typedef {{concept: string, names: {name: string, similarity: number}[]}} Suggested
 */
import { protectedNames, typed } from "./concepts.js";
import { nameKey } from "./spelling.js";
import { t } from "./words.js";

export const ASKING = "sepme_neighbours"; // the id of the node that is added
export const COUNT = 8; // suggestions for each concept

/**
 * The run that suggests neighbours of a node's concepts.
 *
 * @param {Prompt} prompt of the whole graph
 * @param {string} id the node's
 * @returns {Prompt}
 * @throws when there is no CLIP to ask
 */
export function suggesting(prompt, id) {
  const clip = clipOf(prompt, id);
  if (!clip) throw new Error(t("There is no CLIP to ask. Connect the CLIP of your checkpoint to this node, or to the one that computes with it."));
  const inputs = { clip, concepts: prompt[id].inputs.concepts, count: COUNT };
  const needed = Object.values(inputs).filter(isLink).flatMap(([from]) => ancestors(prompt, from));
  return { ...Object.fromEntries(needed.map((each) => [each, prompt[each]])), [ASKING]: { class_type: "SepME_Neighbours", inputs } };
}

/** The link of a node's CLIP, else of the first one behind it that has any. @returns {[string, number] | null} */
function clipOf(/** @type {Prompt} */ prompt, /** @type {string} */ id) {
  const seen = new Set([id]);
  for (const at of seen) {
    const clip = prompt[at]?.inputs.clip;
    if (isLink(clip)) return clip;
    for (const [other, { inputs }] of Object.entries(prompt))
      if (Object.values(inputs).some((value) => isLink(value) && value[0] === at)) seen.add(other);
  }
  return null;
}

/** A node and all that it is computed from. @returns {string[]} */
function ancestors(/** @type {Prompt} */ prompt, /** @type {string} */ id) {
  const seen = new Set([id]);
  for (const at of seen)
    for (const value of Object.values(prompt[at]?.inputs ?? {})) if (isLink(value)) seen.add(value[0]);
  return [...seen].filter((each) => prompt[each]);
}

function isLink(/** @type {any} */ value) {
  return Array.isArray(value) && value.length === 2 && typeof value[0] === "string" && Number.isInteger(value[1]);
}

/** A field with further names, one a line; those that it has already are not repeated. */
export function withNames(/** @type {string} */ text, /** @type {string[]} */ names) {
  const known = keys(text);
  const fresh = names.filter((name) => !known.has(nameKey(name))).map(typed);
  return [text.trimEnd(), ...fresh].filter(Boolean).join("\n");
}

/** What is suggested and not there yet, each name once. @returns {Suggested[]} */
export function missing(/** @type {Suggested[]} */ suggested, /** @type {string} */ text) {
  const known = keys(text);
  const left = suggested.map(({ concept, names }) => {
    const fresh = names.filter(({ name }) => !known.has(nameKey(name)));
    fresh.forEach(({ name }) => known.add(nameKey(name)));
    return { concept, names: fresh };
  });
  return left.filter(({ names }) => names.length);
}

function keys(/** @type {string} */ text) {
  return new Set(protectedNames(text).names.map(nameKey));
}
