import assert from "node:assert/strict";
import test from "node:test";

import { takeOff } from "../../web/js/progress_text.js";

test("the text of a run goes, with its element, and what else the node has stays", () => {
  let removed = 0;
  const own = { name: "concepts", value: "cat" };
  const text = { name: "$$node-text-preview", value: "'cat' and 'rose' do not know each other", onRemove: () => { removed += 1; } };
  const node = { widgets: [own, text, { name: "sepme_foot" }] };
  for (let n = 0; n < 2; n += 1) takeOff(node);
  assert.deepEqual(node.widgets.map(({ name }) => name), ["concepts", "sepme_foot"]);
  assert.equal(removed, 1);
  takeOff(null);
});
