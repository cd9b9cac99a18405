// @ts-check
/**
 * Keeps each row with its concept while the concepts are typed: a renamed concept keeps its row, a
 * removed one takes it along, and one that comes back (by undo, too) brings it back.
 *
 * @typedef {import("./rows.js").Row} Row
 *
 * @typedef {object} Line
 * @property {string} text
 * @property {string} name empty where the line names nothing of its own (a note, a repeated name)
 */
import { conceptLines } from "./concepts.js";
import { lines, nameKey } from "./spelling.js";

export class RowKeeper {
  constructor() {
    /** @type {Line[] | null} */
    this.lines = null;
    /** @type {Map<string, Row>} rows of concepts that are gone, by name */
    this.gone = new Map();
    /** @type {Map<number, Row>} rows whose line names nothing at the moment, by the line's place */
    this.parked = new Map();
  }

  /** Takes a text as it is, without carrying anything over. */
  start(/** @type {string} */ text) {
    this.lines = named(text);
    this.parked.clear();
  }

  /** The rows for a text that was typed; the same array when it asks for no change. @returns {Row[]} */
  follow(/** @type {string} */ text, /** @type {Row[]} */ rows) {
    const [before, after] = [this.lines ?? named(text), named(text)];
    this.lines = after;
    const known = new Map(rows.map((row) => [nameKey(row.key), row]));
    const moved = this.carried(before, after, known);
    const kept = after.flatMap(({ name }, at) => {
      const row = moved.get(at) ?? known.get(nameKey(name)) ?? this.gone.get(nameKey(name));
      if (!name) this.park(at, row);
      return name && row ? [row.key === name ? row : { ...row, key: name }] : [];
    });
    const names = new Set(kept.map((row) => nameKey(row.key)));
    const carried = new Set([...moved.values(), ...this.parked.values()]);
    for (const row of rows) if (!names.has(nameKey(row.key)) && !carried.has(row)) this.gone.set(nameKey(row.key), row);
    return same(kept, rows) ? rows : kept;
  }

  park(/** @type {number} */ at, /** @type {Row | undefined} */ row) {
    if (row) this.parked.set(at, row);
  }

  /**
   * The row of the one line that was changed, by its new place. A list that is replaced as a whole
   * is a new list: nothing is carried over.
   */
  carried(/** @type {Line[]} */ before, /** @type {Line[]} */ after, /** @type {Map<string, Row>} */ known) {
    const parked = this.parked;
    this.parked = new Map();
    /** @type {Map<number, Row>} */
    const moved = new Map();
    const { start, ends: [end, endAfter] } = difference(before, after);
    for (const [at, row] of parked) {
      if (at < start) this.parked.set(at, row);
      else if (at >= end) this.parked.set(at - end + endAfter, row);
      else if (end - start !== 1) this.gone.set(nameKey(row.key), row);
    }
    if (end - start !== 1 || endAfter - start !== 1) return moved;
    const elsewhere = after.some((line, at) => at !== start && nameKey(line.name) === nameKey(before[start].name));
    const row = parked.get(start) ?? (elsewhere ? undefined : known.get(nameKey(before[start].name)));
    if (row) moved.set(start, row);
    return moved;
  }
}

/** @returns {Line[]} */
function named(/** @type {string} */ text) {
  const found = new Map(conceptLines(text).map((line) => [line.number, line]));
  const seen = new Set();
  return lines(text).map((line, at) => {
    const name = found.get(at + 1)?.name ?? "";
    const again = seen.has(nameKey(name));
    seen.add(nameKey(name));
    return { text: line, name: again ? "" : name };
  });
}

/** Where two texts differ: from a line on, up to a line of each. */
function difference(/** @type {Line[]} */ before, /** @type {Line[]} */ after) {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before[start].text === after[start].text) start += 1;
  let end = 0;
  while (end < shorter - start && before[before.length - 1 - end].text === after[after.length - 1 - end].text) end += 1;
  return { start, ends: [before.length - end, after.length - end] };
}

function same(/** @type {Row[]} */ some, /** @type {Row[]} */ others) {
  return some.length === others.length && some.every((row) => others.includes(row));
}
