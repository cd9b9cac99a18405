/** Text of any length is read in one go. */
import assert from "node:assert/strict";
import test from "node:test";

import { readState } from "../../web/js/rows.js";

const N = 100_000; // work that grew with its square would take minutes

test("a row with a very long number is read in one go", () => {
  for (const text of [`cat ${"1".repeat(N)}x`, `cat ${"1".repeat(N)}-${"1".repeat(N)}`, `cat ${".".repeat(N)}`])
    assert.equal(typeof readState(text).problem, "string");
  assert.equal(readState("cat 0.5 .2-1.").problem, "");
});
