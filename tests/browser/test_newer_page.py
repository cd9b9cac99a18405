"""The example workflows in a newer page, in both of its renderers.

Artists update the page more often than anything else, and it is a package of its own. This one is
served by the same old server, so what it complains about on its own account is not counted.
"""

import json

import pytest

from launch import cache
from launch.page import comfy_page
from launch.workflow import to_prompt
from tests.browser.front_ends import NEWEST
from tests.browser.graphs import (
    add_eraser,
    add_stack,
    check_seed,
    open_library,
    ours,
    reopen,
    type_concepts,
    values,
    wait_for_rows,
    written,
)
from tests.browser.test_blueprint import check_blueprint

pytestmark = pytest.mark.browser

EXAMPLES = sorted((cache.REPOSITORY / "example_workflows").glob("*.json"))


@pytest.fixture(scope="module")
def newer_server(servers):
    server = servers(NEWEST)
    save_increments(server)
    return server


def save_increments(server):
    """Makes the files that one example loads, so that its rows are as after the one before it."""
    example = next(file for file in EXAMPLES if file.stem == "5_save_and_share")
    prompt = to_prompt(json.loads(example.read_text(encoding="utf-8")), server.object_info())
    server.run({key: node for key, node in prompt.items() if node["class_type"] != "SaveImage"})


@pytest.fixture(params=["classic", "nodes-2.0"])
def newer_page(newer_server, browser, request):
    with comfy_page(newer_server, browser, nodes_2=request.param == "nodes-2.0") as page:
        yield page
        page.screenshot(f"newer-{request.node.name}")


def n_nodes(file):
    return len(json.loads(file.read_text(encoding="utf-8"))["nodes"])


def test_examples_open_without_a_warning(newer_page):
    assert EXAMPLES
    for file in EXAMPLES:
        newer_page.open_workflow(file, n_nodes(file))
        assert newer_page.warnings() == []
        assert newer_page.errors() == []
        assert ours(newer_page) == []


def test_example_runs_and_shows_its_pictures(newer_page):
    example = next(file for file in EXAMPLES if file.stem == "6_open_a_shared_workflow")
    newer_page.open_workflow(example, n_nodes(example))
    assert newer_page.run()["status"]["status_str"] == "success"
    assert list(newer_page.pictures().values()) == [[512] * 12]
    assert newer_page.warnings() == []


def test_the_blueprint_is_found_by_search_and_erases(newer_page):
    check_blueprint(newer_page)


def test_the_seed_of_a_new_compute_stays_as_it_is(newer_page):
    check_seed(newer_page)


def test_rows_are_typed_switched_saved_and_opened_again(newer_page):
    page = newer_page.page
    add_eraser(newer_page, "cat\ndog, hound")
    wait_for_rows(newer_page, [("cat", "new"), ("dog, hound", "unreadable")])
    type_concepts(newer_page, "cat\ndog")
    assert newer_page.run()["status"]["status_str"] == "success"
    wait_for_rows(newer_page, [("cat", "ready"), ("dog", "ready")])
    page.get_by_label("on: dog").uncheck()
    assert newer_page.run()["status"]["status_str"] == "success"
    rows = [("cat", "ready"), ("dog", "off")]
    wait_for_rows(newer_page, rows)
    state = values(newer_page, "SepME_Eraser")
    reopen(newer_page, n_nodes=3)
    wait_for_rows(newer_page, rows)
    assert values(newer_page, "SepME_Eraser") == state

    add_stack(newer_page)
    open_library(newer_page)
    card = page.locator(".sepme-card:not([hidden])").first
    file = card.locator("span").inner_text()
    card.drag_to(page.get_by_label("Add a file"))
    wait_for_rows(newer_page, [(file, "waiting")])
    page.get_by_label(f"strength: {file}").fill("0.5")
    page.keyboard.press("Enter")
    assert [(row["file"], row["strength"]) for row in written(newer_page)] == [(file, 0.5)]
    assert ours(newer_page) == []
