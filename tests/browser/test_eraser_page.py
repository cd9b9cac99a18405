"""Erasing as an artist does it in the page: typed, run, switched, opened again."""

import json

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

# What the server tells of the rows, from here on.
LISTEN = """() => {
    window.told = [];
    const api = window.comfyAPI.api.api;
    for (const name of ["sepme.row", "sepme.progress"])
        api.addEventListener(name, ({detail}) => told.push(detail.state ?? "progress"));
}"""
GRAPH = """() => {
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
    // The general list is hundreds of captions to encode: minutes on a busy machine without GPU.
    eraser.widgets.find((widget) => widget.name === "preserve_list").value = "none";
    loader.connect(0, eraser, 0);
    loader.connect(1, eraser, 1);
    eraser.connect(2, preview, 0);
}"""
WIDGETS = """() => Object.fromEntries(app.graph.nodes
    .find((node) => node.type === "SepME_Eraser").widgets
    .map((widget) => [widget.name, widget.value]))"""


def rows(page):
    """The rows' names and states, as they are shown."""
    shown = page.page.locator(".sepme-row:not([hidden])")
    return [
        (row.locator(".sepme-label").inner_text(), row.locator(".sepme-state").inner_text())
        for row in shown.all()
    ]


def wait_for_rows(page, expected):
    states = page.page.locator(".sepme-row:not([hidden]) .sepme-state")
    expect(states).to_have_text([state for _, state in expected], timeout=60_000)
    assert rows(page) == expected


def type_concepts(page, text):
    """Into whichever field the renderer has for them."""
    fields = page.page.locator("textarea:visible:not(.sepme-panel textarea)")
    fields.first.fill(text)


def ours(page):
    return [text for text in page.complaints if "sepme" in text.lower()]


def test_concepts_become_rows_that_are_computed_once_and_switched_for_nothing(either_page, server):
    page = either_page
    page.script(GRAPH)
    page.wait_for_nodes(3)
    type_concepts(page, "cat | kitten\ndog, hound\nrocket -> sky")
    wait_for_rows(page, [("cat", "new"), ("dog, hound", "unreadable"), ("rocket", "new")])
    told = page.page.locator('[data-state="unreadable"] .sepme-state').get_attribute("title")
    assert told.startswith("Line 2: The name holds a comma")

    type_concepts(page, "cat | kitten\ndog\nrocket -> sky")
    page.script(LISTEN)
    assert page.run()["status"]["status_str"] == "success"
    wait_for_rows(page, [("cat", "ready"), ("dog", "ready"), ("rocket", "ready")])
    assert "ready" in page.script("() => told")

    page.page.get_by_label("on: dog").uncheck()
    wait_for_rows(page, [("cat", "ready"), ("dog", "off"), ("rocket", "ready")])
    page.script("() => { told.length = 0; }")
    entry = page.run()
    assert entry["status"]["status_str"] == "success"
    told = page.script("() => told")
    assert told and not {"computing", "progress"} & set(told), "nothing is computed again"
    wait_for_rows(page, [("cat", "ready"), ("dog", "off"), ("rocket", "ready")])

    state = json.loads(page.script(WIDGETS)["rows"])
    assert state["version"] == 1
    assert not state["rows"]["dog"]["on"]
    page.page.wait_for_timeout(1500)  # the page saves what is open after a while
    page.open()
    page.wait_for_nodes(3)
    wait_for_rows(page, [("cat", "new"), ("dog", "off"), ("rocket", "new")])
    values = page.script(WIDGETS)
    assert json.loads(values["rows"]) == state
    assert (values["method"], values["resolution"]) == ("closed form", 512)
    assert ours(page) == []


def test_eraser_is_found_by_search_and_followed_inside_a_subgraph(page):
    page.script("() => app.graph.clear()")
    page.page.mouse.dblclick(800, 600)
    page.page.keyboard.type("SepME Eraser", delay=20)
    page.page.wait_for_timeout(800)
    page.page.keyboard.press("Enter")
    page.wait_for_nodes(1)
    page.script(GRAPH)
    page.wait_for_nodes(3)
    page.script(
        """() => {
            const eraser = app.graph.nodes.find((node) => node.type === "SepME_Eraser");
            app.graph.convertToSubgraph(new Set([eraser]));
        }"""
    )
    page.page.wait_for_timeout(500)
    page.script(
        """() => {
            const outer = app.graph.nodes.find((node) => node.subgraph);
            app.canvas.setGraph(outer.subgraph);
        }"""
    )
    page.page.wait_for_timeout(800)
    assert page.run()["status"]["status_str"] == "success"
    wait_for_rows(page, [("Van Gogh", "ready")])
    page.script("() => app.canvas.setGraph(app.graph)")
    assert ours(page) == []
