import assert from "node:assert/strict";
import test from "node:test";

import { keyAction } from "../../web/js/row_keys.js";
import { Selection } from "../../web/js/selection.js";

const SHOWN = ["a", "b", "c", "d"];
const how = (given = {}) => ({ ctrlKey: false, metaKey: false, shiftKey: false, altKey: false, ...given });
const after = (...clicks) => {
  const chosen = new Selection();
  for (const [key, given] of clicks) chosen.click(SHOWN, key, how(given));
  return [...chosen.keys];
};

test("rows are chosen as files are in a list of files", () => {
  assert.deepEqual(after(["b"]), ["b"]);
  assert.deepEqual(after(["b"], ["c"]), ["c"]);
  assert.deepEqual(after(["b"], ["b"]), []);
  assert.deepEqual(after(["b"], ["d", { ctrlKey: true }]), ["b", "d"]);
  assert.deepEqual(after(["b"], ["d", { metaKey: true }], ["b", { metaKey: true }]), ["d"]);
  assert.deepEqual(after(["d"], ["b", { shiftKey: true }]), ["b", "c", "d"]);
  assert.deepEqual(after(["b", { shiftKey: true }]), ["b"], "no row before it");
});

test("what is chosen can be let go at once, and whether anything was is told", () => {
  const chosen = new Selection();
  assert.equal(chosen.clear(), false);
  chosen.click(SHOWN, "a", how());
  assert.equal(chosen.clear(), true);
  assert.equal(chosen.has("a"), false);
});

for (const [key, given, inNumber, expected] of [
  ["ArrowUp", { altKey: true }, false, ["move", -1]],
  ["Home", { altKey: true }, true, ["move", -Infinity]],
  ["End", {}, false, ["focus", Infinity]],
  ["End", {}, true, null],
  ["ArrowUp", {}, true, null],
  ["ArrowUp", { shiftKey: true }, true, ["shift", 1]],
  ["Delete", {}, false, ["remove", 0]],
  ["Delete", {}, true, null],
  ["Delete", { ctrlKey: true }, false, null],
  ["Escape", {}, true, ["clear", 0]],
  ["x", {}, false, null],
  ["constructor", {}, false, null],
])
  test(`${key} with ${JSON.stringify(given)} ${inNumber ? "in a number" : "elsewhere in a row"}`, () => {
    const action = keyAction({ key, ...how(given) }, inNumber);
    assert.deepEqual(action && [action.what, action.by], expected);
  });
