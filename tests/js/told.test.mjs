import assert from "node:assert/strict";
import test from "node:test";

import { Told } from "../../web/js/told.js";

const row = (concept, state, texts) => ({ concept, state, texts });
const state = (told, signature, linked = false) => told.row("cat", signature, linked)?.state;

test("what is computed for other texts than are shown says nothing of those", () => {
  const told = new Told();
  told.answer({ texts: "before", rows: [] }, "protects nothing");
  told.hear(row("cat", "computing", "before"), "protects nothing");
  assert.equal(state(told, "protects nothing"), "computing");

  // edited while it computes
  assert.equal(state(told, "protects dogs"), undefined);
  told.hear(row("cat", "ready", "before"), "protects dogs");
  assert.equal(state(told, "protects dogs"), undefined, "it is ready for what was queued only");
  told.answer({ texts: "after", rows: [] }, "protects dogs");
  assert.equal(state(told, "protects dogs"), undefined);
  told.answer({ texts: "before", rows: [row("cat", "ready")] }, "protects nothing");
  assert.equal(state(told, "protects nothing"), "ready", "and edited back it is");
});

test("what a run told before the server was asked is shown once it has answered", () => {
  const told = new Told();
  told.hear(row("Cat", "computing", "digest"), "typed");
  assert.equal(state(told, "typed"), undefined);
  assert(!told.knows("typed"));
  told.answer({ texts: "digest", rows: [row("cat", "ready")] }, "typed");
  assert(told.knows("typed"));
  assert.equal(state(told, "typed"), "computing", "a row at work knows it better than the disk");
  told.ended();
  assert.equal(state(told, "typed"), undefined);
});

test("linked texts are taken to be those of the last run, until others are typed beside them", () => {
  const told = new Told();
  told.answer({ texts: "of the empty widget", rows: [] }, "typed");
  told.hear(row("cat", "ready", "of what is linked"), "typed");
  assert.equal(state(told, "typed", true), "ready");
  assert.equal(state(told, "typed"), undefined);
  told.hear(row("cat", "ready", "of what is linked"), "edited");
  assert.equal(state(told, "edited", true), undefined);
});

test("what is told of old texts is not kept for ever", () => {
  const told = new Told();
  for (let at = 0; at < 100; at += 1) {
    told.hear(row("cat", "ready", `run ${at}`), "typed");
    told.answer({ texts: `asked ${at}`, rows: [] }, `typed ${at}`);
  }
  assert(told.rows.size <= 3);
});
