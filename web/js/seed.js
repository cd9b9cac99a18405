// @ts-check
/**
 * Leaves the seed of a new node as it is from run to run.
 *
 * The page changes seeds after every run unless it is told otherwise, and an input that changes has
 * everything behind it computed again. Older pages cannot be told by the server. A workflow that is
 * opened brings its own setting along: it is read after the node was made.
 */
export function keepSeed(/** @type {any} */ node) {
  const seed = node.widgets?.find((/** @type {any} */ widget) => widget.name === "seed");
  for (const control of seed?.linkedWidgets ?? [])
    if (control.options?.values?.includes?.("fixed")) control.value = "fixed";
}
