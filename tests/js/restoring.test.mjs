import assert from "node:assert/strict";
import test from "node:test";

import { canRestore, connectSources, lineOf, wantedLine } from "../../web/js/restoring.js";
import { readState, writeState } from "../../web/js/rows.js";

/** As much of a graph as the page has of it: nodes with sockets, and links by number. */
class Graph {
  nodes = [];
  links = [];
  getNodeById = (id) => this.nodes.find((node) => node.id === id) ?? null;
  getLink = (id) => this.links[id];

  add = (node) => {
    Object.assign(node, { id: this.nodes.length + 1, graph: this });
    this.nodes.push(node);
    return node;
  };

  make(type, inputs = [], outputs = [], text = "") {
    return this.add(node(type, inputs, outputs, text));
  }
}

function node(type, inputs, outputs, text = "") {
  const made = {
    type, pos: [0, 0], size: [200, 100],
    inputs: inputs.map((name) => ({ name, type: name.toUpperCase(), link: null })),
    outputs: outputs.map((each) => ({ type: each, links: [] })),
    widgets: [{ name: "concepts", value: text }],
  };
  made.connect = (slot, target, at) => {
    const id = made.graph.links.push({ origin_id: made.id, origin_slot: slot, target_id: target.id, target_slot: at }) - 1;
    made.outputs[slot].links.push(id);
    target.inputs[at].link = id;
  };
  return made;
}

/** A checkpoint, clip-skip before the prompt, and a stack that is joined, applied, and sampled with. */
function workflow() {
  const graph = new Graph();
  const loader = graph.make("Loader", [], ["MODEL", "CLIP"]);
  const skip = graph.make("Skip", ["clip"], ["CLIP"]);
  const encode = graph.make("Encode", ["clip"], ["CONDITIONING"]);
  const stack = graph.make("SepME_LoadStack", ["stack", "model", "clip", "concepts"], ["SEPME_STACK"]);
  const join = graph.make("Join", ["stack"], ["SEPME_STACK"]);
  const apply = graph.make("Apply", ["model", "stack"], ["MODEL"]);
  loader.connect(1, skip, 0);
  skip.connect(0, encode, 0);
  loader.connect(0, apply, 0);
  stack.connect(0, join, 0);
  join.connect(0, apply, 1);
  return { graph, loader, skip, stack };
}

const create = (type) => node(type, [], ["SEPME_CONCEPTS"]);
const origins = ({ graph, stack }) => stack.inputs.slice(1).map((input) => graph.getLink(input.link)?.origin_id);
const sets = (graph) => graph.nodes.filter((each) => each.type === "SepME_Concepts");

test("a row keeps the line that its file came from", () => {
  const entry = { concept: "cat", synonyms: ["kitten", "tom"], anchor: "dog" };
  const erases = lineOf(entry);
  assert.equal(erases, "cat | kitten, tom -> dog");
  assert.equal(lineOf({ concept: "cat", synonyms: [], anchor: "" }), "cat");
  assert.equal(lineOf({ concept: "Monet, Manet", synonyms: ["a | b", "cat"], anchor: "dog" }), '"Monet, Manet" | "a | b", cat -> dog');
  assert.equal(lineOf(undefined), "");
  const [row] = readState(writeState(readState(JSON.stringify([{ file: "a", erases }])), "file")).rows;
  assert.equal(wantedLine(row), erases);
  assert.equal(wantedLine({ key: "styles\\Van Gogh.safetensors" }), "Van Gogh");
});

test("what is missing is computed on the model and with the CLIP that are in use", () => {
  const made = workflow();
  assert.equal(canRestore(made.stack), false);
  assert.deepEqual(connectSources(made.stack, ["cat -> dog", "rose"], create), []);
  assert.equal(canRestore(made.stack), true);
  const [set] = sets(made.graph);
  assert.equal(set.widgets[0].value, "cat -> dog\nrose");
  assert.deepEqual(origins(made), [made.loader.id, made.skip.id, set.id]);
});

test("a concept set that names everything is used, another one is left alone", () => {
  for (const [text, n] of [["# mine\nRose | roses\ncat -> car", 1], ["cat", 2]]) {
    const made = workflow();
    const set = made.graph.make("SepME_Concepts", [], ["SEPME_CONCEPTS"], text);
    connectSources(made.stack, ["cat -> dog", "rose"], create);
    assert.equal(sets(made.graph).length, n);
    assert.equal(origins(made)[2] === set.id, n === 1);
    assert.equal(set.widgets[0].value, text);
  }
});

test("what is connected stays, and what is not found is named", () => {
  const made = workflow();
  const other = made.graph.make("Other", [], ["MODEL"]);
  other.connect(0, made.stack, 1);
  connectSources(made.stack, ["cat"], create);
  assert.equal(origins(made)[0], other.id);

  const graph = new Graph();
  const alone = graph.make("SepME_LoadStack", ["stack", "model", "clip", "concepts"], ["SEPME_STACK"]);
  assert.deepEqual(connectSources(alone, ["cat"], create), ["model", "clip"]);
  assert.equal(sets(graph).length, 1);
});
