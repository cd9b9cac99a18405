"""What an artist has set survives what pages do to graphs, in every page and renderer.

Compared is what counts: what a run would get of our nodes, and what their rows show.
"""

import json

import pytest
from playwright.sync_api import expect

from tests.browser.graphs import ours, reopen

pytestmark = pytest.mark.browser

# An Eraser and a stack of files, with a picture that costs nothing, so that a run saves one.
GRAPH = """([cat, dog, name]) => {
    app.graph.clear();
    const add = (type, x, y, values = {}) => {
        const node = LiteGraph.createNode(type);
        node.pos = [x, y];
        app.graph.add(node);
        for (const [name, value] of Object.entries(values))
            node.widgets.find((widget) => widget.name === name).value = value;
        return node;
    };
    const loader = add("CheckpointLoaderSimple", 0, 0);
    const eraser = add("SepME_Eraser", 350, 0, {
        concepts: "cat | kitten\\nrocket", protected_concepts: "dog", preserve_list: "none",
        prompts_to_check: name,
        rows: JSON.stringify({ version: 1, rows: {
            cat: { on: true, strength: 0.5, start: 0, end: 0.75 }, rocket: { on: false } } }),
    });
    const rows = [{ file: cat, on: true, strength: -0.5 }, { file: dog, on: false }];
    const stack = add("SepME_LoadStack", 850, 0, {
        rows: JSON.stringify({ version: 1, note: name, rows }),
    });
    const picture = add("EmptyImage", 850, 500, { width: 64, height: 64 });
    const [report, other] = [0, 250].map((y) => add("PreviewAny", 1350, y));
    // A name of its own: what the server has saved before would hold the workflow of that time.
    const prefix = `sepme/${name.replaceAll(/\\W+/g, "-")}`;
    const save = add("SaveImage", 1250, 500, { filename_prefix: prefix });
    loader.connect(0, eraser, 0);
    loader.connect(1, eraser, 1);
    eraser.connect(2, report, 0);
    stack.connect(1, other, 0);
    picture.connect(0, save, 0);
}"""
# What our nodes get from a run: their values, without those that come from other nodes.
SENT = """async () => {
    const { output } = await app.graphToPrompt();
    return Object.values(output)
        .filter((node) => node.class_type.startsWith("SepME_"))
        .map(({ class_type: type, inputs }) => [type, Object.fromEntries(
            Object.entries(inputs).filter(([, value]) => !Array.isArray(value)))])
        .sort((one, other) => JSON.stringify(one) < JSON.stringify(other) ? -1 : 1);
}"""
ROWS = """() => [...document.querySelectorAll(".sepme-row:not([hidden])")].map((row) => [
    row.querySelector(".sepme-label").textContent, row.querySelector(".sepme-on").checked,
    row.querySelector(".sepme-strength").value,
]).sort()"""
COMMAND = "(id) => app.extensionManager.command.execute(id)"
NODES = 7


def build(page, shelf, name="survival"):
    """Shows the graph; gives what it sends and shows. Of what has run before nothing is told."""
    page.script(GRAPH, [*shelf[:2], name])
    page.wait_for_nodes(NODES)
    page.script("() => app.extensionManager.workflow.activeWorkflow.changeTracker.checkState()")
    expect(page.page.locator(".sepme-row:not([hidden])")).to_have_count(4)
    sent = page.script(SENT)
    assert [name for name, _ in sent] == ["SepME_Eraser", "SepME_LoadStack"]
    return sent, page.script(ROWS)


def same(page, before, n_nodes=NODES):
    """Everything is sent and shown as before."""
    sent, rows = before
    page.wait_for_nodes(n_nodes)
    assert page.script(SENT) == sent
    expect(page.page.locator(".sepme-row:not([hidden])")).to_have_count(len(rows))
    assert page.script(ROWS) == rows


@pytest.mark.page("own nodes-2.0")
def test_values_rows_and_reports_survive_tabs_and_reloading(any_page, shelf, request):
    page = any_page
    before = build(page, shelf, request.node.name)
    assert page.run()["status"]["status_str"] == "success"
    told = page.page.locator(".sepme-headline:visible")
    expect(told).to_have_count(2)
    headlines = sorted(told.all_inner_texts())
    assert not any("Earlier" in text for text in headlines)

    page.script(COMMAND, "Comfy.NewBlankWorkflow")
    page.page.wait_for_function("() => app.graph.nodes.length === 0")
    page.script(COMMAND, "Workspace.PreviousOpenedWorkflow")
    same(page, before)
    expect(told).to_have_count(2)
    assert sorted(told.all_inner_texts()) == headlines, "in the tab again"

    reopen(page, NODES)
    same(page, before)
    expect(told).to_have_count(2)
    assert sorted(told.all_inner_texts()) == headlines, "after a reload"
    assert ours(page) == []


@pytest.mark.page("1.58.1 classic")
def test_a_switch_is_undone_and_done_again_and_copies_keep_their_own(any_page, shelf):
    page = any_page
    before = build(page, shelf)
    page.page.get_by_label("on: cat", exact=True).uncheck()
    page.page.wait_for_timeout(300)
    after = page.script(SENT), page.script(ROWS)
    assert after != before
    page.script(COMMAND, "Comfy.Undo")
    same(page, before)
    page.script(COMMAND, "Comfy.Redo")
    same(page, after)
    page.script(COMMAND, "Comfy.Undo")
    same(page, before)

    page.script(
        """() => {
            const ours = app.graph.nodes.filter((node) => node.type.startsWith("SepME_"));
            app.canvas.selectItems(ours);
            app.canvas.copyToClipboard();
            app.canvas.pasteFromClipboard();
        }"""
    )
    page.wait_for_nodes(NODES + 2)
    expect(page.page.locator(".sepme-row:not([hidden])")).to_have_count(8)
    texts = page.script(
        """() => app.graph.nodes.filter((node) => node.type.startsWith("SepME_"))
            .map((node) => node.widgets.find((widget) => widget.name === "rows").value)"""
    )
    assert len(set(texts)) == 2 and len(texts) == 4, "both copies have the rows of their originals"
    page.page.get_by_label("on: rocket", exact=True).last.evaluate("(box) => box.click()")
    page.page.wait_for_timeout(300)
    assert sorted(row[1] for row in page.script(ROWS) if row[0] == "rocket") == [False, True]
    assert ours(page) == []


@pytest.mark.page("own classic")
def test_an_api_file_and_a_saved_picture_bring_everything_back(any_page, shelf, tmp_path):
    page = any_page
    before = build(page, shelf)
    (tmp_path / "api.json").write_text(
        json.dumps(page.script("async () => (await app.graphToPrompt()).output"))
    )
    entry = page.run()
    (picture,) = page.server.images(entry)
    (tmp_path / "saved.png").write_bytes(page.server.picture(picture))
    for name in ("api.json", "saved.png"):
        page.script(COMMAND, "Comfy.NewBlankWorkflow")
        page.page.wait_for_function("() => app.graph.nodes.length === 0")
        page.open_workflow(tmp_path / name, NODES)
        same(page, before)
    assert ours(page) == []


WRAP = """(type) => {
    const { graph } = app.canvas;
    const node = graph.nodes.find((each) => each.type === type || each.subgraph);
    graph.convertToSubgraph(new Set([node]));
}"""
# What a person does with a node's field: it becomes one of the subgraph's, outside.
PROMOTE = """([path, names]) => {
    let graph = app.graph;
    for (const at of path) graph = graph.nodes.find((node) => node.subgraph).subgraph;
    const inner = graph.nodes.find((node) => node.subgraph || node.type.startsWith("SepME_"));
    for (const name of names) {
        const input = inner.inputs.find((each) => each.name === name);
        const slot = graph.addInput(name, input.type);
        const made = graph.inputNode.slots.find((each) => each.name === slot.name);
        made.connect(input, inner);
    }
}"""
OUTER = """([at, name, value]) => {
    const node = app.graph.nodes.filter((each) => each.subgraph)[at];
    const widget = node.widgets.find((each) => each.name === name);
    if (value !== undefined) widget.value = value;
    return widget.value;
}"""
ONLY = """(type) => {
    for (const node of [...app.graph.nodes])
        if (node.type !== type && node.type !== "PreviewAny") app.graph.remove(node);
    for (const node of [...app.graph.nodes])
        if (node.type === "PreviewAny" && node.inputs[0].link == null) app.graph.remove(node);
}"""


@pytest.mark.page("1.58.1 nodes-2.0")
@pytest.mark.parametrize("node", ["SepME_Eraser", "SepME_LoadStack"])
def test_promoted_through_two_subgraphs_and_used_twice_each_keeps_its_own(any_page, shelf, node):
    page = any_page
    build(page, shelf)
    page.script(ONLY, node)
    fields = ["concepts", "rows"] if node == "SepME_Eraser" else ["rows"]
    before = page.script(SENT)
    for _ in range(2):
        page.script(WRAP, node)
        page.page.wait_for_timeout(300)
    assert page.script(SENT) == before, "wrapped twice"
    page.script(PROMOTE, [[0, 0], fields])
    page.script(PROMOTE, [[0], fields])
    page.page.wait_for_timeout(300)
    assert page.script(SENT) == before, "promoted"
    rows = dict(before)[node]["rows"]
    assert page.script(OUTER, [0, "rows"]) == rows
    page.script(OUTER, [0, "rows", changed := rows.replace("0.5", "0.25")])
    assert dict(page.script(SENT))[node]["rows"] == changed

    page.script(
        """() => {
            app.canvas.selectItems(app.graph.nodes.filter((each) => each.subgraph));
            app.canvas.copyToClipboard();
            app.canvas.pasteFromClipboard();
        }"""
    )
    page.page.wait_for_timeout(500)
    page.script(OUTER, [1, "rows", rows])
    assert page.script(OUTER, [0, "rows"]) == changed, "the other use keeps its own"
    assert ours(page) == []
