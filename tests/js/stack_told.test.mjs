import assert from "node:assert/strict";
import test from "node:test";

import { StackPanel } from "../../web/js/stack_panel.js";

/** As much of a panel as takes in what the server tells. */
function panel(listed) {
  const made = Object.create(StackPanel.prototype);
  return Object.assign(made, {
    node: { inputs: [] }, told: new Map(), panel: { refreshSoon() {} }, asked: 0,
    library: { loaded: true, entry: (file) => (listed.includes(file) ? {} : undefined), refresh: () => { made.asked += 1; } },
  });
}

test("the folder is read again for a file that nobody listed, and for no row that has none", () => {
  const made = panel(["cat.safetensors"]);
  for (const state of ["computing", "computing", "ready"]) made.tell({ file: "", state });
  made.tell({ file: "cat.safetensors", state: "ready" });
  assert.equal(made.asked, 0);
  assert.deepEqual([...made.told.keys()], ["cat.safetensors"]);
  made.tell({ file: "new.safetensors", state: "ready" });
  assert.equal(made.asked, 1);
});
