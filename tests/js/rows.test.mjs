import assert from "node:assert/strict";
import test from "node:test";

import * as change from "../../web/js/row_changes.js";
import { listed, nameKey, readState, writeState } from "../../web/js/rows.js";

const ROW = { key: "a", on: false, strength: 0.5, start: 0, end: 1 };
const rows = (text) => readState(text).rows;
const keys = (state) => state.rows.map((row) => row.key);

for (const text of [
  '{"rows": [{"file": "a", "on": false, "strength": 0.5}]}',
  '[{"name": "a", "enabled": false, "strength": 0.5, "start_percent": 0}]',
  '{"version": 1, "rows": {"a": {"on": false, "strength": 0.5}}}',
  '{"a": {"enabled": false, "strength": 0.5, "end": null}}',
  "a 0.5 off",
  "# the first\n\n  a   off .5  ",
  '"a" 0.5 0-1 off',
])
  test(`${JSON.stringify(text)} says the same as what the page writes`, () => {
    assert.deepEqual(rows(text), [ROW]);
    assert.deepEqual(rows(writeState(readState(text), "file")), [ROW]);
    assert.deepEqual(rows(writeState(readState(text), "concept")), [ROW]);
  });

for (const [text, expected] of [
  ["", []],
  ["{}", []],
  ['{"version": 1, "presets": {"a": []}}', []],
  ['["a", ["b", 0.5], ["c", false]]', [["a", true, 1], ["b", true, 0.5], ["c", false, 1]]],
  ['{"a": true, "b": false, "c": -1}', [["a", true, 1], ["b", false, 1], ["c", true, -1]]],
  ["a b 7.safetensors 0.5", [["a b 7.safetensors", true, 0.5]]],
  ['"Catch 22" 0.5', [["Catch 22", true, 0.5]]],
])
  test(`${JSON.stringify(text)} is read in order`, () => {
    assert.deepEqual(rows(text).map((row) => [row.key, row.on, row.strength]), expected);
  });

for (const [text, message] of [
  ['[{"file": "a"}', /no valid JSON.*plain lines/],
  ['{"version": 2, "rows": []}', /version 2; this version of SepME reads up to 1/],
  ['["a", {"file": "b", "strength": 9}]', /Row 2: strength is 9, expected between -4 and 4/],
  ['[{"file": "b", "strength": "1"}]', /Row 1: strength is "1", expected a number/],
  ['[{"file": "b", "on": "yes"}]', /Row 1: on is "yes"/],
  ['[{"file": "b", "start": 0.9, "end": 0.1}]', /Row 1: start is 0.9 and end 0.1/],
  ['[{"on": true}]', /Row 1: it names nothing/],
  ["[3]", /Row 1: it names nothing/],
  ["[null]", /Row 1: got null/],
  ["a\n\nb 0.9-0.1", /Line 3, 'b 0.9-0.1': start is 0.9/],
  ["Catch 22", /put the name in quotes/],
])
  test(`${JSON.stringify(text)} is refused and never written over`, () => {
    const state = readState(text);
    assert.match(state.problem, message);
    assert.throws(() => writeState(state, "file"), /not written/);
  });

test("what is not understood is kept", () => {
  const text = '{"version": 1, "later": [1], "rows": [{"file": "a", "colour": "red"}], "presets": {"x": 3}}';
  const { later, rows, presets } = JSON.parse(writeState(change.switchAll(readState(text), false), "file"));
  assert.deepEqual([later, rows[0].colour, rows[0].on, presets], [[1], "red", false, { x: 3 }]);
  assert.deepEqual(JSON.parse(writeState(readState("# a note\na"), "file")).notes, ["# a note"]);
});

test("names like those of objects' own parts are names like others", () => {
  const state = readState('{"__proto__": 0.5, "constructor": false, "toString": {"on": false}}');
  assert.deepEqual(keys(readState(writeState(state, "concept"))), ["__proto__", "constructor", "toString"]);
});

test("rows move, and beyond the ends they stay there", () => {
  const state = readState("a\nb\nc");
  assert.deepEqual(keys(change.moveRow(state, 0, 1)), ["b", "a", "c"]);
  assert.deepEqual(keys(change.moveRow(state, 2, -5)), ["c", "a", "b"]);
  assert.deepEqual(keys(change.moveRow(state, 0, 9)), ["b", "c", "a"]);
  assert.deepEqual(keys(state), ["a", "b", "c"], "the state that was given stays");
});

test("a change is brought into its range, and what is no number changes nothing", () => {
  const state = readState("a 0.2-0.6");
  const after = (given) => change.changeRow(state, 0, given).rows[0];
  assert.equal(after({ strength: 9 }).strength, 4);
  assert.equal(after({ start: 0.9 }).start, 0.6);
  assert.equal(after({ end: -1 }).end, 0.2);
  assert.deepEqual(after({ strength: NaN }), state.rows[0]);
});

test("several rows change at once: by the same, each within its range", () => {
  const state = readState("a 0.5\nb 3.9\nc -1");
  const strengths = (changed) => changed.rows.map((row) => row.strength);
  assert.deepEqual(strengths(change.shiftStrengths(state, [0, 1], 0.3)), [0.8, 4, -1]);
  assert.deepEqual(strengths(change.shiftStrengths(state, [0, 9], -1)), [-0.5, 3.9, -1]);
  assert.deepEqual(strengths(change.changeRows(state, [0, 2], { strength: 2 })), [2, 3.9, 2]);
  assert.deepEqual(keys(change.removeRows(state, [0, 2])), ["b"]);
});

test("rows are sorted by a text, numbers within it as numbers, those without one last", () => {
  const families = { a: "SDXL", b: "", c: "SD15", d: "SDXL", e: "SD15" };
  const sorted = change.sortRows(readState("a\nb\nc\nd\ne"), ({ key }) => families[key]);
  assert.deepEqual(keys(sorted), ["c", "e", "a", "d", "b"]);
  assert.deepEqual(keys(change.sortRows(readState("f10x\nf9x\nF1x"), ({ key }) => key)), ["F1x", "f9x", "f10x"]);
});

test("rows and presets follow a file to its new name; what cannot be read stays", () => {
  const text = '{"rows": [{"file": "x\\\\a", "on": false, "sha256": "00"}, "b"], "presets": {"p": ["x/a", "b"], "q": 3}}';
  const { rows, presets } = change.renameFile(readState(text), "x/a.safetensors", "x/c.safetensors");
  assert.deepEqual(rows.map((row) => [row.key, row.on, row.sha256]), [["x/c.safetensors", false, "00"], ["b", true, undefined]]);
  assert.deepEqual(presets.p.map(({ file }) => file), ["x/c.safetensors", "b"]);
  assert.equal(presets.q, 3);
});

test("presets come back as they were saved, and lose no file", () => {
  const saved = change.savePreset(readState("a 0.5\nb off"), "x", "file");
  const later = change.addFile(change.moveRow(change.switchAll(saved, true), 0, 1), "c");
  const loaded = change.loadPreset(readState(writeState(later, "file")), "x", "file");
  assert.deepEqual(loaded.rows.map((row) => [row.key, row.on, row.strength]), [
    ["a", true, 0.5],
    ["b", false, 1],
    ["c.safetensors", false, 1],
  ]);
  assert.deepEqual(change.deletePreset(loaded, "x").presets, {});
});

test("a preset of concepts leaves those on that it does not name", () => {
  const state = readState('{"version": 1, "rows": {"cat": false, "dog": 0.5}, "presets": {"x": {"Cat": true}}}');
  const { rows } = change.loadPreset(state, "x", "concept");
  assert.deepEqual(rows.map((row) => [row.key, row.on, row.strength]), [["Cat", true, 1], ["dog", true, 1]]);
});

test("a preset that cannot be read is refused", () => {
  const state = readState('{"version": 1, "rows": [], "presets": {"x": 3}}');
  assert.throws(() => change.loadPreset(state, "x", "file"), /expected a list/);
});

test("the filter wants every word, whatever its capitals", () => {
  assert.deepEqual(change.matching(["styles/Van Gogh", "van", "Gogh, early van"], "VAN gogh"), [0, 2]);
  assert.deepEqual(change.matching(["a", "b"], " "), [0, 1]);
});

test("files and names have one spelling each", () => {
  assert.equal(listed("styles\\cat"), "styles/cat.safetensors");
  assert.equal(nameKey("  Van   GOGH "), "van gogh");
});

test("a thousand rows are read and written in one go", () => {
  const state = readState(Array.from({ length: 1000 }, (_, n) => `concept ${n}x`).join("\n"));
  assert.equal(readState(writeState(state, "file")).rows.length, 1000);
});
