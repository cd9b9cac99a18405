// @ts-check
/**
 * What a workflow holds of a node's widgets, which are saved by their places.
 *
 * An older page saves the text of a node's progress as if it were a value: behind those of its
 * widgets and a hole (null) for each thing of ours that is not saved. Where a node has got more
 * widgets since, they would take the hole and the text for their own.
 */
import { after } from "./dom.js";
import { leaveOut } from "./progress_text.js";

/** Lets one of our nodes open what was saved before it had all its widgets, and save nothing else. */
export function keepValues(/** @type {any} */ node) {
  after(node, "onConfigure", (saved) => openOlder(node, saved?.widgets_values));
  after(node, "addCustomWidget", () => leaveOut(node));
}

/** From the first hole on nothing is a value: those widgets are as in a new node. */
function openOlder(/** @type {any} */ node, /** @type {any} */ values) {
  const end = Array.isArray(values) ? values.findIndex((value) => value == null) : -1;
  if (end < 0) return;
  const { required, optional } = node.constructor?.nodeData?.input ?? {};
  const saved = (node.widgets ?? []).filter((/** @type {any} */ widget) => widget.serialize !== false);
  for (const widget of saved.slice(end)) {
    const fresh = (required?.[widget.name] ?? optional?.[widget.name])?.[1]?.default;
    if (fresh !== undefined) widget.value = fresh;
  }
}
