import assert from "node:assert/strict";
import test from "node:test";

import { RowKeeper } from "../../web/js/row_keeper.js";
import { freshRow } from "../../web/js/rows.js";

const off = (key) => ({ ...freshRow(key), on: false });
const told = (rows) => Object.fromEntries(rows.map((row) => [row.key, row.on]));

/** The rows after each of some texts, typed one after the other. */
function typed(rows, ...texts) {
  const keeper = new RowKeeper();
  keeper.start(texts[0]);
  return texts.slice(1).map((text) => (rows = keeper.follow(text, rows))).map(told);
}

const letters = (before, from, to, after) => [
  ...Array.from(from, (_, n) => before + from.slice(0, from.length - n) + after),
  before + after,
  ...Array.from(to, (_, n) => before + to.slice(0, n + 1) + after),
];

test("a renamed concept keeps its row, however it is typed", () => {
  const all = typed([off("cat"), freshRow("dog")], ...letters("", "cat", "rocket", "\ndog"));
  assert.deepEqual(all.at(-1), { rocket: false, dog: true });
  assert.ok(all.every((rows) => Object.keys(rows).length <= 2), "no dead rows on the way");
  assert.deepEqual(typed([off("cat")], "cat", "cat | kitten", "big cat | kitten").at(-1), { "big cat": false });
});

test("a name that is another's on the way takes nothing from it", () => {
  const all = typed([off("cat"), freshRow("dog")], ...letters("cat\n", "dog", "cathedral", ""));
  assert.deepEqual(all.at(-1), { cat: false, cathedral: true });
  assert.ok(all.every((rows) => rows.cat === false));
});

test("a removed concept leaves no row, and brings it back when it comes back", () => {
  assert.deepEqual(typed([off("cat"), off("dog")], "cat\ndog", "dog", "cat\ndog"), [{ dog: false }, { cat: false, dog: false }]);
  assert.deepEqual(typed([off("cat"), off("dog")], "cat\ndog", "", "cat\ndog").at(-1), { cat: false, dog: false });
  assert.deepEqual(typed([off("cat")], "cat", "", "cat").at(-1), { cat: false });
});

test("lines in another order, and other lines beside, change no row", () => {
  const rows = [off("cat"), freshRow("dog")];
  const keeper = new RowKeeper();
  keeper.start("cat\ndog");
  assert.equal(keeper.follow("dog\ncat", rows), rows, "not even the text of the rows");
  assert.equal(keeper.follow("# note\ndog\n\ncat\nbird", rows), rows);
});

test("a list that is replaced as a whole is new, and rows of nobody are let go", () => {
  assert.deepEqual(typed([off("cat"), off("dog")], "cat\ndog", "bird\nfish"), [{}]);
  assert.deepEqual(typed([off("cat"), off("nobody")], "cat", "cat\ndog"), [{ cat: false }]);
});

test("what is parked on an empty line moves with the lines around it", () => {
  const all = typed([off("cat"), freshRow("dog")], "cat\ndog", "\ndog", "bird\n\ndog", "bird\nkitten\ndog");
  assert.deepEqual(all.at(-1), { kitten: false, dog: true });
});
