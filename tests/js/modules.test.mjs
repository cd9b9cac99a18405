import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";

const WEB = new URL("../../web/", import.meta.url);
const IMPORT = /import\s+\{([^}]*)\}\s+from\s+"(\.[^"]*)"/g;

for (const name of readdirSync(new URL("js/", WEB)).filter((each) => each.endsWith(".js")))
  test(`js/${name} loads, with everything that it takes from others`, async () => {
    await import(new URL(`js/${name}`, WEB));
  });

test("the page's entry takes nothing that is not there", async () => {
  const source = readFileSync(new URL("sepme.js", WEB), "utf8");
  const ours = [...source.matchAll(IMPORT)].filter(([, , path]) => path.startsWith("./"));
  assert.ok(ours.length > 5);
  for (const [, names, path] of ours) {
    const found = await import(new URL(path, WEB));
    for (const name of names.split(",").map((each) => each.trim()).filter(Boolean)) assert.ok(name in found, `${path} has no ${name}`);
  }
});
