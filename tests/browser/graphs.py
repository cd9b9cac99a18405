"""Graphs of our nodes in the page, and how their rows look."""

import json
from contextlib import suppress

from playwright.sync_api import TimeoutError as TooSlow
from playwright.sync_api import expect

LABELS = ".sepme-row:not([hidden]) .sepme-label"
STATES = ".sepme-row:not([hidden]) .sepme-state"
# A checkpoint, the Eraser, and its report; the settings are the Eraser's. The general list is
# hundreds of captions to encode: minutes on a busy machine without GPU.
ERASER = """(settings) => {
    app.graph.clear();
    const add = (type, x) => {
        const node = LiteGraph.createNode(type);
        node.pos = [x, 0];
        app.graph.add(node);
        return node;
    };
    const loader = add("CheckpointLoaderSimple", 0);
    const eraser = add("SepME_Eraser", 350);
    const preview = add("PreviewAny", 850);
    for (const [name, value] of Object.entries({ preserve_list: "none", ...settings }))
        eraser.widgets.find((widget) => widget.name === name).value = value;
    loader.connect(0, eraser, 0);
    loader.connect(1, eraser, 1);
    eraser.connect(2, preview, 0);
}"""
STACK = """(text) => {
    app.graph.clear();
    const node = LiteGraph.createNode("SepME_LoadStack");
    node.pos = [400, 250];
    app.graph.add(node);
    node.widgets[0].value = text;
}"""
WIDGETS = """(type) => Object.fromEntries(app.graph.nodes
    .find((node) => node.type === type).widgets
    .map((widget) => [widget.name, widget.value]))"""
# What the server tells of the rows, from here on.
SEED = """() => {
    const made = LiteGraph.createNode("SepME_Compute");
    const at = made.widgets.findIndex((widget) => widget.name === "seed") + 1;
    const control = () => [made.widgets[at].name, made.widgets[at].value];
    const fresh = control();
    const saved = made.serialize();
    saved.widgets_values[at] = "randomize";
    made.configure(saved);
    return [fresh, control()];
}"""
LISTEN = """() => {
    window.told = [];
    const api = window.comfyAPI.api.api;
    const ends = ["execution_interrupted", "execution_success"];
    for (const name of ["sepme.row", "sepme.progress", ...ends])
        api.addEventListener(name, ({detail}) => told.push({name, ...detail}));
}"""


def add_eraser(page, concepts, **settings):
    """Shows a graph that erases, and types the concepts into whichever field there is."""
    page.script(ERASER, settings)
    page.wait_for_nodes(3)
    type_concepts(page, concepts)


def type_concepts(page, text):
    page.page.locator("textarea:visible:not(.sepme-panel textarea)").first.fill(text)


def add_stack(page, text=""):
    """Shows a stack of files alone."""
    page.script(STACK, text)
    page.wait_for_nodes(1)


def add_by_search(page, name):
    """Shows a node alone, found as a person finds it: a double click, its name, a choice."""
    page.script("() => app.graph.clear()")
    box = page.page.locator("[role=combobox]:focus")
    for _ in range(3):
        page.page.mouse.dblclick(800, 600)
        # On a busy machine two clicks may be too far apart: again. The third time typing fails.
        with suppress(TooSlow):
            box.wait_for(timeout=10_000)
            break
    box.press_sequentially(name, delay=20)
    found = page.page.get_by_role("option", name=name)
    found.filter(has_not=page.page.get_by_role("combobox")).first.click()
    page.wait_for_nodes(1)


def open_library(page):
    """Opens the sidebar's list of files; newer pages name its button in another place."""
    name = "sepme-library-tab-button"
    page.page.locator(f".{name}, [data-testid={name}]").click()
    return page.page.locator(".sepme-library")


def values(page, node_type):
    """Values of a node's widgets by name."""
    return page.script(WIDGETS, node_type)


def written(page):
    """The rows that a stack's widget holds."""
    return json.loads(values(page, "SepME_LoadStack")["rows"])["rows"]


def wait_for_rows(page, expected):
    """Until the rows have these names and states, in the order in which they stand."""
    states = page.page.locator(STATES)
    expect(states).to_have_text([state for _, state in expected], timeout=90_000)
    expect(page.page.locator(LABELS)).to_have_text([name for name, _ in expected])


def wait_for_labels(page, expected):
    """Until the rows have these names; they may have been moved."""
    expect(page.page.locator(LABELS)).to_have_count(len(expected))
    places = page.page.locator(".sepme-row:not([hidden])").evaluate_all(
        """(rows) => rows
            .sort((a, b) => a.getAttribute("aria-posinset") - b.getAttribute("aria-posinset"))
            .map((row) => row.querySelector(".sepme-label").textContent)"""
    )
    assert places == expected


def check_seed(page):
    """A new node's seed stays as it is; one that is opened keeps what was saved with it."""
    (name, fresh), (_, opened) = page.script(SEED)
    assert name == "control_after_generate"
    assert (fresh, opened) == ("fixed", "randomize")


def reopen(page, n_nodes):
    """Reloads the page, as soon as it has saved what is open in it."""
    page.page.wait_for_timeout(1500)
    page.open()
    page.wait_for_nodes(n_nodes)


def ours(page):
    """What the page complains about that is about us."""
    return [text for text in page.complaints if "sepme" in text.lower()]
