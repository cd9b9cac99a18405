"""Markup in a stranger's names is text in the page: of a concept, of a file, in a workflow."""

import json
import shutil

import pytest
from playwright.sync_api import expect

from tests.browser.graphs import LABELS, add_stack, open_library, ours

pytestmark = pytest.mark.browser

# No comma, colon or slash: those mean something in the fields that it stands in.
NAME = '<img src=x onerror="window.struck=1">'
STRUCK = """() => [window.struck ?? null, document.querySelectorAll('img[src="x"]').length]"""
# Everything that a workflow carries for our nodes: names, rows, presets, notes of another version.
WORKFLOW = """([name, file]) => {
    app.graph.clear();
    const add = (type, x, y, values) => {
        const node = LiteGraph.createNode(type);
        node.pos = [x, y];
        app.graph.add(node);
        for (const [key, value] of Object.entries(values))
            node.widgets.find((widget) => widget.name === key).value = value;
        return node;
    };
    const rows = (entry) => JSON.stringify({ version: 1, rows: entry, presets: { [name]: {} } });
    const loader = add("CheckpointLoaderSimple", 0, 0, {});
    const eraser = add("SepME_Eraser", 350, 0, {
        concepts: name, rows: rows({ [name]: { strength: 0.5 } }), preserve: name,
        protected_concepts: `${name} dog`, prompts_to_check: name, preserve_list: "none",
    });
    const stack = add("SepME_LoadStack", 900, 0, { rows: rows([{ file, erases: name }]) });
    const [report, other] = [0, 500].map((y) => add("PreviewAny", 1400, y, {}));
    loader.connect(0, eraser, 0);
    loader.connect(1, eraser, 1);
    eraser.connect(2, report, 0);
    stack.connect(1, other, 0);
    return JSON.stringify(app.graph.serialize());
}"""


@pytest.fixture
def foreign_file(shelf, base_directory):
    """A file of the library that is named like that."""
    library = base_directory / "models" / "sepme"
    file = library / f"{NAME}.safetensors"
    shutil.copy(library / shelf[0], file)
    yield file.name
    file.unlink()


def check_markup(page, file, folder):
    """Opens a stranger's workflow, runs it, and looks at everything that shows its names."""
    shared = folder / "shared.json"
    shared.write_text(page.script(WORKFLOW, [NAME, file]), encoding="utf-8")
    page.open_workflow(shared, 5)
    shown = page.page.locator(LABELS)
    expect(shown.filter(has_text=NAME)).to_have_count(2)
    assert page.run()["status"]["status_str"] == "success"
    states = page.page.locator(".sepme-row:not([hidden]) .sepme-state")
    expect(states).to_have_text(["ready", "ready"], timeout=60_000)
    open_library(page)
    card = page.page.locator(".sepme-card:not([hidden])").filter(has_text=NAME)
    expect(card.first).to_contain_text(file)

    add_stack(page, f'{{"rows": [{{"file": "{file[:9]}", "strength": "{NAME[:9]}"}}]}}')
    expect(page.page.locator(".sepme-problem:visible").first).to_contain_text("<img src=")
    add_stack(page, json.dumps([{"file": f"{NAME} gone"}]))
    page.script(ASK_FOR_IT)
    page.run()  # refused, which is told with the name
    told = page.page.get_by_text(f"{NAME} gone.safetensors").filter(visible=True)
    expect(told.first).to_be_visible(timeout=60_000)
    assert page.script(STRUCK) == [None, 0], "it was taken for markup"
    assert ours(page) == []


ASK_FOR_IT = """() => {
    const report = LiteGraph.createNode("PreviewAny");
    app.graph.add(report);
    app.graph.nodes.find((node) => node.type === "SepME_LoadStack").connect(1, report, 0);
}"""


def test_markup_in_names_and_workflows_is_shown_as_text(either_page, foreign_file, tmp_path):
    page = either_page
    check_markup(page, foreign_file, tmp_path)
    page.script("(name) => document.body.insertAdjacentHTML('beforeend', name)", NAME)
    page.page.wait_for_function("() => window.struck === 1")  # it would have been seen
