// @ts-check
/**
 * What people type, and what they mean by it: the same rules as `sepme_core/spelling.py`.
 *
 * `tests/spelling_cases.json` holds both to them.
 */
export const ARROW = String.raw`[-‐‑‒–—−=]+>|[-‐‑‒–—−=]*＞|[→⇒⇨⟶⟹➔➙➜➝➞➡]\uFE0F?`;
export const BAR = "[|｜¦]";
export const COMMA = "[,，、;；﹐]";

const DOUBLE = '"“”„‟«»＂';
const SINGLE = "'‘’‚‛";
const LETTER = String.raw`[\p{L}\p{N}_]`;
/** Signs in here separate nothing; what is opened and not closed is a letter like others. */
const SKIPPED = String.raw`(?<!${LETTER})[${DOUBLE}][^${DOUBLE}]*[${DOUBLE}](?!${LETTER})|\\.|\([^\(\)]*\)|（[^（）]*）|\[[^\[\]]*\]|\{[^\{\}]*\}`;
const PAIRS = new Map([["(", ")"], ["（", "）"], ["[", "]"]]);
const WEIGHT = String.raw`\s*[:：]\s*[\-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)`;
const WEIGHTED = new RegExp(String.raw`(?<!\\)\(([^\(\)]*?)${WEIGHT}\s*(?<!\\)\)`, "gu");
const WEIGHT_LAST = new RegExp(`${WEIGHT}$`, "u");
/** Without brackets a weight stands close: `Blade Runner: 2.0` is a name. */
const SHARE_LAST = /(?<=\S)[:：][0-9]*\.[0-9]+$/u;
const INVISIBLE = /[\u00ad\u200b\u200e\u200f\u2060\ufeff\u202a-\u202e\u2066-\u2069]/gu;
const SPACES = /[\t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/gu;
const JOINERS = /^[\u200c\u200d]+|[\u200c\u200d]+$/gu;
const LINE_END = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/;
const AROUND = /^[\s\u00ad\u200b\u200e\u200f\u2060\ufeff\u202a-\u202e\u2066-\u2069]+|[\s\u00ad\u200b\u200e\u200f\u2060\ufeff\u202a-\u202e\u2066-\u2069]+$/gu;
const NOTE = /^(?:#|\/\/)/;
const BULLET = /^(?:[\-*+•·‣▪●○–—]|\[[ xX]?\])\s+/u;
const NUMBERING = /^([0-9]{1,4})[.)]\s+/u;
const COMMAS_AROUND = new RegExp(String.raw`^(?:${COMMA}|\s)+|(?:${COMMA}|\s)+$`, "gu");
/** @type {[RegExp, string][]} */
const FOREIGN = [
  [/<\s*[\p{L}\p{N}_]+\s*:[^<>]*>/u, "tag"],
  [/\{[^{}]*[|｜][^{}]*\}/u, "choice"],
  [/(?<![\p{L}\p{N}_])__[\p{L}\p{N}_*/\-]+__(?![\p{L}\p{N}_])/u, "wildcard"],
];

/** Text with composed accents, plain spaces and without what cannot be seen. */
export function clean(/** @type {string} */ text) {
  const seen = text.replace(SPACES, " ").replace(INVISIBLE, "").normalize("NFC");
  return seen.trim().replace(JOINERS, "").trim();
}

/** All lines of a text, also the empty ones. */
export function lines(/** @type {string} */ text) {
  return text.split(LINE_END);
}

/**
 * The lines that say something, as typed, with their numbers from 1, and the notes.
 *
 * @returns {{ said: [number, string][], notes: string[] }}
 */
export function notedLines(/** @type {string} */ text) {
  const all = lines(text).map((line, at) => /** @type {[number, string]} */ ([at + 1, line.replace(AROUND, "")]));
  const notes = all.map(([, line]) => line).filter((line) => NOTE.test(line));
  return { said: all.filter(([, line]) => line && !NOTE.test(line)), notes };
}

/**
 * The lines of a list, as typed but for bullets and numbering.
 *
 * A "#" within a line is a letter like others: `Studio # 54` is a name.
 *
 * @param {string} text
 * @param {boolean} numbered numbers are numbering, where every line has one and they count up
 * @returns {[number, string][]}
 */
export function listedLines(text, numbered = true) {
  const found = notedLines(text).said.map(([at, line]) => /** @type {[number, string]} */ ([at, line.replace(BULLET, "")]));
  const numbers = found.map(([, line]) => Number(line.match(NUMBERING)?.[1] ?? NaN));
  const counted = numbered && found.length > 1 && numbers.every((number, at) => number === numbers[0] + at);
  const bare = counted ? found.map(([at, line]) => /** @type {[number, string]} */ ([at, line.replace(NUMBERING, "")])) : found;
  return bare.filter(([, line]) => line);
}

/** The parts between separators, those in quotes and brackets left alone; a pattern without groups. */
export function splitOutside(/** @type {string} */ text, /** @type {string} */ separator) {
  const parts = [];
  let start = 0;
  for (const found of text.matchAll(new RegExp(`(?:${SKIPPED})|(${separator})`, "gu"))) {
    if (!found[1]) continue;
    parts.push(text.slice(start, found.index).trim());
    start = found.index + found[0].length;
  }
  return [...parts, text.slice(start).trim()];
}

/** What in a name belongs to another program: `tag`, `choice` or `wildcard`; empty for nothing. */
export function foreignSign(/** @type {string} */ text) {
  return FOREIGN.find(([pattern]) => pattern.test(text))?.[1] ?? "";
}

/** A name without what stands around it in prompts: emphasis, quotes, escapes, commas. */
export function plainName(/** @type {string} */ text) {
  let name = clean(text);
  for (;;) {
    let bare = name.replace(COMMAS_AROUND, "");
    if (isQuoted(bare)) return bare.slice(1, -1).trim();
    bare = withoutBrackets(bare);
    if (bare === name) break;
    name = bare;
  }
  return name.replace(WEIGHTED, "$1").replace(/\\([()[\]{}])/g, "$1").trim();
}

/** The same text, letter for letter, with signs and digits as programs know them. */
export function plainSigns(/** @type {string} */ text) {
  const narrow = text.replace(/[\uff01-\uff5e]/g, (sign) => String.fromCharCode(sign.charCodeAt(0) - 0xfee0));
  return alike(narrow.replace(SPACES, " "));
}

function alike(/** @type {string} */ text) {
  return text.replace(/['‘’‚‛`´ʼ]/g, "'").replace(/["“”„‟«»＂]/g, '"').replace(/[‐‑‒–—−]/g, "-");
}

/** Whether quotes stand around all of a text: what is in them is meant as it stands. */
export function isQuoted(/** @type {string} */ text) {
  return text.length > 2 && [DOUBLE, SINGLE].some((quotes) =>
    quotes.includes(text[0]) && quotes.includes(text[text.length - 1]) && ![...text.slice(1, -1)].some((letter) => quotes.includes(letter)));
}

/** What is in the brackets around all of a text, and without its weight. */
function withoutBrackets(/** @type {string} */ text) {
  const inner = PAIRS.has(text[0]) && closesLast(text) ? text.slice(1, -1).trimEnd().replace(WEIGHT_LAST, "") : text;
  return inner.replace(SHARE_LAST, "").trim();
}

/** Whether the bracket that a text begins with is closed by its last letter. */
function closesLast(/** @type {string} */ text) {
  const closing = PAIRS.get(text[0]);
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === "\\") at += 1;
    else depth += Number(text[at] === text[0]) - Number(text[at] === closing);
    if (depth === 0) return at === text.length - 1;
  }
  return false;
}

/**
 * What all spellings of one name have in common: capitals, spaces, underscores, widths, composed
 * accents, kinds of quotes and dashes, emphasis and escapes do not count.
 */
export function nameKey(/** @type {string} */ name) {
  const said = alike(name.replace(SPACES, " ")).replaceAll("_", " ").normalize("NFKC");
  return folded(plainName(said)).normalize("NFKC").trim().split(/\s+/).join(" ");
}

/** Without capitals; letter by letter, as a sigma looks otherwise at the end of a word. */
function folded(/** @type {string} */ text) {
  return Array.from(text, (letter) => letter.toUpperCase().toLowerCase()).join("");
}
