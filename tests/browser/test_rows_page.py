"""What is done with the rows of a stack: together, with keys, in another order, under names."""

import pytest
from playwright.sync_api import expect

from launch import cache
from tests.browser.graphs import (
    LABELS,
    add_stack,
    ours,
    reopen,
    values,
    wait_for_labels,
    written,
)

pytestmark = pytest.mark.browser

# Two stacks within a subgraph, of which the page tells no node that it goes.
NESTED = """(text) => {
    app.graph.clear();
    const nodes = [0, 1].map((n) => {
        const node = LiteGraph.createNode("SepME_LoadStack");
        node.pos = [400, 100 + 400 * n];
        app.graph.add(node);
        node.widgets[0].value = text;
        return node;
    });
    app.graph.convertToSubgraph(new Set(nodes));
}"""


def strengths(page):
    return [row["strength"] for row in written(page)]


def drag(page, file, pixels, key=None):
    """Drags the strength of a row to the right."""
    box = page.page.get_by_label(f"strength: {file}").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.page.mouse.move(x, y)
    if key:
        page.page.keyboard.down(key)
    page.page.mouse.down()
    page.page.mouse.move(x + pixels, y, steps=4)
    page.page.mouse.up()
    if key:
        page.page.keyboard.up(key)


def test_rows_are_changed_together_moved_by_keys_sorted_and_made_compact(either_page, shelf):
    page, (cat, dog, rocket) = either_page, shelf
    add_stack(page, f"{cat} 0.5\n{dog} 1\n{rocket} 1.5")
    labels = page.page.locator(LABELS)
    wait_for_labels(page, shelf)
    drag(page, cat, 40, key="Shift")
    assert strengths(page) == [1, 1.5, 2], "with Shift all, each from where it was"
    labels.filter(has_text=cat).click()
    labels.filter(has_text=rocket).click(modifiers=["Control"])
    expect(page.page.locator(".sepme-chosen")).to_have_count(2)
    drag(page, dog, -40)
    assert strengths(page) == [1, 1, 2], "one that is not chosen alone"
    drag(page, cat, 40)
    assert strengths(page) == [1.5, 1, 2.5]
    page.page.get_by_label(f"on: {rocket}").uncheck()
    assert [row["on"] for row in written(page)] == [False, True, False]
    page.page.keyboard.press("Alt+Home")
    wait_for_labels(page, [rocket, cat, dog])
    page.page.keyboard.press("End")
    expect(page.page.get_by_label(f"on: {dog}")).to_be_focused()
    page.page.keyboard.press("Shift+ArrowUp")
    assert strengths(page) == [2.55, 1.55, 1.05]
    page.page.get_by_label("Sort").select_option("concept")
    wait_for_labels(page, [cat, dog, rocket])

    page.page.get_by_label("Compact").click()
    row = page.page.locator(".sepme-row").first
    assert row.evaluate("(row) => row.offsetHeight") == 20
    page.page.screenshot(path=cache.folder("screenshots") / f"compact-{renderer(page)}.png")
    page.page.get_by_label(f"on: {cat}").focus()
    page.page.keyboard.press("Delete")
    wait_for_labels(page, [dog])
    before = values(page, "SepME_LoadStack")
    reopen(page, n_nodes=1)
    wait_for_labels(page, [dog])
    assert values(page, "SepME_LoadStack") == before
    assert row.evaluate("(row) => row.offsetHeight") == 20
    assert ours(page) == []


def renderer(page):
    return page.script("() => document.querySelector('.lg-node') ? 'new' : 'classic'")


@pytest.fixture
def no_presets(server):
    yield
    server.post("/settings/SepME.Presets", {"version": 1, "file": {}, "concept": {}})


def test_presets_for_all_workflows_are_there_in_another_one(page, shelf, no_presets):
    cat, dog, rocket = shelf
    add_stack(page, f"{cat} 0.5\n{dog} off")
    menu = page.page.get_by_label("Presets")
    menu.select_option("save-all")
    page.page.locator("[role=dialog] input").fill("everywhere")
    page.page.keyboard.press("Enter")
    expect(menu.locator("option", has_text="everywhere").first).to_be_attached()
    add_stack(page, rocket)
    page.open()
    add_stack(page, rocket)
    menu.select_option("load-all everywhere")
    rows = [(row["file"], row["on"], row["strength"]) for row in written(page)]
    assert rows == [(cat, True, 0.5), (dog, False, 1), (rocket, False, 1)]
    menu.select_option("delete-all everywhere")
    page.page.locator("[role=dialog]").get_by_role("button", name="Delete").click()
    expect(menu.locator("option", has_text="everywhere")).to_have_count(0)
    assert ours(page) == []


def test_panels_within_subgraphs_go_with_their_workflow(page, shelf):
    panels = "async () => (await import('/extensions/sepme/sepme.js')).panels.all().length"
    listeners = "async () => (await import('/extensions/sepme/sepme.js')).library.listeners.size"
    page.script(NESTED, shelf[0])
    page.page.wait_for_timeout(1000)
    assert page.script(panels) == 2
    assert page.script(listeners) == 1
    page.script("() => app.loadGraphData({ nodes: [], links: [], version: 0.4 })")
    page.page.wait_for_timeout(1000)
    assert page.script(panels) == 0
    assert page.script(listeners) == 0
    assert ours(page) == []
