import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";

import { conceptLines } from "../../web/js/concepts.js";
import { speak, t } from "../../web/js/words.js";
import { ZH } from "../../web/js/words_zh.js";

const FOLDER = new URL("../../web/js/", import.meta.url);
const sources = ["../sepme.js", ...readdirSync(FOLDER)].filter((name) => name.endsWith(".js"));
/** Everything that is given to `t` as it stands. */
const said = sources.flatMap((name) => {
  const source = readFileSync(new URL(name, FOLDER), "utf8");
  return [...source.matchAll(/\bt\(("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')/g)].map(([, text]) => Function(`return ${text}`)());
});
const braces = (text) => [...new Set(text.match(/\{\w+\}/g) ?? [])].sort();

test("everything that the page says is said in Chinese too", () => {
  assert.ok(said.length > 40);
  assert.deepEqual(said.filter((text) => !Object.hasOwn(ZH, text)), []);
});

test("a translation leaves no number or name out", () => {
  for (const [english, chinese] of Object.entries(ZH)) assert.deepEqual(braces(chinese), braces(english));
});

test("a language that is not known is English, and what is in braces is put in", () => {
  speak("xx");
  assert.equal(t("Line {number}: {problem}", { number: 2, problem: "{number}" }), "Line 2: {number}");
  assert.equal(t("{unknown}"), "{unknown}");
  speak("zh");
  assert.match(conceptLines("a, b")[0].problem, /逗号/);
  speak("en");
  assert.match(conceptLines("a, b")[0].problem, /comma/);
});
