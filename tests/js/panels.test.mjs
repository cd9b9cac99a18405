import assert from "node:assert/strict";
import test from "node:test";

import { Panels } from "../../web/js/panels.js";

const node = (subgraph) => ({ subgraph });
const graph = (...nodes) => ({ nodes });

test("panels are those of the nodes in the open graph, however deep, each once", () => {
  const [outer, inner, deep] = [node(), node(), node()];
  const shared = graph(inner, node(graph(deep)));
  let root = graph(outer, node(shared), node(shared));
  const panels = new Panels(() => root);
  for (const each of [outer, inner, deep]) panels.set(each, `of ${[outer, inner, deep].indexOf(each)}`);
  assert.deepEqual(panels.all().map(([, panel]) => panel), ["of 0", "of 1", "of 2"]);
  assert.equal(panels.of(deep), "of 2");
  assert.equal(panels.of(undefined), undefined);

  root = graph(node(graph()));
  assert.deepEqual(panels.all(), [], "another workflow was opened, and no node was told");
});

test("a subgraph that holds itself is no endless one", () => {
  const root = graph();
  root.nodes.push(node(root));
  assert.deepEqual(new Panels(() => root).all(), []);
});
