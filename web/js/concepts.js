// @ts-check
/**
 * The lines of a concept field, as they are typed.
 *
 * @typedef {object} ConceptLine
 * @property {number} number the line's, from 1
 * @property {string} name
 * @property {string[]} synonyms
 * @property {string} anchor what is drawn instead; empty for nothing in particular
 * @property {string} text the whole line
 * @property {string} problem why it cannot be read; empty when it can
 */
import { ARROW, BAR, COMMA, clean, foreignSign, isQuoted, listedLines, nameKey, plainName, splitOutside } from "./spelling.js";
import { t } from "./words.js";

const NEAREST = "nearest";
const BETWEEN = `(?:${COMMA}|${BAR})`;

/** Every line that is not a note, also those that cannot be read. @returns {ConceptLine[]} */
export function conceptLines(/** @type {string} */ text) {
  return withRepeats(listedLines(text).map(([number, line]) => readLine(clean(line), number)));
}

/** What the increments depend on: every line, in any order, since concepts protect each other. */
export function signature(/** @type {ConceptLine[]} */ found) {
  return found.map((line) => nameKey(line.text)).sort().join("\n");
}

/**
 * The names of a list such as `protected_concepts`, each once; what cannot be read says why.
 *
 * @returns {{ names: string[], problem: string }}
 */
export function protectedNames(/** @type {string} */ text) {
  const parts = listedLines(text).flatMap(([number, line]) => partsOf(clean(line)).map((part) => /** @type {const} */ ([number, part])));
  const [number, problem] = parts.map(([at, part]) => /** @type {const} */ ([at, nameFlaw(part)])).find(([, why]) => why) ?? [0, ""];
  const named = new Map(parts.map(([, part]) => plainName(part)).filter(Boolean).reverse().map((name) => [nameKey(name), name]));
  return { names: [...named.values()].reverse(), problem: problem && t("Line {number}: {problem}", { number, problem }) };
}

/** A name as it has to be typed to be that name, in quotes if it holds a sign. */
export function typed(/** @type {string} */ name) {
  const { names, problem } = protectedNames(name);
  return problem || names.length !== 1 || names[0] !== name || splitOutside(name, String.raw`\s#\s`).length > 1 ? `"${name}"` : name;
}

/** The names of a list, also of one in brackets. */
function partsOf(/** @type {string} */ line) {
  const bare = /^[([（]/.test(line) ? plainName(line) : line;
  const inner = /^\{[^{}]*\}$/.test(bare) ? bare.slice(1, -1) : bare;
  const parts = splitOutside(inner, BETWEEN);
  return parts.length > 1 ? parts : [line];
}

/** @returns {ConceptLine} */
function readLine(/** @type {string} */ text, /** @type {number} */ number) {
  const [left, ...anchors] = splitOutside(text, ARROW);
  const [first, ...behind] = splitOutside(left, BAR);
  const words = behind.flatMap((part) => splitOutside(part, COMMA));
  const [name, ...synonyms] = [first, ...words].map(plainName);
  const problem = shapeFlaw(anchors, behind) || [first, ...words].map(nameFlaw).find(Boolean) || foreignFlaw(anchors.join("")) || emptyFlaw(name);
  return { number, name, synonyms: synonyms.filter(Boolean), anchor: anchorOf(anchors.join("")), text, problem };
}

function anchorOf(/** @type {string} */ text) {
  if (nameKey(text) === NEAREST) return NEAREST;
  return isQuoted(text) ? plainName(text) : text;
}

function expected() {
  return t("Expected: name | synonym, synonym -> anchor");
}

function shapeFlaw(/** @type {string[]} */ anchors, /** @type {string[]} */ behind) {
  if (anchors.length > 1 || behind.length > 1) return `${t("More than one '->' or '|'.")} ${expected()}`;
  return splitOutside(anchors.join(""), BAR).length > 1 ? `${t("'|' stands behind '->'.")} ${expected()}` : "";
}

function emptyFlaw(/** @type {string} */ name) {
  return name ? "" : `${t("The name is empty.")} ${expected()}`;
}

/** Why a text is not one name; empty when it is. */
function nameFlaw(/** @type {string} */ text) {
  if (isQuoted(text)) return "";
  const name = plainName(text);
  const has = (/** @type {string} */ sign) => splitOutside(name, sign).length > 1;
  if (foreignSign(name)) return foreignFlaw(name);
  if (has(ARROW)) return t("An arrow stands within a name. Write what is erased as name -> anchor, and what is protected without an anchor.");
  if (has(String.raw`\s[=>]\s`)) return `${t("The name holds '=' or '>'.")} ${expected()}`;
  if (has(COMMA)) return t("The name holds a comma, which separates names. Write one concept a line, and further words for it behind '|'; a name that holds a comma goes in quotes.");
  return "";
}

function foreignFlaw(/** @type {string} */ text) {
  switch (foreignSign(text)) {
    case "tag": return t("It holds a tag such as <lora:…>, which loads something elsewhere and names nothing here. Write the name alone.");
    case "choice": return t("It holds a choice of several names. Write every name on a line of its own; or, if all of them mean one thing, cat | dog.");
    case "wildcard": return t("It holds a wildcard such as __animals__, which another node fills in. Write the names themselves.");
    default: return "";
  }
}

/** Names and synonyms may be given once only. */
function withRepeats(/** @type {ConceptLine[]} */ found) {
  const seen = new Set();
  return found.map((line) => {
    if (line.problem) return line;
    let again = "";
    for (const name of [line.name, ...line.synonyms]) {
      if (seen.has(nameKey(name))) again ||= name;
      seen.add(nameKey(name));
    }
    return again ? { ...line, problem: t("'{name}' is given twice. Give each name once; further words for one concept go behind '|'.", { name: again }) } : line;
  });
}
