import assert from "node:assert/strict";
import test from "node:test";

import { conceptLines, signature } from "../../web/js/concepts.js";
import { follow, shape, words } from "../../web/js/curve.js";

test("every line is a row named by what stands before its signs", () => {
  const found = conceptLines("# note\nVan Gogh | Vincent, VG -> painting\n\n cat ");
  assert.deepEqual(found.map((line) => [line.number, line.name, line.problem]), [
    [2, "Van Gogh", ""],
    [4, "cat", ""],
  ]);
});

for (const [text, message] of [
  ["a -> b -> c", /More than one/],
  ["a -> b | c", /stands behind/],
  ["a, b", /comma/],
  ["| b", /empty/],
  ["cat\nDog | CAT", /'CAT' is given twice/],
])
  test(`${JSON.stringify(text)} says what is wrong with its last line`, () => {
    assert.match(conceptLines(text).at(-1).problem, message);
  });

test("what is computed depends on the lines, not on their order", () => {
  const of = (text) => signature(conceptLines(text));
  assert.equal(of("cat\ndog"), of("# x\nDog\n cat"));
  assert.notEqual(of("cat\ndog"), of("cat\ndog -> pet"));
});

const at = (step, statistic, concept = "cat") => ({
  concept, step, statistic, max_steps: 10, tau: 0.01, evaluations: 3 * step, seconds_left: 61.2, unit: "",
});

test("the curve follows one concept and starts anew with the next", () => {
  const two = follow(follow([], at(1, 0.5)), at(2, 0.1));
  assert.equal(two.length, 2);
  assert.equal(follow(two, at(1, 0.5, "dog")).length, 1);
  assert.deepEqual(follow(two, at(3, null)), []);
  let many = [];
  for (let step = 1; step < 3000; step += 1) many = follow(many, at(step, 1 / step));
  assert.ok(many.length <= 401 && many.at(-1).step === 2999);
});

test("the curve stays in its box and falls to its threshold", () => {
  const { points, threshold } = shape([at(0, 1), at(5, 0.1), at(10, 0.01)], 100, 40);
  const places = points.split(" ").map((point) => point.split(",").map(Number));
  assert.deepEqual(places.map(([x]) => x), [0, 50, 100]);
  assert.ok(places.every(([, y]) => y >= 0 && y <= 40));
  assert.equal(places.at(-1)[1], threshold);
  assert.ok(places[0][1] < places[1][1] && places[1][1] < places[2][1], "down is small");
});

test("the words say what is counted and how long it may take", () => {
  assert.equal(words(at(2, 0.1234)), "cat: step 2/10 · correlation 0.12 (stops at 0.01) · 6 evaluations · up to 1 min 2 s left");
  assert.equal(words({ ...at(2, null), unit: "captions" }), "cat: 2 of 10 captions");
});
