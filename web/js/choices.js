// @ts-check
/**
 * What a person can choose from: the folders and files of one folder, or files that fit a text.
 *
 * @typedef {import("./library_client.js").Entry} Entry
 * @typedef {object} Choice
 * @property {string} folder its path with a slash at the end; empty where it is a file
 * @property {number} count files in the folder, also in those within
 * @property {Entry | null} entry
 */
import { matching } from "./row_changes.js";
import { nameKey } from "./rows.js";

const ENDING = /\.safetensors$/i;

/**
 * Gives what is in a folder, folders first; or, where a text is given, what fits it anywhere, the
 * best first: a file of that name, then names that begin so, then those of the open folder.
 *
 * @param {Entry[]} files sorted by name
 * @param {string} folder its path with a slash at the end; empty for the outermost
 * @param {string} wanted
 * @returns {Choice[]}
 */
export function choices(files, folder, wanted) {
  const usable = files.filter((entry) => !entry.problem);
  return wanted.trim() ? fitting(usable, folder, wanted.trim()) : [...foldersIn(usable, folder), ...filesIn(usable, folder)];
}

/** The folder that a folder lies in. */
export function parentOf(/** @type {string} */ folder) {
  return folder.replace(/[^/]+\/$/, "");
}

/** The last part of a path. */
export function lastPart(/** @type {string} */ path) {
  return /** @type {string} */ (path.replace(/\/$/, "").split("/").pop());
}

/** A file's name without its folders and its ending. */
export function stem(/** @type {string} */ file) {
  return lastPart(file).replace(ENDING, "");
}

/** @returns {Choice[]} */
function foldersIn(/** @type {Entry[]} */ files, /** @type {string} */ folder) {
  const counts = new Map();
  for (const { file } of files) {
    const slash = file.indexOf("/", folder.length);
    if (!file.startsWith(folder) || slash < 0) continue;
    const within = file.slice(0, slash + 1);
    counts.set(within, (counts.get(within) ?? 0) + 1);
  }
  return [...counts].map(([within, count]) => ({ folder: within, count, entry: null }));
}

/** @returns {Choice[]} */
function filesIn(/** @type {Entry[]} */ files, /** @type {string} */ folder) {
  return files.filter(({ file }) => file.startsWith(folder) && !file.includes("/", folder.length)).map(choiceOf);
}

/** @returns {Choice[]} */
function fitting(/** @type {Entry[]} */ files, /** @type {string} */ folder, /** @type {string} */ wanted) {
  const plain = wanted.replaceAll("\\", "/").replace(ENDING, "");
  const texts = files.map(({ file, concept, synonyms, family }) => [file.replace(ENDING, ""), concept, ...(synonyms ?? []), family].join(" "));
  const found = matching(texts, plain).map((at) => ({ entry: files[at], rank: rank(files[at], nameKey(plain), folder) }));
  return found.sort((one, other) => one.rank - other.rank).map(({ entry }) => choiceOf(entry));
}

/** How well a file fits; less is better. */
function rank(/** @type {Entry} */ { file, concept }, /** @type {string} */ wanted, /** @type {string} */ folder) {
  if (nameKey(file.replace(ENDING, "")) === wanted) return 0;
  const names = [nameKey(stem(file)), nameKey(concept ?? "")];
  const fit = names.includes(wanted) ? 1 : names.some((name) => name.startsWith(wanted)) ? 2 : 3;
  return fit + (file.startsWith(folder) ? 0 : 0.5);
}

/** @returns {Choice} */
function choiceOf(/** @type {Entry} */ entry) {
  return { folder: "", count: 0, entry };
}
