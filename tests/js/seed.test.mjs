import assert from "node:assert/strict";
import test from "node:test";

import { keepSeed } from "../../web/js/seed.js";

test("a new node's seed stays as it is, and nothing else is changed", () => {
  const control = { name: "control_after_generate", value: "randomize", options: { values: ["fixed", "randomize"] } };
  const filter = { name: "control_filter_list", value: "", options: {} };
  const other = { name: "steps", value: 3, linkedWidgets: [{ value: "randomize", options: { values: ["fixed"] } }] };
  const seed = { name: "seed", value: 7, linkedWidgets: [control, filter] };
  keepSeed({ widgets: [other, seed] });
  assert.deepEqual([seed.value, control.value, filter.value, other.linkedWidgets[0].value], [7, "fixed", "", "randomize"]);
});

test("a node without a seed, or whose page adds nothing to it, is left alone", () => {
  keepSeed({});
  keepSeed({ widgets: [{ name: "seed" }] });
});
