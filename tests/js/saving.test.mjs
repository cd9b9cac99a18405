import assert from "node:assert/strict";
import test from "node:test";

import { saveBehind } from "../../web/js/saving.js";

/** As much of a graph as the page has of it. */
class Graph {
  nodes = [];
  links = [];
  getNodeById = (id) => this.nodes[id];
  getLink = (id) => this.links[id];
  add = (node) => Object.assign(node, { id: this.nodes.push(node) - 1, graph: this });

  make(type, inputs, outputs) {
    const made = { type, pos: [100, 50], size: [400, 300], inputs: inputs.map((each) => ({ type: each })), outputs: outputs.map((each) => ({ type: each, links: [] })) };
    made.connect = (slot, target, at) => made.outputs[slot].links.push(this.links.push({ target_id: target.id, target_slot: at }) - 1);
    return made;
  }
}

test("a node that saves is added beside the one that gives the stack, once", () => {
  const graph = new Graph();
  const eraser = graph.add(graph.make("SepME_Eraser", [], ["MODEL", "SEPME_STACK", "STRING"]));
  const other = graph.add(graph.make("SepME_Certificate", ["SEPME_STACK"], []));
  eraser.connect(1, other, 0);
  const create = (type) => graph.make(type, ["STRING", "SEPME_STACK"], []);
  const made = saveBehind(eraser, create);
  assert.deepEqual([made.type, made.graph, made.pos[0]], ["SepME_Save", graph, 560]);
  assert.deepEqual(graph.links.at(-1), { target_id: made.id, target_slot: 1 });
  assert.equal(saveBehind(eraser, create), made);
  assert.equal(graph.nodes.length, 3);
});
