import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { conceptLines, protectedNames, typed } from "../../web/js/concepts.js";
import { readState } from "../../web/js/rows.js";
import { nameKey } from "../../web/js/spelling.js";

/** What the server's tests are held to as well. */
const cases = JSON.parse(readFileSync(new URL("../spelling_cases.json", import.meta.url), "utf8"));
const sign = (problem) => new RegExp(problem.replace(/[|>]/g, "\\$&"), "i");

for (const [one, other] of cases.same)
  test(`${JSON.stringify(other)} is spelt ${JSON.stringify(one)} as well`, () => {
    assert.equal(nameKey(one), nameKey(other));
    assert.equal(nameKey(nameKey(other)), nameKey(other));
  });

for (const [one, other] of cases.different)
  test(`${JSON.stringify(other)} is another name than ${JSON.stringify(one)}`, () => {
    assert.notEqual(nameKey(one), nameKey(other));
  });

for (const { text, lines, problem } of cases.concepts)
  test(`concepts ${JSON.stringify(text)}`, () => {
    const found = conceptLines(text);
    if (problem) assert.match(found.at(-1).problem, sign(problem));
    else assert.deepEqual(found.map((line) => [line.name, line.synonyms, line.anchor, line.problem]), lines.map((line) => [...line, ""]));
  });

for (const { text, names, problem } of cases.protected)
  test(`protected ${JSON.stringify(text)}`, () => {
    if (problem) assert.match(protectedNames(`rose\n${text}`).problem, sign(`Line 2: .*${problem}`));
    else assert.deepEqual(protectedNames(text), { names, problem: "" });
  });

for (const { text, rows } of cases.rows)
  test(`rows ${JSON.stringify(text)}`, () => {
    const { rows: found, problem } = readState(text);
    assert.equal(problem, "");
    const expected = rows.map(([key, ...others]) => [nameKey(key), ...others]);
    assert.deepEqual(found.map((row) => [nameKey(row.key), row.on, row.strength, row.start, row.end]), expected);
  });

test("a name is typed so that it is read as that name", () => {
  for (const name of ["cat", "cat (orange)", "Monet, Manet", "a -> b", "a | b", "C#", "a # b", "(cat)", "cat:0.5", "{a|b}", "__a__", "- a"])
    assert.deepEqual(protectedNames(`rose\n${typed(name)}`).names, ["rose", name]);
  assert.equal(typed("cat (orange)"), "cat (orange)");
});

test("an endless row is refused in a few words", () => {
  const { problem } = readState(`cat ${"1".repeat(20000)}`);
  assert.match(problem, /^Line 1, 'cat 1+…': strength is/);
  assert.ok(problem.length < 1000);
});

test("files whose names count up keep their numbers", () => {
  const keys = readState("1. cat.safetensors\n2. dog.safetensors 0.5").rows.map((row) => row.key);
  assert.deepEqual(keys, ["1. cat.safetensors", "2. dog.safetensors"]);
});
