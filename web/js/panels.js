// @ts-check
/**
 * The panels of the nodes that are in the page's graph, however deep in subgraphs.
 *
 * Which these are is asked of the graph: the page tells a node that it goes only where it is
 * removed by itself, not where another workflow takes the place of its own.
 *
 * @template P
 */
export class Panels {
  /** @param {() => any} root gives the page's outermost graph */
  constructor(root) {
    this.root = root;
    /** @type {WeakMap<object, P>} */
    this.made = new WeakMap();
  }

  set(/** @type {any} */ node, /** @type {P} */ panel) {
    this.made.set(node, panel);
  }

  /** @returns {P | undefined} */
  of(/** @type {any} */ node) {
    return node ? this.made.get(node) : undefined;
  }

  /** Every node that is in the graph now and has a panel, with it. @returns {[any, P][]} */
  all() {
    /** @type {[any, P][]} */
    const found = [];
    for (const node of nodesOf(this.root())) {
      const panel = this.made.get(node);
      if (panel) found.push([node, panel]);
    }
    return found;
  }
}

/** The nodes of a graph and of the subgraphs in it, each once. @returns {Iterable<any>} */
export function* nodesOf(/** @type {any} */ graph, seen = new Set()) {
  if (!graph || seen.has(graph)) return;
  seen.add(graph);
  for (const node of graph.nodes ?? []) {
    yield node;
    yield* nodesOf(node.subgraph, seen);
  }
}
