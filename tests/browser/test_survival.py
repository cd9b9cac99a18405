"""Rows survive what people do with workflows, and are shown as they were."""

import json

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import expect

from tests.browser.graphs import LABELS, add_stack, ours, reopen, values

pytestmark = pytest.mark.browser

ROWS = "nowhere 0.5 off\nnot here.safetensors -1 0.2-0.8"
NAMES = ["nowhere", "not here.safetensors"]
COMMAND = "(name) => app.extensionManager.command.execute(name)"
COPY = """() => {
    app.canvas.selectItems([app.graph.nodes[0]]);
    app.canvas.copyToClipboard();
    app.graph.clear();
    app.canvas.pasteFromClipboard();
}"""
BOTH = "async () => JSON.parse(JSON.stringify(await app.graphToPrompt()))"
# A subgraph around all nodes; what is stored of it is opened again.
WRAP = """async () => {
    app.graph.convertToSubgraph(new Set(app.graph.nodes));
    await app.loadGraphData(JSON.parse(JSON.stringify(app.graph.serialize())));
}"""
INNERMOST = """() => {
    let [node] = app.graph.nodes;
    let graph = app.graph;
    while (node.subgraph) {
        graph = node.subgraph;
        [node] = graph.nodes;
    }
    app.canvas.setGraph(graph);
    return node.widgets[0].value;
}"""


def command(page, name):
    page.script(COMMAND, name)
    page.page.wait_for_timeout(1000)


def switch_tabs(page, _):
    command(page, "Comfy.NewBlankWorkflow")
    expect(page.page.locator(f"{LABELS}:visible")).to_have_count(0)
    command(page, "Workspace.PreviousOpenedWorkflow")


def open_again(page, _):
    reopen(page, n_nodes=1)


def undo_and_redo(page, _):
    page.page.get_by_label("on: nowhere").check()
    page.page.get_by_label("on: nowhere").uncheck()
    before = values(page, "SepME_LoadStack")["rows"]
    command(page, "Comfy.Undo")
    assert json.loads(values(page, "SepME_LoadStack")["rows"])["rows"][0]["on"], "undone"
    command(page, "Comfy.Redo")
    assert values(page, "SepME_LoadStack")["rows"] == before


def copy_and_paste(page, _):
    page.script(COPY)


def open_api_file(page, folder):
    file = folder / "api.json"
    file.write_text(json.dumps(page.script(BOTH)["output"]))
    open_file(page, file)


def open_picture(page, folder):
    told = page.script(BOTH)
    info = PngInfo()
    info.add_text("workflow", json.dumps(told["workflow"]))
    info.add_text("prompt", json.dumps(told["output"]))
    Image.new("RGB", (8, 8)).save(folder / "picture.png", pnginfo=info)
    open_file(page, folder / "picture.png")


def open_file(page, file):
    page.script("() => app.graph.clear()")
    page.open_workflow(file, n_nodes=1)


WAYS = (switch_tabs, open_again, undo_and_redo, copy_and_paste, open_api_file, open_picture)


def test_rows_survive_what_people_do_with_workflows(either_page, tmp_path):
    page = either_page
    for way in WAYS:
        add_stack(page, ROWS)
        strength = page.page.get_by_label("strength: nowhere")
        strength.fill("0.75")
        strength.press("Enter")
        before = values(page, "SepME_LoadStack")["rows"]
        assert '"strength": 0.75' in before, f"not the open node's, before {way.__name__}"
        way(page, tmp_path)
        after = values(page, "SepME_LoadStack")["rows"]
        assert json.loads(after)["rows"] == json.loads(before)["rows"], way.__name__
        expect(page.page.locator(f"{LABELS}:visible")).to_have_text(NAMES)
        expect(page.page.get_by_label("strength: nowhere")).to_have_value("0.75")
    assert ours(page) == []


def test_rows_survive_within_one_and_two_subgraphs(either_page):
    page = either_page
    add_stack(page, ROWS)
    for _ in range(2):
        page.script(WRAP)
        page.page.wait_for_timeout(1000)
        (sent,) = page.script(BOTH)["output"].values()
        assert sent["inputs"]["rows"] == ROWS
        assert page.script(INNERMOST) == ROWS
        expect(page.page.locator(f"{LABELS}:visible")).to_have_text(NAMES)
        page.script("() => app.canvas.setGraph(app.rootGraph ?? app.graph)")
    assert ours(page) == []
