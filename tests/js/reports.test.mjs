import assert from "node:assert/strict";
import test from "node:test";

import { lineage } from "../../web/js/lineage.js";
import { Reports } from "../../web/js/reports.js";
import { Tabs } from "../../web/js/tabs.js";

const node = (id, type, values = [], inputs = {}) => ({
  id, type, mode: 0, pos: [id, id], widgets_values: values,
  inputs: Object.entries(inputs).map(([name, link]) => ({ name, link })),
});
/** A loader before an Eraser, with another loader that is before nothing. */
const flat = (file = "a", concepts = "cat", [first, second, third] = [1, 2, 3]) => ({
  nodes: [node(first, "Loader", [file]), node(second, "SepME_Eraser", [concepts], { model: 7, clip: 8 }), node(third, "Loader", ["other"])],
  links: [[7, first, 0, second, 0, "MODEL"], [8, first, 1, second, 1, "CLIP"]],
});

test("what a node is computed from is the same wherever it stands", () => {
  assert.ok(lineage(flat(), "2"));
  assert.equal(lineage(flat(), "2"), lineage(flat("a", "cat", [5, 9, 1]), "9"));
  const moved = flat();
  moved.nodes.forEach((each) => { each.pos = [0, 0]; });
  moved.nodes[2].widgets_values = ["nobody uses it"];
  assert.equal(lineage(moved, "2"), lineage(flat(), "2"));
});

test("every value, switch and link before it counts", () => {
  const before = lineage(flat(), "2");
  assert.notEqual(lineage(flat("b"), "2"), before);
  assert.notEqual(lineage(flat("a", "dog"), "2"), before);
  const bypassed = flat();
  bypassed.nodes[0].mode = 4;
  const unlinked = flat();
  unlinked.nodes[1].inputs[1].link = null;
  for (const changed of [bypassed, unlinked]) assert.notEqual(lineage(changed, "2"), before);
  assert.equal(lineage(flat(), "77"), "");
});

test("values that running changes do not count, nor the page's own", () => {
  const seeded = (...values) => ({ nodes: [node(1, "SepME_Compute", values)], links: [] });
  assert.equal(lineage(seeded(7, "randomize"), "1"), lineage(seeded(8, "randomize"), "1"));
  assert.notEqual(lineage(seeded(7, "fixed"), "1"), lineage(seeded(8, "fixed"), "1"));
  const known = () => ({ input: { required: { seed: ["INT", { control_after_generate: true }], model: ["MODEL", {}] } } });
  assert.equal(lineage(seeded(7, "fixed", null, "cat: 1 of 2"), "1", known), lineage(seeded(7, "fixed"), "1", known));
});

/** The same within a subgraph, whose model and value come from outside; and what stands behind it. */
const nested = (file = "a", promoted = "cat") => ({
  nodes: [node(1, "Loader", [file]), node(2, "graph", [promoted], { model: 7, concepts: null }), node(3, "SepME_Apply", [], { model: 9 })],
  links: [[7, 1, 0, 2, 0, "MODEL"], [9, 2, 0, 3, 0, "MODEL"]],
  definitions: { subgraphs: [{
    id: "graph", inputs: [{ name: "model" }, { name: "concepts" }],
    nodes: [node(5, "SepME_Eraser", ["default"], { model: 1, concepts: 2 })],
    links: [
      { id: 1, origin_id: -10, origin_slot: 0, target_id: 5, target_slot: 0 },
      { id: 2, origin_id: -10, origin_slot: 1, target_id: 5, target_slot: 1 },
      { id: 3, origin_id: 5, origin_slot: 0, target_id: -20, target_slot: 0 },
    ],
  }] },
});

test("walls of subgraphs are seen through, from within and from behind", () => {
  for (const id of ["2:5", "3"]) {
    const before = lineage(nested(), id);
    assert.match(before, /SepME_Eraser/);
    assert.match(before, /Loader/);
    assert.notEqual(lineage(nested("b"), id), before);
    assert.notEqual(lineage(nested("a", "dog"), id), before);
  }
});

const output = (headline, margin = 0.5) => ({ sepme_state: [{ level: "ok", headline, margin }], sepme_report: ["all of it"] });
const shown = (workflow) => () => ({ tab: 1, shown: workflow });
const run = (workflow) => [1, "run", {}, { extra_pnginfo: { workflow } }, []];

test("a report belongs to what was queued, not to what is shown when it comes", async () => {
  const reports = new Reports(async () => ({ queue_running: [run(flat())] }), () => {}, () => undefined);
  await reports.hear("run", "2", output("one concept erased"), shown(flat("a", "edited meanwhile")));
  assert.equal(reports.of(flat(), "2").headline, "one concept erased");
  assert.equal(reports.of(flat("a", "edited meanwhile"), "2"), undefined);
});

test("a run that is over is looked up in the history, and all of them after a reload", async () => {
  const history = { run: { prompt: run(flat()), outputs: { 2: output("then"), 9: { text: ["no report"] } } } };
  const answers = { "/queue": { queue_running: [] }, "/history/run": history };
  const get = async (path) => answers[path] ?? history;
  const late = new Reports(get, () => {}, () => undefined);
  await late.hear("run", "2", output("then"), shown(flat("shown")));
  assert.equal(late.of(flat(), "2").headline, "then");
  const again = new Reports(get, () => {}, () => undefined);
  await again.recall();
  assert.deepEqual(again.of(flat(), "2"), { level: "ok", headline: "then", margin: 0.5, text: "all of it" });
});

test("what has no workflow of its own is taken for what is shown", async () => {
  const reports = new Reports(async () => { throw new Error("no server"); }, () => {}, () => undefined);
  await reports.hear("run", "2", output("now"), shown(flat()));
  assert.equal(reports.of(flat(), "2").headline, "now");
  await reports.hear("another tab's", "2", output("there"), () => ({ tab: 2, shown: null }));
  assert.equal(reports.lastOf(2, "2", "SepME_Eraser"), undefined);
});

test("a node's last report is shown in the tab that its run was queued from, however much is changed there", async () => {
  const reports = new Reports(async () => ({ queue_running: [run(flat())] }), () => {}, () => undefined);
  await reports.hear("run", "2", output("in the first tab"), () => ({ tab: 1, shown: null }));
  assert.equal(reports.lastOf(1, "2", "SepME_Eraser").headline, "in the first tab");
  assert.equal(reports.lastOf(2, "2", "SepME_Eraser"), undefined, "nodes of one template have the same ids");
  assert.equal(reports.lastOf(1, "2", "SepME_Apply"), undefined, "another node may have come in its place");
});

test("a run is of the tab that was open when it was queued", async () => {
  const [first, second] = [{}, {}];
  let open = first;
  let answer = () => {};
  const api = { queuePrompt: (number, prompt) => new Promise((resolve) => { answer = () => resolve({ prompt_id: prompt }); }) };
  const tabs = new Tabs(api, () => open);
  const one = tabs.now;
  const queued = api.queuePrompt(0, "run");
  open = second;
  answer();
  assert.deepEqual(await queued, { prompt_id: "run" });
  assert.equal(tabs.of("run"), one);
  assert.notEqual(tabs.now, one);
  open = first;
  assert.equal(tabs.now, one);
  assert.equal(tabs.of("before the page was opened"), undefined);
});
