import assert from "node:assert/strict";
import test from "node:test";

import { choices, parentOf, stem } from "../../web/js/choices.js";

const entry = (file, given = {}) => ({ file, concept: stem(file), synonyms: [], family: "", problem: "", ...given });
const FILES = [
  "animals/cat.safetensors", "animals/wild/lion.safetensors", "buildings/cathedral.safetensors",
  "cat.safetensors", "cathedral.safetensors", "concatenated.safetensors",
].map((file) => entry(file));
const shown = (files, folder = "", wanted = "") => choices(files, folder, wanted).map((each) => each.entry?.file ?? [each.folder, each.count]);

test("a folder shows its folders first, with what is in them, then its files", () => {
  assert.deepEqual(shown(FILES), [["animals/", 2], ["buildings/", 1], "cat.safetensors", "cathedral.safetensors", "concatenated.safetensors"]);
  assert.deepEqual(shown(FILES, "animals/"), [["animals/wild/", 1], "animals/cat.safetensors"]);
  assert.deepEqual(["animals/wild/", "animals/", ""].map(parentOf), ["animals/", "", ""]);
});

for (const [wanted, expected] of [
  ["cat", "cat.safetensors"],
  ["cath", "buildings/cathedral.safetensors"],
  ["cathedral", "cathedral.safetensors"],
  ["Cathedral.safetensors", "cathedral.safetensors"],
  ["buildings\\cathedral", "buildings/cathedral.safetensors"],
  ["wild", "animals/wild/lion.safetensors"],
])
  test(`what fits ${JSON.stringify(wanted)} best stands first`, () => {
    assert.equal(shown(FILES, "", wanted)[0], expected);
  });

test("what begins so stands before what only holds it, and what is in the open folder before the rest", () => {
  const found = shown(FILES, "animals/", "cat");
  assert.ok(found.indexOf("animals/cat.safetensors") < found.indexOf("cathedral.safetensors"));
  assert.equal(found.at(-1), "concatenated.safetensors");
});

test("what fits nothing shows nothing, and what cannot be used is not shown", () => {
  assert.deepEqual(shown(FILES, "", "hedral x"), []);
  assert.deepEqual(shown([entry("a.safetensors", { problem: "corrupt" })]), []);
});

test("files are found by their concept and its synonyms too", () => {
  const files = [entry("x.safetensors", { concept: "Van Gogh", synonyms: ["Vincent"] })];
  assert.deepEqual(shown(files, "", "van g"), ["x.safetensors"]);
  assert.deepEqual(shown(files, "", "vincent"), ["x.safetensors"]);
});
