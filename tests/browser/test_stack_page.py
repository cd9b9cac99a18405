"""A stack of files, built with keys and mouse; and the library beside it."""

import json

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

FILES = ["shelf/cat.safetensors", "shelf/dog.safetensors", "shelf/rocket.safetensors"]
ADD = """(text) => {
    app.graph.clear();
    const node = LiteGraph.createNode("SepME_LoadStack");
    node.pos = [400, 250];
    app.graph.add(node);
    node.widgets[0].value = text;
}"""
TEXT = """() => app.graph.nodes.find((node) => node.type === "SepME_LoadStack").widgets[0].value"""
SET = """(text) => {
    app.graph.nodes.find((node) => node.type === "SepME_LoadStack").widgets[0].value = text;
}"""
LABELS = ".sepme-row:not([hidden]) .sepme-label"


@pytest.fixture(scope="module")
def shelf(server, base_directory):
    """Three increments in the library."""
    if not (base_directory / "models" / "sepme" / FILES[0]).exists():
        load = {"ckpt_name": "sepme_demo.safetensors"}
        erase = {"model": ["1", 0], "clip": ["1", 1], "concepts": "cat\ndog\nrocket"}
        save = {"stack": ["2", 1], "folder": "shelf", "overwrite": True}
        server.run(
            {
                "1": {"class_type": "CheckpointLoaderSimple", "inputs": load},
                "2": {"class_type": "SepME_Eraser", "inputs": erase},
                "3": {"class_type": "SepME_Save", "inputs": save},
            }
        )
    return FILES


def written(page):
    return [(row["file"], row["on"]) for row in json.loads(page.script(TEXT))["rows"]]


def ours(page):
    return [text for text in page.complaints if "sepme" in text.lower()]


def wait_for_labels(page, expected):
    expect(page.page.locator(LABELS)).to_have_count(len(expected))
    places = page.page.locator(".sepme-row:not([hidden])").evaluate_all(
        """(rows) => rows
            .sort((a, b) => a.getAttribute("aria-posinset") - b.getAttribute("aria-posinset"))
            .map((row) => row.querySelector(".sepme-label").textContent)"""
    )
    assert places == expected


def test_stack_is_built_with_keys_and_mouse_and_opened_again(either_page, shelf):
    page, (cat, dog, rocket) = either_page, shelf
    page.script(ADD, "")
    page.wait_for_nodes(1)
    adder = page.page.get_by_label("Add a file")
    for file in shelf:
        adder.fill(file)
        expect(page.page.locator(LABELS).filter(has_text=file)).to_be_visible()
    wait_for_labels(page, shelf)
    page.page.wait_for_timeout(500)
    rows = json.loads(page.script(TEXT))["rows"]
    assert all(len(row["sha256"]) == 64 for row in rows)
    assert [row["erases"] for row in rows] == ["cat", "dog", "rocket"]

    page.page.get_by_label(f"on: {dog}").focus()
    page.page.keyboard.press("Alt+ArrowUp")
    wait_for_labels(page, [dog, cat, rocket])
    page.page.keyboard.press("Space")  # the focus goes with the row
    assert written(page) == [(dog, False), (cat, True), (rocket, True)]
    strength = page.page.get_by_label(f"strength: {cat}")
    strength.fill("9")
    strength.press("Enter")
    assert strength.input_value() == "4", "brought into its range"

    handles = page.page.locator(".sepme-row:not([hidden])")
    grip = handles.filter(has_text=rocket).locator(".sepme-handle")
    grip.hover()
    page.page.mouse.down()
    over = handles.filter(has_text=dog).bounding_box()
    page.page.mouse.move(over["x"] + 10, over["y"] + over["height"] / 2, steps=4)
    page.page.mouse.up()
    wait_for_labels(page, [rocket, dog, cat])

    page.page.get_by_label("Filter").last.fill("DOG")
    wait_for_labels(page, [dog])
    page.page.get_by_label("Filter").last.fill("")
    page.page.get_by_label("Presets").select_option("save")
    page.page.locator("[role=dialog] input").fill("evening")
    page.page.keyboard.press("Enter")
    page.page.get_by_label("All", exact=True).check()
    assert written(page) == [(rocket, True), (dog, True), (cat, True)]
    page.page.get_by_label("Presets").select_option("evening")
    assert written(page) == [(rocket, True), (dog, False), (cat, True)]
    page.page.locator(".sepme-row").filter(has_text=rocket).get_by_label("Remove").click()
    wait_for_labels(page, [dog, cat])

    before = page.script(TEXT)
    page.page.wait_for_timeout(1500)  # the page saves what is open after a while
    page.open()
    page.wait_for_nodes(1)
    wait_for_labels(page, [dog, cat])
    assert page.script(TEXT) == before
    assert ours(page) == []


def test_text_that_cannot_be_read_is_shown_and_left_as_it_is(page, shelf):
    text = '{"version": 2, "rows": [{"file": "later"}]}'
    page.script(ADD, text)
    page.wait_for_nodes(1)
    expect(page.page.locator(".sepme-problem")).to_contain_text("version 2")
    page.page.get_by_label("All", exact=True).click(force=True)
    assert page.script(TEXT) == text
    field = page.page.locator(".sepme-panel textarea")
    assert field.input_value() == text
    field.fill("shelf/cat 0.5\nnowhere")
    wait_for_labels(page, ["shelf/cat", "nowhere"])
    expect(page.page.locator('[data-state="missing"]')).to_have_count(1)
    assert page.script(TEXT) == "shelf/cat 0.5\nnowhere", "reading alone changes nothing"


def test_of_a_thousand_rows_only_the_visible_ones_exist(page, shelf):
    page.script(ADD, "\n".join(f"many/row {n}x" for n in range(1000)))
    page.wait_for_nodes(1)
    assert 5 < page.page.locator(".sepme-row").count() < 40
    page.page.locator(".sepme-list").evaluate("(list) => { list.scrollTop = 1e6; }")
    expect(page.page.get_by_text("many/row 999x")).to_be_visible()
    page.page.get_by_label("All", exact=True).uncheck()
    assert not any(on for _, on in written(page))


def test_library_shows_adds_renames_and_throws_away(page, shelf, base_directory):
    page.script(ADD, "")
    page.wait_for_nodes(1)
    page.page.locator(".sepme-library-tab-button").click()
    cards = page.page.locator(".sepme-card:not([hidden])")
    page.page.locator(".sepme-library").get_by_label("Filter").fill("shelf rocket")
    expect(cards).to_have_count(1)
    cards.get_by_label("Add").click()
    page.wait_for_nodes(2)
    loader = "() => app.graph.nodes.find((node) => node.type === 'SepME_Load').widgets[0].value"
    assert page.script(loader) == FILES[2]
    cards.drag_to(page.page.get_by_label("Add a file"))
    assert written(page) == [(FILES[2], True)]
    cards.get_by_label("Rename").click()
    page.page.locator("[role=dialog] input").fill("rocket two")
    page.page.keyboard.press("Enter")
    expect(cards).to_contain_text("rocket two")
    cards.get_by_label("Delete").click()
    page.page.locator("[role=dialog]").get_by_role("button", name="Delete").click()
    expect(cards).to_have_count(0)
    folder = base_directory / "models" / "sepme"
    assert (folder / "trash").is_dir()
    assert not (folder / "shelf" / "rocket two.safetensors").exists()
    assert ours(page) == []


# A workflow as it is shared: a stack that is applied, and looked at.
SHARED = """(rows) => {
    app.graph.clear();
    const add = (type, x) => {
        const node = LiteGraph.createNode(type);
        node.pos = [x, 200];
        app.graph.add(node);
        return node;
    };
    const loader = add("CheckpointLoaderSimple", 0);
    const stack = add("SepME_LoadStack", 800);
    const apply = add("SepME_Apply", 1200);
    const text = add("CLIPTextEncode", 1600);
    const preview = add("PreviewAny", 1200);
    preview.pos[1] = 600;
    stack.widgets[0].value = JSON.stringify({version: 1, rows});
    loader.connect(0, apply, "model");
    stack.connect(0, apply, "stack");
    loader.connect(1, text, "clip");
    stack.connect(1, preview, 0);
}"""
# The general list is hundreds of captions to encode: minutes on a busy machine without GPU.
SHORT = """() => {
    const set = app.graph.nodes.find((node) => node.type === "SepME_Concepts");
    set.widgets.find((widget) => widget.name === "preserve_list").value = "none";
    return set.widgets.find((widget) => widget.name === "concepts").value;
}"""


def states(page):
    shown = page.page.locator(".sepme-row:not([hidden]) .sepme-state")
    return shown.all_inner_texts()


def test_a_shared_workflow_says_what_is_missing_and_computes_it_again(either_page, shelf):
    page = either_page
    rows = [
        {"file": shelf[0], "sha256": "0" * 64},
        {"file": "theirs/fish.safetensors", "erases": "fish -> house"},
        {"file": "theirs/guitar.safetensors"},
    ]
    page.script(SHARED, rows)
    page.wait_for_nodes(5)
    wait_for_labels(page, [row["file"] for row in rows])
    expect(page.page.locator('[data-state="missing"]')).to_have_count(2)
    again = page.page.get_by_role("button", name="Compute again")
    expect(again).to_be_visible()
    page.screenshot("shared-missing")
    entry = page.run()
    assert entry["status"]["status_str"] == "error"
    told = dict(entry["status"]["messages"])["execution_error"]["exception_message"]
    assert "row 2, 'theirs/fish.safetensors'" in told
    assert "'fish -> house'" in told
    page.page.keyboard.press("Escape")
    page.page.wait_for_timeout(500)

    again.click()
    page.wait_for_nodes(6)
    expect(again).to_be_hidden()
    assert states(page) == ["replaced", "waiting", "waiting"]
    assert page.script(SHORT) == "cat\nfish -> house\nguitar"
    assert page.run()["status"]["status_str"] == "success"
    expect(page.page.locator('[data-state="computed"]')).to_have_count(2)
    assert states(page) == ["replaced", "computed", "computed"]
    assert ours(page) == []
