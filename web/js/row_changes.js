// @ts-check
/**
 * What a person does with rows: each a function from a state to a new one.
 *
 * @typedef {import("./rows.js").Row} Row
 * @typedef {import("./rows.js").State} State
 * @typedef {import("./rows.js").Kind} Kind
 */
import { allowed, freshRow, listed, nameKey, readRows, writeRows } from "./rows.js";

/** @returns {State} */
export function changeRow(/** @type {State} */ state, /** @type {number} */ at, /** @type {Partial<Row>} */ change) {
  const rows = state.rows.map((row, n) => (n === at ? { ...row, ...allowed(row, change) } : row));
  return { ...state, rows };
}

/** Switches all rows, or those at the given places. @returns {State} */
export function switchAll(/** @type {State} */ state, /** @type {boolean} */ on, /** @type {number[] | null} */ places = null) {
  const chosen = places && new Set(places);
  const rows = state.rows.map((row, at) => (!chosen || chosen.has(at) ? { ...row, on } : row));
  return { ...state, rows };
}

/** Moves a row to another place; places beyond the ends are the ends. @returns {State} */
export function moveRow(/** @type {State} */ state, /** @type {number} */ from, /** @type {number} */ to) {
  const rows = [...state.rows];
  const [row] = rows.splice(from, 1);
  rows.splice(Math.min(Math.max(to, 0), rows.length), 0, row);
  return { ...state, rows };
}

/** @returns {State} */
export function removeRow(/** @type {State} */ state, /** @type {number} */ at) {
  return { ...state, rows: state.rows.filter((_, n) => n !== at) };
}

/** Adds a file, with the line of a concept set that it came from if that is known. @returns {State} */
export function addFile(/** @type {State} */ state, /** @type {string} */ file, erases = "") {
  const row = { ...freshRow(listed(file)), ...(erases ? { erases } : {}) };
  return { ...state, rows: [...state.rows, row] };
}

/** Places of rows by what all spellings of their names have in common. */
export function places(/** @type {Row[]} */ rows) {
  return new Map(rows.map((row, at) => [nameKey(row.key), at]));
}

/** With a row for every name: what has none is as before anyone changed it. @returns {State} */
export function completed(/** @type {State} */ state, /** @type {string[]} */ names) {
  const known = places(state.rows);
  const fresh = names.filter((name) => !known.has(nameKey(name))).map(freshRow);
  return { ...state, rows: [...state.rows, ...fresh] };
}

/** Places of the texts that hold every word that is looked for. */
export function matching(/** @type {string[]} */ texts, /** @type {string} */ wanted) {
  const words = nameKey(wanted).split(" ");
  return texts.flatMap((text, at) => (words.every((word) => nameKey(text).includes(word)) ? [at] : []));
}

/** @returns {State} */
export function savePreset(/** @type {State} */ state, /** @type {string} */ name, /** @type {Kind} */ kind) {
  const presets = { ...state.presets, [name]: writeRows(state.rows, kind) };
  return { ...state, presets };
}

/** @returns {State} */
export function deletePreset(/** @type {State} */ state, /** @type {string} */ name) {
  const presets = Object.fromEntries(Object.entries(state.presets).filter(([other]) => other !== name));
  return { ...state, presets };
}

/**
 * Sets the rows as a preset has them. Files that it does not name are switched off and stay at the
 * end; concepts that it does not name are on, as everywhere.
 *
 * @returns {State}
 * @throws when the preset cannot be read
 */
export function loadPreset(/** @type {State} */ state, /** @type {string} */ name, /** @type {Kind} */ kind) {
  const wanted = readRows(state.presets[name]);
  const same = kind === "file" ? listed : nameKey;
  const named = new Set(wanted.map((row) => same(row.key)));
  const others = state.rows.filter((row) => !named.has(same(row.key)));
  const left = others.map((row) => (kind === "file" ? { ...row, on: false } : { ...row, ...freshRow(row.key) }));
  return { ...state, rows: [...wanted, ...left] };
}
