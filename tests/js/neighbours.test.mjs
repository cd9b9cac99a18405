import assert from "node:assert/strict";
import test from "node:test";

import { ASKING, missing, suggesting, withNames } from "../../web/js/neighbours.js";

const node = (class_type, inputs = {}) => ({ class_type, inputs });
const graph = (eraser = {}) => ({
  1: node("CheckpointLoaderSimple", { ckpt_name: "a" }),
  2: node("CLIPSetLastLayer", { clip: ["1", 1], stop_at_clip_layer: -2 }),
  3: node("SepME_Eraser", { model: ["1", 0], clip: ["2", 0], concepts: "cat", ...eraser }),
  4: node("KSampler", { model: ["3", 0] }),
});

test("the run holds what the CLIP comes from, and nothing else of the graph", () => {
  const prompt = suggesting(graph(), "3");
  assert.deepEqual(Object.keys(prompt).sort(), ["1", "2", ASKING]);
  assert.deepEqual(prompt[ASKING], node("SepME_Neighbours", { clip: ["2", 0], concepts: "cat", count: 8 }));
});

test("concepts that come from a link bring along what they come from", () => {
  const linked = { ...graph({ concepts: ["5", 0] }), 5: node("PrimitiveString", { value: "dog" }) };
  const prompt = suggesting(linked, "3");
  assert.deepEqual(prompt[ASKING].inputs.concepts, ["5", 0]);
  assert.ok(prompt[5]);
});

test("a concept set asks the CLIP of what computes with it", () => {
  const set = { ...graph(), 5: node("SepME_Concepts", { concepts: "cat" }), 6: node("SepME_Compute", { clip: ["1", 1], concepts: ["5", 0] }) };
  assert.deepEqual(suggesting(set, "5")[ASKING].inputs.clip, ["1", 1]);
});

test("without a CLIP it says what to connect", () => {
  assert.throws(() => suggesting(graph({ clip: undefined }), "3"), /Connect the CLIP/);
});

test("what is there already is neither suggested nor added again", () => {
  const names = (...all) => all.map((name) => ({ name, similarity: 0.5 }));
  const suggested = [{ concept: "cat", names: names("dog", "kitten") }, { concept: "lion", names: names("Kitten", "DOG") }];
  assert.deepEqual(missing(suggested, "Dog\nbird"), [{ concept: "cat", names: names("kitten") }]);
  assert.equal(withNames("Dog\n", ["dog", "kitten"]), "Dog\nkitten");
  assert.equal(withNames("", ["kitten", "puppy"]), "kitten\npuppy");
  assert.equal(withNames("# my own\nbird", []), "# my own\nbird");
});
