// @ts-check
/** The words of the rows and the library; English stands in the code, other languages beside it. */
import { ZH } from "./words_zh.js";

/** @type {Record<string, Record<string, string>>} */
const LANGUAGES = { zh: ZH };
let words = /** @type {Record<string, string>} */ ({});

/** Chooses the language of the page, such as `zh`. */
export function speak(/** @type {string} */ language) {
  words = LANGUAGES[language] ?? {};
}

/** A word or a message in the page's language, with what stands in its braces. */
export function t(/** @type {string} */ english, /** @type {Record<string, string | number>} */ given = {}) {
  const text = Object.hasOwn(words, english) ? words[english] : english;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (Object.hasOwn(given, name) ? String(given[name]) : whole));
}
