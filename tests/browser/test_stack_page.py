"""A stack of files, built with keys and mouse; and the library beside it."""

import json
import shutil

import pytest
from playwright.sync_api import expect

from launch import cache
from tests.browser.graphs import (
    LABELS,
    add_stack,
    open_library,
    ours,
    reopen,
    values,
    wait_for_labels,
    written,
)

pytestmark = pytest.mark.browser


# Reports every stretch of work of one script that is long enough to be felt.
WATCH = """() => {
    window.slow = [];
    new PerformanceObserver((list) => {
        for (const frame of list.getEntries())
            for (const script of frame.scripts) slow.push([script.sourceURL, script.duration]);
    }).observe({ type: "long-animation-frame" });
}"""
BUSY = "const end = performance.now() + 300; while (performance.now() < end);"
MOST_MILLISECONDS = 200


def settings(page):
    return [(row["file"], row["on"]) for row in written(page)]


def text_of(page):
    return values(page, "SepME_LoadStack")["rows"]


@pytest.mark.tour
def test_stack_is_built_with_keys_and_mouse_and_opened_again(either_page, shelf):
    page, (cat, dog, rocket) = either_page, shelf
    add_stack(page)
    adder = page.page.get_by_label("Add a file")
    for file in shelf:
        adder.fill(file)
        adder.press("Enter")
        expect(page.page.locator(LABELS).filter(has_text=file)).to_be_visible()
    wait_for_labels(page, shelf)
    page.page.wait_for_timeout(500)
    rows = written(page)
    assert all(len(row["sha256"]) == 64 for row in rows)
    assert [row["erases"] for row in rows] == ["cat", "dog", "rocket"]

    page.page.get_by_label(f"on: {dog}").focus()
    page.page.keyboard.press("Alt+ArrowUp")
    wait_for_labels(page, [dog, cat, rocket])
    page.page.keyboard.press("Space")  # the focus goes with the row
    assert settings(page) == [(dog, False), (cat, True), (rocket, True)]
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

    page.picture("load-stack", ["SepME_LoadStack"])
    page.page.get_by_label("Filter").last.fill("DOG")
    wait_for_labels(page, [dog])
    page.page.get_by_label("Filter").last.fill("")
    page.page.get_by_label("Presets").select_option("save")
    page.page.locator("[role=dialog] input").fill("evening")
    page.page.keyboard.press("Enter")
    page.page.get_by_label("All", exact=True).check()
    assert settings(page) == [(rocket, True), (dog, True), (cat, True)]
    page.page.get_by_label("Presets").select_option("evening")
    assert settings(page) == [(rocket, True), (dog, False), (cat, True)]
    page.page.locator(".sepme-row").filter(has_text=rocket).get_by_label("Remove").click()
    wait_for_labels(page, [dog, cat])

    before = text_of(page)
    reopen(page, n_nodes=1)
    wait_for_labels(page, [dog, cat])
    assert text_of(page) == before
    assert ours(page) == []


def test_files_are_added_by_a_choice_alone_one_or_several_by_keys_or_mouse(either_page, lent):
    page = either_page
    (lent / "wild").mkdir()
    for name in ("cathedral", "wild/wolf"):
        shutil.copy(lent / "cat.safetensors", lent / f"{name}.safetensors")
    add_stack(page)
    adder = page.page.get_by_label("Add a file")
    picker = page.page.locator(".sepme-picker")
    adder.click()
    adder.press_sequentially("lent cathedral", delay=30)
    expect(picker.locator(".sepme-active")).to_contain_text("lent/cathedral")
    assert text_of(page) == "", "typing alone adds nothing"
    page.page.mouse.click(800, 850)
    expect(picker).to_have_count(0)
    assert text_of(page) == "", "nor does a click elsewhere"
    adder.press("Enter")
    adder.press("Enter")
    wait_for_labels(page, ["lent/cathedral.safetensors (cat)"])
    adder.fill("lent hedrals")
    adder.press("Enter")
    expect(picker).to_contain_text("No file in models/sepme fits “lent hedrals”")

    adder.fill("")
    picker.get_by_text("lent", exact=True).click()
    adder.press("ArrowDown")
    adder.press("ArrowRight")
    expect(picker.locator(".sepme-path")).to_have_text("← lent/wild/")
    adder.press("ArrowLeft")
    picker.get_by_text("rocket", exact=True).hover()
    picture = picker.locator("img")
    expect(picture).to_be_visible()
    page.page.wait_for_function("(img) => img.naturalWidth > 0", arg=picture.element_handle())
    picker.get_by_role("checkbox", name="on: lent/dog.safetensors").check()
    adder.press("ArrowDown")
    adder.press("ArrowDown")
    page.page.screenshot(path=cache.folder("screenshots") / f"picker-{page.script(RENDERER)}.png")
    adder.press("Shift+Enter")
    picker.get_by_text("Add 2").click()
    expect(picker).to_have_count(0)
    files = [row["file"] for row in written(page)]
    assert [file.removesuffix(".safetensors") for file in files] == [
        "lent/cathedral",
        "lent/dog",
        "lent/cat",
    ]
    assert ours(page) == []


RENDERER = "() => (document.querySelector('.lg-node') ? 'new' : 'classic')"


def test_text_that_cannot_be_read_is_shown_and_left_as_it_is(page, shelf):
    text = '{"version": 2, "rows": [{"file": "later"}]}'
    add_stack(page, text)
    expect(page.page.locator(".sepme-problem")).to_contain_text("version 2")
    page.page.get_by_label("All", exact=True).click(force=True)
    assert text_of(page) == text
    field = page.page.locator(".sepme-panel textarea")
    assert field.input_value() == text
    field.fill("shelf/cat 0.5\nnowhere")
    wait_for_labels(page, ["shelf/cat", "nowhere"])
    expect(page.page.locator('[data-state="missing"]')).to_have_count(1)
    assert text_of(page) == "shelf/cat 0.5\nnowhere", "reading alone changes nothing"


@pytest.fixture
def many(lent):
    """Five hundred files more."""
    for number in range(500):
        shutil.copy(lent / "cat.safetensors", lent / f"file {number}.safetensors")


def slow_scripts(page):
    """Our own stretches of work that were too long."""
    found = page.script("() => slow")
    return [url for url, ms in found if "/extensions/sepme/" in url and ms > MOST_MILLISECONDS]


def test_of_a_thousand_rows_and_five_hundred_files_only_the_visible_ones_cost_time(page, many):
    page.script(WATCH)
    add_stack(page, "\n".join(f"many/row {n}x" for n in range(1000)))
    rows = page.page.locator(".sepme-row")
    assert 5 < rows.count() < 40
    page.page.locator(".sepme-list").evaluate("(list) => { list.scrollTop = 1e6; }")
    expect(page.page.get_by_text("many/row 999x")).to_be_visible()
    page.page.get_by_label("All", exact=True).uncheck()
    assert not any(on for _, on in settings(page))
    page.page.get_by_label("Filter").last.press_sequentially("row 99", delay=30)
    expect(page.page.locator(LABELS)).to_have_count(11)

    tab = open_library(page)
    expect(tab.locator(".sepme-card:not([hidden])").first).to_be_visible()
    assert 5 < tab.locator(".sepme-card").count() < 40
    for _ in range(5):
        tab.locator(".sepme-list:visible").evaluate("(list) => { list.scrollTop += 8000; }")
        page.page.wait_for_timeout(50)
    tab.get_by_label("Filter").press_sequentially("file 49", delay=30)
    expect(tab.locator(".sepme-card:not([hidden])")).to_have_count(11)
    tab.get_by_label("Refresh").click()
    page.page.wait_for_timeout(500)
    assert slow_scripts(page) == []

    page.page.route(
        "**/extensions/sepme/busy.js",
        lambda route: route.fulfill(body=BUSY, content_type="text/javascript"),
    )
    page.script("() => import('/extensions/sepme/busy.js')")
    page.page.wait_for_timeout(500)
    assert len(slow_scripts(page)) == 1, "what takes too long would have been seen"
    assert ours(page) == []


@pytest.mark.tour
def test_library_shows_adds_renames_and_throws_away(page, lent, base_directory):
    add_stack(page, "lent/cat\nlent/dog 0.5 0-0.8\nlent/rocket off")
    tab = open_library(page)
    tab.get_by_label("Filter").fill("lent")
    cards = page.page.locator(".sepme-card:not([hidden])")
    expect(cards).to_have_count(3)
    page.picture("library")
    tab.get_by_label("Filter").fill("lent rocket")
    expect(cards).to_have_count(1)
    add_stack(page)
    cards.get_by_label("Add").click()
    page.wait_for_nodes(2)
    loader = "() => app.graph.nodes.find((node) => node.type === 'SepME_Load').widgets[0].value"
    assert page.script(loader) == "lent/rocket.safetensors"
    cards.drag_to(page.page.get_by_label("Add a file"))
    assert settings(page) == [("lent/rocket.safetensors", True)]
    cards.get_by_label("Rename").click()
    page.page.locator("[role=dialog] input").fill("rocket two")
    page.page.keyboard.press("Enter")
    expect(cards).to_contain_text("rocket two")
    cards.get_by_label("Delete").click()
    page.page.locator("[role=dialog]").get_by_role("button", name="Delete").click()
    expect(cards).to_have_count(0)
    trash = base_directory / "models" / "sepme" / "trash"
    assert (trash / "lent" / "rocket two.safetensors").exists()
    assert not (lent / "rocket two.safetensors").exists()
    assert ours(page) == []
    shutil.rmtree(trash)


def test_file_that_is_gone_or_another_is_told_in_its_row_and_a_folder_that_is_locked_too(
    page, lent, base_directory
):
    add_stack(page)
    adder = page.page.get_by_label("Add a file")
    for name in ("cat", "dog", "rocket"):
        adder.fill(f"lent/{name}.safetensors")
        adder.press("Enter")
        expect(page.page.locator(LABELS).filter(has_text=name)).to_be_visible()
    expect_states(page, ["waiting"] * 3)
    page.page.wait_for_timeout(500)
    before = written(page)
    assert all(len(row["sha256"]) == 64 for row in before)

    (lent / "cat.safetensors").unlink()
    shutil.copy(lent / "rocket.safetensors", lent / "dog.safetensors")
    open_library(page)
    expect_states(page, ["missing", "waiting", "waiting"])
    page.page.get_by_label("on: lent/cat").uncheck()
    page.script(REPORT)
    assert page.run()["status"]["status_str"] == "success"
    expect_states(page, ["off", "replaced", "doubled"])
    told = page.page.locator('[data-state="replaced"] .sepme-state').get_attribute("title")
    assert "another file" in told
    assert written(page) == [before[0] | {"on": False}, *before[1:]]

    (base_directory / "models" / "sepme" / "trash").write_text("in the way")
    card = page.page.locator(".sepme-card").filter(has_text="lent/rocket")
    card.get_by_label("Delete").click()
    page.page.locator("[role=dialog]").get_by_role("button", name="Delete").click()
    page.page.wait_for_timeout(500)
    assert any("could not be changed" in text for text in page.warnings())
    assert (lent / "rocket.safetensors").exists()
    (base_directory / "models" / "sepme" / "trash").unlink()

    # Whoever runs the tests may be one whom no permission stops: the page is told so instead.
    page.page.route("**/sepme/library", lock)
    page.page.locator(".sepme-library").get_by_label("Refresh").click()
    note = page.page.locator(".sepme-library .sepme-problem")
    expect(note).to_contain_text("read-only")
    expect(card.get_by_label("Delete")).to_be_disabled()
    expect(card.get_by_label("Rename")).to_be_disabled()
    expect(card.get_by_label("Add")).to_be_enabled()
    assert ours(page) == []


REPORT = """() => {
    const preview = LiteGraph.createNode("PreviewAny");
    preview.pos = [1000, 250];
    app.graph.add(preview);
    app.graph.nodes.find((node) => node.type === "SepME_LoadStack").connect(1, preview, 0);
}"""


def lock(route):
    answer = route.fetch()
    route.fulfill(response=answer, json=json.loads(answer.text()) | {"writable": False})


def expect_states(page, states):
    shown = page.page.locator(".sepme-row:not([hidden]) .sepme-state")
    expect(shown).to_have_text(states, timeout=60_000)
