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

/** Makes one change to the rows at some places. @returns {State} */
export function changeRows(/** @type {State} */ state, /** @type {number[]} */ places, /** @type {Partial<Row>} */ change) {
  return places.reduce((changed, at) => changeRow(changed, at, change), state);
}

/** Makes the rows at some places stronger by the same, each within its range. @returns {State} */
export function shiftStrengths(/** @type {State} */ state, /** @type {number[]} */ places, /** @type {number} */ by) {
  return places.reduce((changed, at) => changeRow(changed, at, { strength: (changed.rows[at]?.strength ?? 0) + by }), state);
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
export function removeRows(/** @type {State} */ state, /** @type {number[]} */ places) {
  const gone = new Set(places);
  return { ...state, rows: state.rows.filter((_, n) => !gone.has(n)) };
}

/** Sorts rows by a text; those of one text stay in order, and what has none stands last. @returns {State} */
export function sortRows(/** @type {State} */ state, /** @type {(row: Row) => string} */ textOf) {
  const order = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  const texts = new Map(state.rows.map((row) => [row, textOf(row)]));
  const rows = [...state.rows].sort((one, other) => {
    const [a, b] = [texts.get(one) ?? "", texts.get(other) ?? ""];
    return Number(!a) - Number(!b) || order.compare(a, b);
  });
  return { ...state, rows };
}

/** Lets the rows and the presets follow a file to its new name. @returns {State} */
export function renameFile(/** @type {State} */ state, /** @type {string} */ from, /** @type {string} */ to) {
  const presets = Object.fromEntries(Object.entries(state.presets).map(([name, rows]) => [name, renamedRows(rows, from, to)]));
  return { ...state, rows: followed(state.rows, from, to), presets };
}

/** The same for rows as they are written; what cannot be read stays as it is. */
export function renamedRows(/** @type {unknown} */ written, /** @type {string} */ from, /** @type {string} */ to) {
  try {
    const rows = readRows(written);
    return rows.some((row) => listed(row.key) === from) ? writeRows(followed(rows, from, to), "file") : written;
  } catch {
    return written;
  }
}

/** @returns {Row[]} */
function followed(/** @type {Row[]} */ rows, /** @type {string} */ from, /** @type {string} */ to) {
  return rows.map((row) => (listed(row.key) === from ? { ...row, key: to } : row));
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

/** @returns {State} @throws when the preset cannot be read */
export function loadPreset(/** @type {State} */ state, /** @type {string} */ name, /** @type {Kind} */ kind) {
  return loadRows(state, state.presets[name], kind);
}

/**
 * Sets the rows as a preset has them. Files that it does not name are switched off and stay at the
 * end; concepts that it does not name are on, as everywhere.
 *
 * @returns {State}
 * @throws when the rows cannot be read
 */
export function loadRows(/** @type {State} */ state, /** @type {unknown} */ written, /** @type {Kind} */ kind) {
  const wanted = readRows(written);
  const same = kind === "file" ? listed : nameKey;
  const named = new Set(wanted.map((row) => same(row.key)));
  const others = state.rows.filter((row) => !named.has(same(row.key)));
  const left = others.map((row) => (kind === "file" ? { ...row, on: false } : { ...row, ...freshRow(row.key) }));
  return { ...state, rows: [...wanted, ...left] };
}
