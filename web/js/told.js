// @ts-check
/**
 * What the server told of SepME Eraser's rows, kept apart by the texts that it is about.
 *
 * The texts may be edited while a run computes. So every row that the server tells of carries the
 * digest of the texts that were queued, and its answer to the page the digest of those asked about:
 * a row is shown only where the two are one. A signature is the page's own word for the texts.
 */
import { nameKey } from "./rows.js";

export class Told {
  constructor() {
    /** @type {Map<string, Map<string, any>>} rows by concept, by the texts' digest */
    this.rows = new Map();
    /** @type {{signature: string | null, texts: string}} what the server last answered about */
    this.answered = { signature: null, texts: "" };
    /** @type {{signature: string | null, texts: string | null}} what was shown when the last run began to tell */
    this.heard = { signature: null, texts: null };
  }

  /** Whether the server has said which digest these texts have. */
  knows(/** @type {string} */ signature) {
    return this.answered.signature === signature;
  }

  /** Takes in a row that a run tells of. */
  hear(/** @type {any} */ row, /** @type {string} */ signature) {
    if (row.texts !== this.heard.texts) this.heard = { signature, texts: row.texts };
    this.of(row.texts).set(nameKey(row.concept), row);
  }

  /** Takes in what the server knows; a row that is being computed knows it better. */
  answer(/** @type {{texts: string, rows: any[]}} */ { texts, rows }, /** @type {string} */ signature) {
    this.answered = { signature, texts };
    const known = this.of(texts);
    for (const row of rows) if (known.get(nameKey(row.concept))?.state !== "computing") known.set(nameKey(row.concept), row);
    for (const other of this.rows.keys()) if (other !== texts && other !== this.heard.texts) this.rows.delete(other);
  }

  /**
   * What was told of a concept.
   *
   * @param {string} name
   * @param {string} signature of the texts that are shown
   * @param {boolean} linked whether some of them are known to the server only: the last run's are taken for them
   */
  row(name, signature, linked) {
    const about = linked && this.heard.signature === signature ? this.heard : this.answered;
    return about.signature === signature ? this.rows.get(about.texts ?? "")?.get(nameKey(name)) : undefined;
  }

  /** Forgets what never came to an end. */
  ended() {
    for (const known of this.rows.values())
      for (const [name, row] of known) if (row.state === "computing") known.delete(name);
  }

  /** @returns {Map<string, any>} */
  of(/** @type {string} */ texts) {
    const known = this.rows.get(texts) ?? new Map();
    this.rows.set(texts, known);
    return known;
  }
}
