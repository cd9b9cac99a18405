// @ts-check
/**
 * The text that the page puts on a node while it runs, as a widget, and leaves there.
 *
 * With JavaScript of ours it is of use only until the node has reported: what it warned of stands in
 * the report too, and goes with the next one.
 */
const NAME = "$$node-text-preview"; // the page's own

function textOf(/** @type {any} */ node) {
  return node?.widgets?.find((/** @type {any} */ widget) => widget.name === NAME);
}

/** Lets the page save none of it: an older one takes it for one of the node's values. */
export function leaveOut(/** @type {any} */ node) {
  const widget = textOf(node);
  if (widget) widget.serialize = false;
}

/** Takes it off the node, as the page does it where it does. */
export function takeOff(/** @type {any} */ node) {
  const widget = textOf(node);
  if (!widget) return;
  widget.onRemove?.();
  node.widgets.splice(node.widgets.indexOf(widget), 1);
}
