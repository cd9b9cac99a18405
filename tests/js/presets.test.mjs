import assert from "node:assert/strict";
import test from "node:test";

import { PresetStore } from "../../web/js/preset_store.js";

/** A server that keeps one setting. */
function server(kept = null) {
  const asked = [];
  const ask = async (_, sent) => {
    if (!sent) return structuredClone(server.kept);
    asked.push(sent);
    server.kept = structuredClone(sent);
    return {};
  };
  server.kept = kept;
  return { ask, asked };
}

test("a preset for all workflows is found by another page, and neither loses the other's", async () => {
  const { ask } = server();
  const [here, there] = [new PresetStore(ask), new PresetStore(ask)];
  await here.save("file", "evening", [{ file: "a.safetensors" }]);
  await there.save("file", "morning", []);
  await there.save("concept", "evening", { cat: true });
  await here.load();
  assert.deepEqual(here.names("file"), ["evening", "morning"]);
  assert.deepEqual(here.rows("concept", "evening"), { cat: true });
  await here.remove("file", "evening");
  await there.load();
  assert.deepEqual([there.names("file"), there.names("concept")], [["morning"], ["evening"]]);
});

test("presets follow a file to its new name, and nothing is sent where none holds it", async () => {
  const { ask, asked } = server();
  const store = new PresetStore(ask);
  await store.save("file", "x", [{ file: "a", strength: 0.5 }, { file: "b" }]);
  await store.save("file", "odd", 3);
  await store.renamed("a.safetensors", "c.safetensors");
  assert.deepEqual(store.rows("file", "x").map(({ file, strength }) => [file, strength]), [["c.safetensors", 0.5], ["b", 1]]);
  assert.equal(store.rows("file", "odd"), 3);
  const sent = asked.length;
  await store.renamed("nowhere.safetensors", "d.safetensors");
  assert.equal(asked.length, sent);
});

test("presets of a later version are left as they are", async () => {
  const later = { version: 2, file: [] };
  const { ask, asked } = server(later);
  const store = new PresetStore(ask);
  await assert.rejects(store.save("file", "x", []), /version 2.*Update/);
  assert.deepEqual([server.kept, asked, store.names("file")], [later, [], []]);
});

test("another stamp is told whenever the presets are others", async () => {
  const { ask } = server();
  const store = new PresetStore(ask);
  await store.save("file", "x", []);
  const { stamp } = store;
  await store.load();
  assert.equal(store.stamp, stamp);
  await store.remove("file", "x");
  assert.notEqual(store.stamp, stamp);
});
