// @ts-check
/**
 * The rows of a text widget: read from everything that the server reads, written as JSON.
 *
 * The text is the only state. What cannot be read is shown and never written over; what is not
 * understood (keys of a later version, notes between plain lines) is kept.
 *
 * @typedef {object} Row
 * @property {string} key the file or the concept that it is about
 * @property {boolean} on
 * @property {number} strength 1 erases as computed
 * @property {number} start the part of the sampling in which it acts, 0 to 1
 * @property {number} end
 * @property {string} [sha256] of the file that was meant
 * @property {string} [erases] the line of a concept set that the file came from
 * @property {Record<string, unknown>} [extra] keys that are not ours
 *
 * @typedef {"file" | "concept"} Kind files stand in a list, concepts in a table by name
 *
 * @typedef {object} State
 * @property {Row[]} rows
 * @property {Record<string, unknown>} presets rows as they are written, by the preset's name
 * @property {Record<string, unknown>} extra keys beside them that are not ours
 * @property {string} problem why the text cannot be read; empty when it can
 */
import { isQuoted, listedLines, nameKey, notedLines, plainSigns } from "./spelling.js";
import { t } from "./words.js";

export { nameKey };

export const VERSION = 1;
export const STRONGEST = 4;

/** In one way only, so that a long one is read in one go. */
const NUMBER = "-?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)";
const OPTION = new RegExp(`^(?:on|off|(?<strength>${NUMBER})|(?<start>${NUMBER})-(?<end>${NUMBER}))$`, "i");
const FILE = ".safetensors";
const MOST_SHOWN = 80; // characters of a line
/** Every spelling of a key that was ever written. */
const KEYS = new Map(
  Object.entries({
    increment: "key", name: "key", concept: "key", file: "key", enabled: "on", on: "on",
    strength: "strength", start_percent: "start", start: "start", end_percent: "end", end: "end",
    sha256: "sha256", erases: "erases",
  }),
);
const TYPES = { key: "string", on: "boolean", strength: "number", start: "number", end: "number", sha256: "string", erases: "string" };

/** A file's name as the library lists it. */
export function listed(/** @type {string} */ name) {
  const path = name.replaceAll("\\", "/");
  return path.toLowerCase().endsWith(".safetensors") ? path : `${path}.safetensors`;
}

/** A row as it is before anyone has changed it. @returns {Row} */
export function freshRow(/** @type {string} */ key) {
  return { key, on: true, strength: 1, start: 0, end: 1 };
}

/** Reads a widget's text; never throws. @returns {State} */
export function readState(/** @type {string} */ text) {
  try {
    return /^\s*[{[]/.test(text) ? readJson(text.trim()) : readLines(text);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return { rows: [], presets: {}, extra: {}, problem };
  }
}

/** The text for the widget. A state with a problem has none: its text has to stay as it is. */
export function writeState(/** @type {State} */ state, /** @type {Kind} */ kind) {
  if (state.problem) throw new Error(t("Rows that cannot be read are not written: {problem}", { problem: state.problem }));
  const written = { ...state.extra, version: VERSION, rows: writeRows(state.rows, kind) };
  const presets = Object.keys(state.presets).length ? { presets: state.presets } : {};
  return JSON.stringify({ ...written, ...presets }, null, 1);
}

/** @returns {State} */
function readLines(/** @type {string} */ text) {
  const { notes } = notedLines(text);
  const rows = listedLines(text, !text.toLowerCase().includes(FILE)).map(([at, line]) => readLine(line, at));
  return { rows, presets: {}, extra: notes.length ? { notes } : {}, problem: "" };
}

/** A name, then what stands behind it and is a setting; the first word never is. @returns {Row} */
function readLine(/** @type {string} */ line, /** @type {number} */ number) {
  const words = [...plainSigns(line).matchAll(/\S+/g)];
  const options = words.map(([word]) => word.replace(/[,;]+$/, "").match(OPTION));
  const count = Math.max(options.findLastIndex((option) => !option), 0) + 1;
  const last = words[count - 1];
  /** @type {Record<string, unknown>} */
  const given = {};
  for (const option of options.slice(count)) {
    const { strength, start, end } = /** @type {any} */ (option).groups;
    if (strength) given.strength = decimal(strength);
    else if (start) [given.start, given.end] = [decimal(start), decimal(end)];
    else given.on = /** @type {any} */ (option)[0].toLowerCase() === "on";
  }
  const behind = Object.keys(given).length ? /[\s:：=＝,，;；]+$/ : /[\s,，;；]+$/;
  const key = line.slice(0, last.index + last[0].length).replace(behind, "");
  given.key = isQuoted(key) ? key.slice(1, -1) : key;
  return checked(given, t("Line {number}, '{line}'", { number, line: shown(line) }));
}

function decimal(/** @type {string} */ number) {
  return Number(number.replace(",", "."));
}

function shown(/** @type {string} */ line) {
  return line.length <= MOST_SHOWN ? line : `${line.slice(0, MOST_SHOWN)}…`;
}

/** @returns {State} */
function readJson(/** @type {string} */ text) {
  const whole = parsed(text);
  if (Array.isArray(whole)) return { rows: readRows(whole), presets: {}, extra: {}, problem: "" };
  const { version = VERSION, rows, presets, ...others } = whole;
  if (Number.isInteger(version) && version > VERSION)
    throw new Error(t("The rows have version {version}; this version of SepME reads up to {known}. Update the SepME nodes to open them; until then they stay as they are.", { version, known: VERSION }));
  const kept = isTable(presets) ? presets : {};
  if (isTable(rows) || Array.isArray(rows))
    return { rows: readRows(rows), presets: kept, extra: others, problem: "" };
  const alone = Object.keys(whole).every((key) => key === "version" || key === "presets");
  return { rows: alone ? [] : readRows(whole), presets: alone ? kept : {}, extra: {}, problem: "" };
}

function parsed(/** @type {string} */ text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(t("The rows are no valid JSON: {why}. Correct that place, or write plain lines such as 'name 0.8'.", { why: /** @type {Error} */ (error).message }));
  }
}

/** @returns {value is Record<string, unknown>} */
function isTable(/** @type {unknown} */ value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Rows from a list or a table of them. @returns {Row[]} */
export function readRows(/** @type {unknown} */ given) {
  if (Array.isArray(given)) return given.map((value, at) => readRow(undefined, value, at + 1));
  if (!isTable(given)) throw new Error(t("Got {value}, expected a list or a table of rows.", { value: JSON.stringify(given) }));
  return Object.entries(given).map(([key, value], at) => readRow(key, value, at + 1));
}

/** @returns {Row} */
function readRow(/** @type {string | undefined} */ key, /** @type {any} */ value, /** @type {number} */ number) {
  const where = key ? t("Row {number}, '{key}'", { number, key }) : t("Row {number}", { number });
  if (Array.isArray(value) && value.length === 2) [key, value] = value;
  else if (typeof value === "string" && key === undefined) [key, value] = [value, {}];
  if (typeof value === "boolean") value = { on: value };
  else if (typeof value === "number") value = { strength: value };
  if (!isTable(value))
    throw new Error(`${where}: ${t("got {value}, expected a switch, a strength or a whole row.", { value: JSON.stringify(value) })}`);
  return checked(key === undefined ? value : { ...value, key }, where);
}

/** @returns {Row} */
function checked(/** @type {Record<string, unknown>} */ given, /** @type {string} */ where) {
  /** @type {any} */
  const row = freshRow("");
  /** @type {Record<string, unknown>} */
  const extra = {};
  for (const [name, value] of Object.entries(given)) {
    const known = name === "key" ? "key" : KEYS.get(name);
    if (!known) extra[name] = value;
    else if (value !== null) row[known] = typed(known, value, where);
  }
  if ("key" in given) row.key = typed("key", given.key, where);
  row.key = row.key.trim();
  if (row.sha256 !== undefined) row.sha256 = row.sha256.toLowerCase();
  const problem = flaw(row);
  if (problem) throw new Error(`${where}: ${problem}`);
  return Object.keys(extra).length ? { ...row, extra } : row;
}

function typed(/** @type {string} */ name, /** @type {any} */ value, /** @type {string} */ where) {
  const type = /** @type {any} */ (TYPES)[name];
  if (type === "boolean" && Number.isInteger(value)) return Boolean(value);
  if (typeof value !== type) throw new Error(`${where}: ${t("{name} is {value}, expected a {type}.", { name, value: JSON.stringify(value), type })}`);
  return value;
}

/** What is wrong with a row; empty when nothing is. */
function flaw(/** @type {Row} */ row) {
  const { key, strength, start, end } = row;
  if (!key) return t("it names nothing. Give it a name, or remove it.");
  if (!(Math.abs(strength) <= STRONGEST))
    return t('strength is {value}, expected between -{most} and {most}. If the number belongs to the name, put the name in quotes: "{key} …".', { value: strength, most: STRONGEST, key });
  if (!(0 <= start && start <= end && end <= 1))
    return t("start is {start} and end {end}, expected 0 <= start <= end <= 1.", { start, end });
  return "";
}

/** Rows as JSON has them. */
export function writeRows(/** @type {Row[]} */ rows, /** @type {Kind} */ kind) {
  const written = rows.map(({ key, extra, ...row }) => /** @type {const} */ ([key, { ...extra, ...row }]));
  if (kind === "concept") return Object.fromEntries(written);
  return written.map(([file, row]) => ({ file, ...row }));
}

/** A change brought into the range that a row allows. @returns {Partial<Row>} */
export function allowed(/** @type {Row} */ row, /** @type {Partial<Row>} */ change) {
  /** @type {Partial<Row>} */
  const kept = { ...change };
  const clamp = (/** @type {number} */ value, /** @type {number} */ low, /** @type {number} */ high) =>
    Math.round(Math.min(Math.max(value, low), high) * 1000) / 1000;
  if (kept.strength !== undefined) kept.strength = clamp(kept.strength, -STRONGEST, STRONGEST);
  if (kept.start !== undefined) kept.start = clamp(kept.start, 0, kept.end ?? row.end);
  if (kept.end !== undefined) kept.end = clamp(kept.end, kept.start ?? row.start, 1);
  return Object.values(kept).some((value) => Number.isNaN(value)) ? {} : kept;
}
