// @ts-check
/**
 * The lines of a concept field, as they are typed.
 *
 * @typedef {object} ConceptLine
 * @property {number} number the line's, from 1
 * @property {string} name
 * @property {string} text the whole line
 * @property {string} problem why it cannot be read; empty when it can
 */
import { lines, nameKey } from "./rows.js";
import { t } from "./words.js";

/** Every line that is not a note, also those that cannot be read. @returns {ConceptLine[]} */
export function conceptLines(/** @type {string} */ text) {
  const numbered = lines(text).map((line, at) => /** @type {const} */ ([line.trim(), at + 1]));
  const found = numbered.filter(([line]) => line && !line.startsWith("#")).map(([line, number]) => readLine(line, number));
  return withRepeats(found);
}

/** What the increments depend on: every line, in any order, since concepts protect each other. */
export function signature(/** @type {ConceptLine[]} */ found) {
  return found.map((line) => nameKey(line.text)).sort().join("\n");
}

/** @returns {ConceptLine} */
function readLine(/** @type {string} */ text, /** @type {number} */ number) {
  const name = text.split("->")[0].split("|")[0].trim();
  return { number, name, text, problem: flaw(text, name) };
}

function flaw(/** @type {string} */ text, /** @type {string} */ name) {
  const arrows = text.split("->");
  const expected = t("Expected: name | synonym, synonym -> anchor");
  if (arrows.length > 2 || text.split("|").length > 2) return `${t("More than one '->' or '|'.")} ${expected}`;
  if (arrows.length === 2 && arrows[1].includes("|")) return `${t("'|' stands behind '->'.")} ${expected}`;
  if (name.includes(",")) return t("The name holds a comma, which separates names. Write one concept a line, and further words for it behind '|'.");
  return name ? "" : `${t("The name is empty.")} ${expected}`;
}

/** Names and synonyms may be given once only. */
function withRepeats(/** @type {ConceptLine[]} */ found) {
  const seen = new Map();
  return found.map((line) => {
    if (line.problem) return line;
    const again = names(line.text).find((name) => seen.has(nameKey(name)));
    names(line.text).forEach((name) => seen.set(nameKey(name), line.number));
    return again === undefined ? line : { ...line, problem: t("'{name}' is given twice. Give each name once; further words for one concept go behind '|'.", { name: again }) };
  });
}

function names(/** @type {string} */ text) {
  const [name, synonyms = ""] = text.split("->")[0].split("|");
  return [name, ...synonyms.split(",")].map((word) => word.trim()).filter(Boolean);
}
