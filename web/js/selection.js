// @ts-check
/** Which rows of a list are chosen, by their keys: they stay chosen when they move. */

export class Selection {
  constructor() {
    /** @type {Set<string>} */
    this.keys = new Set();
    /** @type {string | null} where a stretch of rows begins */
    this.anchor = null;
  }

  has(/** @type {string} */ key) {
    return this.keys.has(key);
  }

  /**
   * Chooses as lists of files do: a click one row, with Ctrl one more or less, with Shift all from
   * the row before. Another click on the only chosen row leaves none.
   *
   * @param {string[]} keys of the rows that are shown, in order
   * @param {string} key
   * @param {{ctrlKey: boolean, metaKey: boolean, shiftKey: boolean}} how
   */
  click(keys, key, { ctrlKey, metaKey, shiftKey }) {
    const from = this.anchor === null ? -1 : keys.indexOf(this.anchor);
    if (shiftKey && from >= 0) {
      const to = keys.indexOf(key);
      this.keys = new Set(keys.slice(Math.min(from, to), Math.max(from, to) + 1));
      return;
    }
    this.anchor = key;
    const only = this.keys.size === 1 && this.keys.has(key);
    if (!ctrlKey && !metaKey) this.keys = new Set(only ? [] : [key]);
    else if (!this.keys.delete(key)) this.keys.add(key);
  }

  /** Chooses none. @returns {boolean} whether any was chosen */
  clear() {
    const any = this.keys.size > 0;
    this.keys.clear();
    this.anchor = null;
    return any;
  }
}
