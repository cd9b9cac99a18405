import assert from "node:assert/strict";
import test from "node:test";

import { keepValues } from "../../web/js/saved_values.js";

const NINE = ["cat", "", "dog", "", "general", "closed form", "exact", "", 64];
const TEXT = "preserve list: 64 of 512 captions";
const DEFAULTS = { prompts: "both", templates: "a photo of {}" };
const NAMES = ["concepts", "rows", "protected_concepts", "preserve", "preserve_list", "method", "mode", "prompts_to_check", "resolution", ...Object.keys(DEFAULTS)];

/** As much of the oldest page's node as reads and writes values. */
class PageNode {
  static nodeData = { input: { required: { model: ["MODEL", {}] }, optional: Object.fromEntries(Object.entries(DEFAULTS).map(([name, value]) => [name, ["STRING", { default: value }]])) } };
  widgets = NAMES.map((name) => ({ name, value: DEFAULTS[name] ?? "" }));

  configure({ widgets_values: values }) {
    const saved = this.widgets.filter((widget) => widget.serialize !== false);
    values.forEach((value, at) => { if (saved[at]) saved[at].value = value; });
    this.onConfigure?.({ widgets_values: values });
  }

  serialize() {
    const values = [];
    this.widgets.forEach((widget, at) => { if (widget.serialize !== false) values[at] = widget.value; });
    return JSON.parse(JSON.stringify({ widgets_values: values }));
  }

  addCustomWidget(widget) {
    this.widgets.push(widget);
    return widget;
  }

  get values() {
    return this.widgets.slice(0, NAMES.length).map(({ value }) => value);
  }
}

function eraser() {
  const node = new PageNode();
  keepValues(node);
  node.addCustomWidget({ name: "sepme_rows", serialize: false });
  return node;
}

test("an Eraser that was saved with its progress, before it had its last two widgets, is opened as it was", () => {
  for (const holes of [[null], [null, null]]) {
    const node = eraser();
    node.configure({ widgets_values: [...NINE, ...holes, TEXT] });
    assert.deepEqual(node.values, [...NINE, "both", "a photo of {}"]);
  }
});

test("values that are all there, or end early, are left as they are", () => {
  const [whole, short] = [eraser(), eraser()];
  whole.configure({ widgets_values: [...NINE, "positive", "{} drawn", null, TEXT] });
  assert.deepEqual(whole.values, [...NINE, "positive", "{} drawn"]);
  short.configure({ widgets_values: NINE });
  assert.deepEqual(short.values, [...NINE, "both", "a photo of {}"]);
});

test("the text of a node's progress is shown, and not saved with its values", () => {
  const node = eraser();
  const shown = node.addCustomWidget({ name: "$$node-text-preview", value: TEXT });
  assert.equal(node.widgets.at(-1), shown);
  assert.ok(!JSON.stringify(node.serialize()).includes(TEXT));
  assert.equal(node.serialize().widgets_values.length, NAMES.length);
});
