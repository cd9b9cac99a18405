// @ts-check
/**
 * Widgets that are rarely needed, folded away where the page does not do it itself.
 *
 * Which they are is the server's to say (`options.advanced`). Whether they are shown is the page's
 * own `showAdvanced`, which it keeps with the node. A folded widget stays where it is in the node's
 * list and keeps its value: it is only not drawn.
 */

/** The widgets of a node that are folded: not those that come from a link, which has to end somewhere. */
export function advanced(/** @type {any} */ node) {
  const linked = new Set((node.inputs ?? []).filter((/** @type {any} */ input) => input.link != null && input.widget).map((/** @type {any} */ input) => input.widget.name));
  return marked(node).filter((/** @type {any} */ widget) => !linked.has(widget.name));
}

/** Those that the server calls advanced, with what the page hangs on them. */
function marked(/** @type {any} */ node) {
  const named = (node.widgets ?? []).filter((/** @type {any} */ widget) => widget.options?.advanced);
  return named.flatMap((/** @type {any} */ widget) => [widget, ...(widget.linkedWidgets ?? [])]);
}

/** Whether the page folds them: newer ones do where they draw nodes as elements. */
export function pageFolds(/** @type {any} */ node) {
  return Boolean(/** @type {any} */ (window).LiteGraph?.vueNodesMode && typeof node.hasAdvancedWidgets === "function");
}

/** Names of folded widgets whose values are not those that a new node has. */
export function unusual(/** @type {any} */ node) {
  const { required, optional } = node.constructor?.nodeData?.input ?? {};
  const known = (/** @type {any} */ { name }) => required?.[name] ?? optional?.[name];
  const changed = advanced(node).filter((/** @type {any} */ widget) => known(widget) && widget.value !== known(widget)[1]?.default);
  return changed.map((/** @type {any} */ widget) => widget.label || widget.name);
}

/** Draws a node's widgets as they should be now; gives whether that is a change. */
export function fold(/** @type {any} */ node) {
  const folded = new Set(node.showAdvanced || pageFolds(node) ? [] : advanced(node));
  const changed = marked(node).filter((/** @type {any} */ widget) => Boolean(widget.hidden) !== folded.has(widget));
  for (const widget of changed) hide(widget, folded.has(widget));
  if (/** @type {any} */ (window).LiteGraph?.vueNodesMode && !pageFolds(node)) hideRows(node, folded);
  return changed.length > 0;
}

/** @type {WeakMap<any, any>} what hidden widgets had of their own */
const rooms = new WeakMap();

/** Takes a widget off the canvas, or puts it back; it stays a widget with its value. */
export function hide(/** @type {any} */ widget, hidden = true) {
  if (hidden && !rooms.has(widget)) rooms.set(widget, Object.getOwnPropertyDescriptor(widget, "computeSize"));
  widget.hidden = hidden;
  if (hidden) widget.computeSize = () => [0, -4]; // no room either; the classic page adds 4 to each
  else if (rooms.get(widget)) Object.defineProperty(widget, "computeSize", rooms.get(widget));
  else delete widget.computeSize;
  if (!hidden) rooms.delete(widget);
}

/**
 * The same for a page that draws nodes as elements and does not fold. It looks at its widgets'
 * options only until a link changes, so their rows are hidden themselves.
 */
function hideRows(/** @type {any} */ node, /** @type {Set<any>} */ folded) {
  const drawn = node.widgets.filter((/** @type {any} */ { type, options }) => type && !options?.hidden && !options?.canvasOnly);
  const rows = document.querySelectorAll(`[data-node-id="${node.id}"] .lg-node-widget`);
  if (rows.length !== drawn.length) return; // not drawn yet, or a node of another graph
  rows.forEach((row, at) => { /** @type {HTMLElement} */ (row).style.display = folded.has(drawn[at]) ? "none" : ""; });
}
