"""Erasing as an artist does it in the page: typed, run, switched, watched, opened again."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.browser.graphs import (
    LISTEN,
    add_by_search,
    add_eraser,
    ours,
    reopen,
    type_concepts,
    values,
    wait_for_rows,
)

pytestmark = pytest.mark.browser

INTO_SUBGRAPH = """() => {
    const stack = LiteGraph.createNode("SepME_LoadStack");
    stack.pos = [350, 900];
    app.graph.add(stack);
    stack.widgets[0].value = "nowhere off";
    const eraser = app.graph.nodes.find((node) => node.type === "SepME_Eraser");
    app.graph.convertToSubgraph(new Set([eraser, stack]));
}"""
ENTER = """() => {
    const outer = app.graph.nodes.find((node) => node.subgraph);
    app.canvas.setGraph(outer.subgraph);
}"""
# What the page shows at one moment while a concept is trained; nothing before and after.
CURVE = """() => {
    const shown = document.querySelector(".sepme-curve");
    const line = shown?.querySelector(".sepme-line").getAttribute("points") ?? "";
    const points = line.split(" ").filter(Boolean).map((point) => point.split(",").map(Number));
    if (points.length < 6) return null;
    const threshold = shown.querySelector(".sepme-threshold");
    const {top, bottom} = shown.getBoundingClientRect();
    const eraser = app.graph.nodes.find((node) => node.type === "SepME_Eraser");
    return {
        points, top, bottom, height: innerHeight,
        threshold: [threshold.getAttribute("y1"), threshold.getAttribute("y2")].map(Number),
        says: shown.querySelector("p").textContent,
        previews: (eraser.imgs ?? []).map((picture) => picture.naturalWidth),
    };
}"""
STEPS = """([concept, from]) => told.slice(from)
    .filter((each) => each.name === "sepme.progress" && each.concept === concept)
    .filter((each) => each.statistic !== null)
    .map((each) => each.step)"""


def run(page):
    """Presses Run, and waits until the page has heard everything of it."""
    assert page.run()["status"]["status_str"] == "success"
    page.page.wait_for_function("() => told.some((each) => each.name === 'execution_success')")


@pytest.mark.tour
def test_concepts_become_rows_that_are_computed_once_and_switched_for_nothing(either_page, server):
    page = either_page
    add_eraser(page, "cat | kitten\ndog, hound\nrocket -> sky")
    wait_for_rows(page, [("cat", "new"), ("dog, hound", "unreadable"), ("rocket", "new")])
    told = page.page.locator('[data-state="unreadable"] .sepme-state').get_attribute("title")
    assert told.startswith("Line 2: The name holds a comma")

    type_concepts(page, "cat | kitten\ndog\nrocket -> sky")
    page.script(LISTEN)
    run(page)
    wait_for_rows(page, [("cat", "ready"), ("dog", "ready"), ("rocket", "ready")])
    assert "ready" in page.script("() => told.map((each) => each.state)")

    page.page.get_by_label("on: dog").uncheck()
    wait_for_rows(page, [("cat", "ready"), ("dog", "off"), ("rocket", "ready")])
    page.script("() => { told.length = 0; }")
    run(page)
    told = page.script("() => told.map((each) => each.state ?? each.name)")
    assert told and not {"computing", "sepme.progress"} & set(told), "nothing is computed again"
    wait_for_rows(page, [("cat", "ready"), ("dog", "off"), ("rocket", "ready")])
    page.picture("eraser", ["SepME_Eraser"])

    state = json.loads(values(page, "SepME_Eraser")["rows"])
    assert state["version"] == 1
    assert not state["rows"]["dog"]["on"]
    reopen(page, n_nodes=3)
    wait_for_rows(page, [("cat", "ready"), ("dog", "off"), ("rocket", "ready")])
    after = values(page, "SepME_Eraser")
    assert json.loads(after["rows"]) == state
    assert (after["method"], after["resolution"]) == ("closed form", 0)
    assert ours(page) == []


def test_eraser_is_found_by_search_and_followed_inside_a_subgraph(either_page):
    page = either_page
    add_by_search(page, "SepME Eraser")
    add_eraser(page, "Van Gogh -> painting")
    page.script(INTO_SUBGRAPH)
    page.page.wait_for_timeout(500)
    page.script(ENTER)
    page.page.wait_for_timeout(800)
    assert page.run()["status"]["status_str"] == "success"
    rows = {"Van Gogh": "ready", "nowhere": "off"}
    for name, state in rows.items():
        row = page.page.locator(".sepme-row:not([hidden])").filter(has_text=name)
        expect(row.locator(".sepme-state")).to_have_text(state, timeout=60_000)
    page.page.get_by_label("on: Van Gogh").uncheck()
    assert '"on": false' in values_inside(page, "SepME_Eraser")
    assert page.run()["status"]["status_str"] == "success"
    page.script("() => app.canvas.setGraph(app.graph)")
    assert ours(page) == []


def values_inside(page, node_type):
    """The rows of a node of the subgraph that is open."""
    return page.script(
        """(type) => app.canvas.graph.nodes.find((node) => node.type === type)
            .widgets.find((widget) => widget.name === "rows").value""",
        node_type,
    )


@pytest.mark.tour
def test_curve_is_watched_cancelled_and_what_is_finished_outlives_the_server(page, server):
    add_eraser(page, "cat\ndog", method="refine", resolution=64)
    wait_for_rows(page, [("cat", "new"), ("dog", "new")])
    page.script(LISTEN)
    page.page.get_by_test_id("queue-button").click()
    seen = page.page.wait_for_function(CURVE, timeout=120_000).json_value()
    page.picture("computing", ["SepME_Eraser"])
    across, down = zip(*seen["points"], strict=True)
    assert list(across) == sorted(set(across)), "it grows to the right"
    assert down[0] < down[-1], "and falls"
    assert seen["threshold"][0] == seen["threshold"][1] >= max(down) - 0.1
    assert re.search(r"^cat: step .* \(stops at 0.02\) .* evaluations", seen["says"])
    assert 0 <= seen["top"] < seen["bottom"] <= seen["height"], "it is in view"
    assert seen["previews"] and all(seen["previews"]), "the picture of the concept is shown"

    page.page.wait_for_function(f"() => ({STEPS})(['dog', 0]).length", timeout=120_000)
    before = page.script("() => told.length")
    page.page.get_by_label("Cancel current run").click()
    page.page.wait_for_function(
        "() => told.some((each) => each.name === 'execution_interrupted')", timeout=60_000
    )
    wait_for_rows(page, [("cat", "ready"), ("dog", "new")])
    ends = page.script(f"() => ({STEPS})(['dog', {before}])")
    assert max(ends, default=0) < 60, "it stopped before its end"
    expect(page.page.locator(".sepme-curve")).to_be_hidden()

    state = values(page, "SepME_Eraser")
    server.stop()
    page.page.get_by_label("on: dog").uncheck()
    server.start()
    page.page.wait_for_timeout(1500)
    wait_for_rows(page, [("cat", "ready"), ("dog", "off")])
    assert values(page, "SepME_Eraser") | {"rows": ""} == state | {"rows": ""}
    assert page.run()["status"]["status_str"] == "success"
    wait_for_rows(page, [("cat", "ready"), ("dog", "off")])
    assert ours(page) == []
