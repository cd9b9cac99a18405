"""What a node says of itself: its report, its rarely needed widgets, and rows that are true."""

import json

import pytest
from playwright.sync_api import expect

from tests.browser.graphs import (
    LISTEN,
    add_eraser,
    ours,
    reopen,
    type_concepts,
    values,
    wait_for_rows,
)

pytestmark = pytest.mark.browser

SAVED = """() => {
    const node = app.graph.nodes.find((each) => each.type === "SepME_Eraser");
    const { widgets_values: values } = JSON.parse(JSON.stringify(node.serialize()));
    return values;
}"""
SHOWN = """() => {
    const node = app.graph.nodes.find((each) => each.type === "SepME_Eraser");
    return Object.fromEntries(node.widgets.map((each) => [each.name, !each.hidden]));
}"""
# Lets rows ask the server what it knows, as after a run.
ASK = "() => { window.comfyAPI.api.api.dispatchEvent(new CustomEvent('reconnected')); }"
TEXTS = """() => app.graph.nodes.flatMap((node) => node.widgets ?? [])
    .some((widget) => widget.name === "$$node-text-preview")"""
# The node that was added is chosen, and linked.
CHOSEN = """() => {
    const chosen = Object.values(app.canvas.selected_nodes);
    const links = chosen.flatMap((node) => node.inputs).filter((input) => input.link != null);
    return chosen.length === 1 && chosen[0].type === "SepME_Save" && links.length === 1;
}"""
ADVANCED = ["preserve", "preserve_list", "method", "mode", "prompts_to_check", "resolution"]


def type_protected(page, text):
    page.page.locator("textarea:visible:not(.sepme-panel textarea)").nth(1).fill(text)


def test_eraser_at_a_glance_reports_on_itself_and_folds_what_is_rarely_needed(either_page):
    page = either_page
    add_eraser(page, "cat\ndog", protected_concepts="car")
    wait_for_rows(page, [("cat", "new"), ("dog", "new")])
    shown = page.script(SHOWN)
    assert [name for name in ADVANCED if shown[name]] == []
    assert shown["concepts"] and shown["protected_concepts"]
    before = page.script(SAVED)
    assert before[:5] == ["cat\ndog", "", "car", "", "none"]
    headline = page.page.locator(".sepme-headline")
    assert page.run()["status"]["status_str"] == "success"
    expect(headline).to_contain_text("2 of 2 concepts erased · margin")
    expect(headline).to_have_attribute("data-level", "ok")
    headline.click()
    expect(page.page.locator(".sepme-report")).to_contain_text("- cat: erased, strength 1; margin")
    headline.click()
    expect(page.page.locator(".sepme-report")).to_be_hidden()

    more = page.page.get_by_role("button", name="Advanced")
    expect(more).to_have_text("▸ Advanced · preserve_list")
    typed = page.page.get_by_placeholder("prompts_to_check")
    expect(typed).to_be_hidden()
    more.click()
    expect(typed).to_be_visible()
    assert all(page.script(SHOWN)[name] for name in ADVANCED)
    assert page.script(SAVED) == before
    page.picture("eraser-unfolded", ["SepME_Eraser"])
    more.click()
    expect(typed).to_be_hidden()
    assert not any(page.script(SHOWN)[name] for name in ADVANCED)
    assert page.script(SAVED) == before, "folding changes nothing that is saved"

    assert not page.script(TEXTS), "what the page wrote on it while it ran is gone"
    type_protected(page, "rocket")
    expect(headline).to_contain_text("Earlier run: 2 of 2")
    type_protected(page, "car")
    expect(headline).not_to_contain_text("Earlier run")
    page.page.get_by_role("button", name="Save increments").click()
    page.wait_for_nodes(4)
    page.page.wait_for_function(CHOSEN)
    reopen(page, n_nodes=4)
    shown = page.page.locator(".sepme-headline:visible")
    expect(shown).to_contain_text("2 of 2 concepts erased · margin")
    assert page.script(SAVED) == before
    assert ours(page) == []


def rows_written(page):
    text = values(page, "SepME_Eraser")["rows"]
    return {name: row["on"] for name, row in json.loads(text)["rows"].items()}


def test_a_renamed_concept_keeps_its_row_and_a_removed_one_leaves_none(either_page):
    page = either_page
    add_eraser(page, "cat\ndog")
    page.page.get_by_label("on: cat").uncheck()
    assert rows_written(page) == {"cat": False, "dog": True}
    field = page.page.locator("textarea:visible:not(.sepme-panel textarea)").first
    field.focus()
    page.page.keyboard.press("Control+Home")
    for _ in "cat":
        page.page.keyboard.press("Delete")
    page.page.keyboard.type("rocket", delay=30)
    wait_for_rows(page, [("rocket", "off"), ("dog", "new")])
    assert rows_written(page) == {"rocket": False, "dog": True}
    type_concepts(page, "dog")
    wait_for_rows(page, [("dog", "new")])
    assert rows_written(page) == {"dog": True}
    field.focus()
    page.page.keyboard.press("Control+z")
    wait_for_rows(page, [("rocket", "off"), ("dog", "new")])
    assert rows_written(page) == {"rocket": False, "dog": True}
    assert ours(page) == []


def test_a_row_is_not_ready_for_texts_that_were_edited_while_it_was_computed(page):
    add_eraser(page, "rocket", method="refine", resolution=64)
    page.script(LISTEN)
    page.page.get_by_test_id("queue-button").click()
    page.page.wait_for_function(
        "() => told.some((each) => each.name === 'sepme.progress')", timeout=120_000
    )
    type_protected(page, "dog")
    page.page.wait_for_function(
        "() => told.some((each) => each.name === 'execution_success')", timeout=120_000
    )
    headline = page.page.locator(".sepme-headline")
    expect(headline).to_contain_text("Earlier run")
    with page.page.expect_response("**/sepme/eraser"):
        page.script(ASK)
    wait_for_rows(page, [("rocket", "new")])
    type_protected(page, "")
    wait_for_rows(page, [("rocket", "ready")])
    expect(headline).not_to_contain_text("Earlier run")
    assert ours(page) == []


SUGGESTED = {
    "concept": "cat",
    "names": [{"name": name, "similarity": 0.5} for name in ("dog", "lynx", 'a "big" <b>lion</b>')],
}
UNPLUG = """() => {
    const node = app.graph.nodes.find((each) => each.type === "SepME_Eraser");
    node.disconnectInput(node.inputs.findIndex((input) => input.name === "clip"));
}"""


def suggest(page, asked):
    """Answers in the text encoder's place, which takes minutes without GPU; see the adapters."""

    def queue(route):
        asked.append(route.request.post_data_json)
        route.fulfill(json={"prompt_id": "suggesting", "number": 1, "node_errors": {}})

    outputs = {"sepme_neighbours": {"sepme_neighbours": [SUGGESTED]}}
    answer = {"suggesting": {"outputs": outputs, "status": {"messages": []}}}
    page.page.route("**/prompt", queue)
    page.page.route("**/history/suggesting", lambda route: route.fulfill(json=answer))


def test_neighbours_are_suggested_ticked_and_protected(either_page):
    page, asked = either_page, []
    add_eraser(page, "cat")
    type_protected(page, "Dog")
    suggest(page, asked)
    button = page.page.get_by_role("button", name="Protect neighbours")
    button.click()
    names = page.page.locator(".sepme-names")
    expect(names).to_contain_text("lynx")
    assert "dog" not in names.inner_text(), "it is protected already"
    (sent,) = asked
    assert sent["front"] is True
    assert {node["class_type"] for node in sent["prompt"].values()} == {
        "CheckpointLoaderSimple",
        "SepME_Neighbours",
    }
    page.picture("neighbours", ["SepME_Eraser"])
    names.get_by_label("lynx").check()
    page.page.get_by_role("button", name="Protect what is ticked").click()
    expect(names).to_be_hidden()
    assert values(page, "SepME_Eraser")["protected_concepts"] == "Dog\nlynx"

    page.script(UNPLUG)
    button.click()
    expect(page.page.locator(".sepme-note")).to_contain_text("There is no CLIP to ask")
    assert len(asked) == 1
    assert ours(page) == []


def test_prompts_that_name_something_erased_are_told_while_they_are_typed(page):
    add_eraser(page, "cat | kitten\ndog")
    page.page.get_by_role("button", name="Advanced").click()
    field = page.page.get_by_placeholder("prompts_to_check")
    field.fill("a house\na kitten in the garden")
    told = page.page.locator(".sepme-named")
    expect(told).to_contain_text("“a kitten in the garden” names cat")
    expect(told).not_to_contain_text("house")
    page.page.get_by_label("on: cat").uncheck()
    expect(told).to_be_hidden()
    field.fill("a dog")
    expect(told).to_contain_text("“a dog” names dog")
    field.fill("")
    expect(told).to_be_hidden()
    assert ours(page) == []
