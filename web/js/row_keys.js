// @ts-check
/**
 * What the keys do in a row.
 *
 * @typedef {object} KeyAction
 * @property {"move" | "focus" | "shift" | "remove" | "clear"} what
 * @property {number} by rows, or steps of the strength; infinite to the first or last row
 * @property {boolean} all whether it is about every row
 */

const WAYS = { ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity };

/**
 * Alt moves the row, without it the focus goes; in a number these keys are the number's own, except
 * for Shift with an arrow, which changes the strengths of all rows.
 *
 * @param {{key: string, altKey: boolean, shiftKey: boolean, ctrlKey: boolean, metaKey: boolean}} event
 * @param {boolean} inNumber whether a number has the focus
 * @returns {KeyAction | null} null for a key that is not the row's
 */
export function keyAction({ key, altKey, shiftKey, ctrlKey, metaKey }, inNumber) {
  if (ctrlKey || metaKey) return null;
  const by = Object.hasOwn(WAYS, key) ? /** @type {Record<string, number>} */ (WAYS)[key] : null;
  if (by !== null && altKey) return { what: "move", by, all: false };
  if (by !== null && shiftKey && Number.isFinite(by)) return { what: "shift", by: -by, all: true };
  if (key === "Escape") return { what: "clear", by: 0, all: true };
  if (inNumber || shiftKey || altKey) return null;
  if (by !== null) return { what: "focus", by, all: false };
  return key === "Delete" ? { what: "remove", by: 0, all: false } : null;
}
