// @ts-check
/** SepME in ComfyUI's page: rows for its nodes, and the library in the sidebar. */
// @ts-ignore: the page serves it
import { api } from "../../scripts/api.js";
// @ts-ignore: the page serves it
import { app } from "../../scripts/app.js";
import { ask } from "./js/ask.js";
import { h } from "./js/dom.js";
import { EraserPanel } from "./js/eraser_panel.js";
import { Feet } from "./js/feet.js";
import { FILE_TYPE } from "./js/file_drop.js";
import { addLoader, dropPlace, middle, nodeOf, renameLoaded, takePlace } from "./js/graph.js";
import { LibraryClient } from "./js/library_client.js";
import { LibraryTab } from "./js/library_tab.js";
import { Panels } from "./js/panels.js";
import { PresetStore } from "./js/preset_store.js";
import { keepValues } from "./js/saved_values.js";
import { keepSeed } from "./js/seed.js";
import { StackPanel } from "./js/stack_panel.js";
import { speak, t } from "./js/words.js";

const PAUSE = 200; // milliseconds between two looks: values change by many ways, of which few tell

const [WIDTH, ROOM] = [420, 120]; // of a new node, in pixels; the room is for what is typed in other fields

export const library = new LibraryClient(api);
const presets = new PresetStore((path, sent) => ask(api, path, sent));
/** @type {Panels<StackPanel | EraserPanel>} */
export const panels = new Panels(outermost);

/** @type {import("./js/panel.js").Host} */
const host = {
  prompt: (title, message, defaultValue = "") => app.extensionManager.dialog.prompt({ title, message, defaultValue }),
  confirm: async (title, message, type = "delete") => Boolean(await app.extensionManager.dialog.confirm({ title, message, type })),
  presets,
  complain: (error) => app.extensionManager.toast.add({ severity: "error", summary: "SepME", detail: error instanceof Error ? error.message : String(error), life: 8000 }),
  changed: () => {
    app.canvas?.setDirty(true, true);
    app.extensionManager?.workflow?.activeWorkflow?.changeTracker?.checkState?.();
  },
};

const feet = new Feet(app, api, host.changed);

app.registerExtension({
  name: "SepME",
  setup() {
    speak(String(app.extensionManager?.setting?.get?.("Comfy.Locale") ?? "en"));
    document.head.append(h("link", { rel: "stylesheet", href: new URL("./sepme.css", import.meta.url).href }));
    listen();
    addTab();
    document.addEventListener("dragover", (event) => allowDrop(event));
    document.addEventListener("drop", (event) => drop(event));
    setInterval(look, PAUSE);
    presets.load().catch(() => {}); // who opens the menu is told
  },
  nodeCreated(/** @type {any} */ node) {
    if (node.comfyClass?.startsWith("SepME_")) keepValues(node);
    if (node.comfyClass === "SepME_Compute") keepSeed(node);
    if (node.comfyClass === "SepME_LoadStack") show(node, new StackPanel(node, host, library));
    if (node.comfyClass === "SepME_Eraser") show(node, new EraserPanel(node, host, (settings) => ask(api, "/sepme/eraser", settings)));
    const foot = feet.attach(node);
    if (foot?.wanted) node.setSize([node.size[0], node.computeSize()[1] + (node.comfyClass === "SepME_Eraser" ? ROOM : 0)]);
  },
});

/** Puts a panel on its node, as a widget behind all others: those are saved by their places. */
function show(/** @type {any} */ node, /** @type {StackPanel | EraserPanel} */ made) {
  const { panel } = made;
  const widget = node.addDOMWidget("sepme_rows", "sepme_rows", panel.element, {
    serialize: false,
    hideOnZoom: false,
    getMinHeight: () => panel.minHeight,
  });
  widget.serialize = false;
  node.setSize([WIDTH, node.size[1]]);
  panels.set(node, made);
}

/** Draws the panels anew whose text or room has changed, whoever has changed it. */
function look() {
  feet.look();
  const all = panels.all();
  const stacks = all.some(([, made]) => made instanceof StackPanel);
  if (stacks) library.listen(redrawStacks);
  else library.forget(redrawStacks);
  for (const [node, made] of all) lookAt(node, made);
}

function lookAt(/** @type {any} */ node, /** @type {StackPanel | EraserPanel} */ made) {
  const { panel } = made;
  const { dataset } = panel.element;
  if (!panel.element.isConnected) takePlace(app, node, panel.element, "sepme-panel");
  const seen = `${panel.minHeight} ${panel.compact} ${presets.stamp} ${made.seen}`;
  if (dataset.seen === seen || !panel.element.isConnected) return;
  const [height, compact] = [Number(dataset.height), dataset.compact];
  if (made instanceof EraserPanel) made.changed();
  panel.refresh();
  Object.assign(dataset, { seen, height: panel.minHeight, compact: panel.compact });
  if (compact === "false" && panel.compact) node.setSize([node.size[0], node.size[1] - height + panel.minHeight]);
  fit(node);
}

function redrawStacks() {
  for (const [, made] of panels.all()) if (made instanceof StackPanel) made.panel.refreshSoon();
}

/** Makes a node as large as its rows need; never smaller. */
function fit(/** @type {any} */ node) {
  const [width, height] = node.computeSize();
  if (node.size[0] < width || node.size[1] < height)
    node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], height)]);
  app.canvas?.setDirty(true, true); // else the page lays it out with its next move only
}

function listen() {
  feet.listen();
  const panelOf = (/** @type {string} */ id) => panels.of(nodeOf(outermost(), id));
  api.addEventListener("sepme.row", (/** @type {any} */ { detail }) => panelOf(detail.node)?.tell(detail));
  api.addEventListener("sepme.progress", (/** @type {any} */ { detail }) => panelOf(detail.node)?.progress(detail));
  api.addEventListener("sepme.library", () => library.refresh());
  api.addEventListener("executed", (/** @type {any} */ { detail }) => {
    const made = panelOf(detail.node);
    for (const row of detail.output?.sepme_rows ?? []) made?.tell(row);
    made?.ended();
  });
  for (const end of ["execution_error", "execution_interrupted", "reconnected"])
    api.addEventListener(end, () => panels.all().forEach(([, made]) => made.ended()));
  api.addEventListener("reconnected", () => library.refresh());
  window.addEventListener("focus", () => library.refresh()); // files may have been put there meanwhile
  library.renamed = follow;
}

/** Lets everything that names a file follow it to its new name. */
function follow(/** @type {string} */ from, /** @type {string} */ to) {
  for (const [, made] of panels.all()) if (made instanceof StackPanel) made.renamed(from, to);
  renameLoaded(outermost(), from, to);
  presets.renamed(from, to).catch(host.complain);
  host.changed();
}

function outermost() {
  return app.rootGraph ?? app.graph;
}

function addTab() {
  /** @type {LibraryTab | null} */
  let tab = null;
  app.extensionManager.registerSidebarTab({
    id: "sepme-library",
    icon: "pi pi-eraser",
    title: "SepME",
    tooltip: t("Erased concepts"),
    type: "custom",
    render: (/** @type {HTMLElement} */ container) => {
      tab ??= new LibraryTab(library, host, use);
      tab.open(container);
    },
    destroy: () => tab?.close(),
  });
}

/** Adds a file to the selected stack, else to the graph. */
function use(/** @type {string} */ file) {
  const selected = Object.values(app.canvas.selected_nodes ?? {});
  const made = selected.map((node) => panels.of(node)).find((each) => each instanceof StackPanel);
  if (made instanceof StackPanel) made.add(file);
  else addLoader(app, file, middle(app));
  host.changed();
}

const carriesFile = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes(FILE_TYPE);
const onGraph = (/** @type {Event} */ { target }) => target === app.canvas?.canvas || target instanceof Element && target.closest("[data-node-id], .lg-node, #graph-canvas-container, .graph-canvas-container, #graph-canvas");

function allowDrop(/** @type {DragEvent} */ event) {
  if (carriesFile(event) && onGraph(event)) event.preventDefault();
}

function drop(/** @type {DragEvent} */ event) {
  if (!carriesFile(event) || !onGraph(event) || event.defaultPrevented) return;
  event.preventDefault();
  const file = /** @type {DataTransfer} */ (event.dataTransfer).getData(FILE_TYPE);
  const { place, node } = dropPlace(app, event);
  const made = panels.of(node);
  if (made instanceof StackPanel) made.add(file);
  else addLoader(app, file, place);
  host.changed();
}
