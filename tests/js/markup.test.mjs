import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";

const FOLDER = new URL("../../web/js/", import.meta.url);
const MARKUP = /\b(innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|setHTMLUnsafe|parseFromString|document\.write)\b/;

test("nothing in the page is made of markup: names from files and workflows stay text", () => {
  const found = ["../sepme.js", ...readdirSync(FOLDER)].filter((name) => MARKUP.test(readFileSync(new URL(name, FOLDER), "utf8")));
  assert.deepEqual(found, []);
  assert.ok(MARKUP.test("element.innerHTML = name"), "it would have been found");
});
