"""The blueprint "Erase concepts" is offered by the host, added by search, and works."""

import json

import pytest

from tests.browser.graphs import add_by_search

pytestmark = pytest.mark.browser

NAME = "Erase concepts"
WIRE = """() => {
    const node = app.graph.nodes.find((each) => each.subgraph);
    const loader = LiteGraph.createNode("CheckpointLoaderSimple");
    const report = LiteGraph.createNode("PreviewAny");
    [loader, report].forEach((each, at) => {
        each.pos = [node.pos[0] + (at ? 500 : -500), node.pos[1]];
        app.graph.add(each);
    });
    loader.connect(0, node, node.inputs.findIndex((input) => input.name === "model"));
    loader.connect(1, node, node.inputs.findIndex((input) => input.name === "clip"));
    node.connect(node.outputs.findIndex((output) => output.name === "report"), report, 0);
    node.widgets.find((widget) => widget.name === "concepts").value = "cat -> apple";
    node.widgets.find((widget) => widget.name === "protected_concepts").value = "dog";
    // The general list is hundreds of captions to encode: minutes on a busy machine without GPU.
    const set = node.subgraph.nodes.find((each) => each.type === "SepME_Concepts");
    set.widgets.find((widget) => widget.name === "preserve_list").value = "none";
    return node.widgets.map((widget) => widget.name);
}"""


def test_the_host_lists_the_blueprint(server):
    listed = server.get("/global_subgraphs")
    (key,) = [key for key, entry in listed.items() if entry["name"] == NAME]
    assert listed[key]["info"]["node_pack"] == "custom_nodes.sepme"
    assert json.loads(server.get(f"/global_subgraphs/{key}")["data"])["nodes"][0]["title"] == NAME


def check_blueprint(page):
    """Adds it as a person does, and erases with it."""
    add_by_search(page, NAME)
    assert page.script(WIRE) == ["concepts", "protected_concepts"]
    page.wait_for_nodes(3)
    entry = page.run()
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
    (text,) = [output["text"][0] for output in entry["outputs"].values() if "text" in output]
    assert text.startswith("cat: closed form, falls back to 'apple'")
    assert [text for text in page.complaints if "sepme" in text.lower()] == []


def test_the_blueprint_is_found_by_search_and_erases(either_page):
    page = either_page
    check_blueprint(page)
    page.script("() => app.canvas.setGraph(app.graph.nodes.find((n) => n.subgraph).subgraph)")
    page.page.wait_for_timeout(800)
    page.screenshot("blueprint-inside")
    page.script("() => app.canvas.setGraph(app.graph)")
