// @ts-check
/**
 * A node's text widget, read and written by a panel that stands in its place.
 *
 * @typedef {import("./rows.js").State} State
 */
import { hide } from "./folding.js";
import { readState, writeState } from "./rows.js";

export class TextWidget {
  /** @param {any} node @param {string} name @param {import("./rows.js").Kind} kind */
  constructor(node, name, kind) {
    this.node = node;
    this.widget = node.widgets?.find((/** @type {any} */ widget) => widget.name === name);
    this.kind = kind;
    this.read = { text: "", state: readState("") };
  }

  /** Takes the text off the node; it stays a widget, and is shown where there is no panel. */
  hide() {
    hide(this.widget);
    this.widget.options = Object.assign(this.widget.options ?? {}, { hidden: true });
  }

  get text() {
    return String(this.widget.value ?? "");
  }

  set text(/** @type {string} */ text) {
    this.widget.value = text;
    this.widget.callback?.(text);
  }

  /** Read once for every text. @returns {State} */
  get state() {
    const { text } = this;
    if (text !== this.read.text) this.read = { text, state: readState(text) };
    return this.read.state;
  }

  set state(/** @type {State} */ state) {
    this.text = writeState(state, this.kind);
  }

  /** Whether the text comes from another node. */
  get linked() {
    const input = this.node.inputs?.find((/** @type {any} */ input) => input.name === this.widget.name);
    return input?.link != null;
  }
}
