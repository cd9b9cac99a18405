"""The sidebar's library: pictures, trash, cache; and rows that follow its files."""

import json
import shutil

import pytest
from PIL import Image
from playwright.sync_api import expect

from launch import cache
from tests.browser.graphs import (
    LABELS,
    STATES,
    add_stack,
    open_library,
    ours,
    wait_for_labels,
    written,
)

pytestmark = pytest.mark.browser

# A node that loads one file, and a stack within a subgraph.
USERS = """(file) => {
    const add = (type, place) => {
        const node = LiteGraph.createNode(type);
        node.pos = place;
        app.graph.add(node);
        return node;
    };
    const loader = add("SepME_Load", [900, 250]);
    loader.widgets[0].options.values.push(file);
    loader.widgets[0].value = file;
    const inner = add("SepME_LoadStack", [900, 500]);
    inner.widgets[0].value = file;
    app.graph.convertToSubgraph(new Set([inner]));
}"""
USED = """() => {
    const loader = app.graph.nodes.find((node) => node.type === "SepME_Load");
    const [inner] = app.graph.nodes.find((node) => node.subgraph).subgraph.nodes;
    return [loader.widgets[0].value, JSON.parse(inner.widgets[0].value).rows[0].file];
}"""
DROP = """(card) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 900, height: 600 });
    const brush = canvas.getContext("2d");
    brush.fillStyle = "red";
    brush.fillRect(0, 0, 900, 600);
    canvas.toBlob((blob) => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([blob], "red.png", { type: "image/png" }));
        const given = { dataTransfer, bubbles: true, cancelable: true };
        for (const type of ["dragover", "drop"]) card.dispatchEvent(new DragEvent(type, given));
    });
}"""
READY = """(file) => {
    const [node] = app.graph.nodes;
    window.comfyAPI.api.api.dispatchEvent(new CustomEvent("sepme.row", { detail: {
        node: String(node.id), row: 0, file, concept: "", state: "ready", text: "",
    } }));
}"""


def card_of(page, file):
    return page.page.locator(".sepme-card:not([hidden])").filter(has_text=file)


def rename(page, file, name):
    card_of(page, file).get_by_label("Rename").click()
    page.page.locator("[role=dialog] input").fill(name)
    page.page.keyboard.press("Enter")


def throw_away(page, file):
    card_of(page, file).get_by_label("Delete").click()
    dialog = page.page.locator("[role=dialog]")
    expect(dialog).to_contain_text(file)
    dialog.get_by_role("button", name="Delete").click()


def test_everything_that_names_a_file_follows_it(page, lent):
    add_stack(page)
    adder = page.page.get_by_label("Add a file")
    for name in ("cat", "dog"):
        adder.fill(f"lent/{name}")
        adder.press("Enter")
    page.page.wait_for_function(
        "() => JSON.parse(app.graph.nodes[0].widgets[0].value).rows.every((row) => row.sha256)"
    )
    menu = page.page.get_by_label("Presets")
    menu.select_option("save")
    page.page.locator("[role=dialog] input").fill("evening")
    page.page.keyboard.press("Enter")
    page.script(USERS, "lent/cat.safetensors")
    open_library(page)
    rename(page, "lent/cat.safetensors", "kitten")
    kitten, dog = "lent/kitten.safetensors", "lent/dog.safetensors"
    labels = page.page.locator(f"{LABELS}:visible")
    states = page.page.locator(f"{STATES}:visible")
    expect(labels).to_have_text([f"{kitten} (cat)", dog])
    assert page.script(USED) == [kitten, kitten]
    page.page.locator(".sepme-presets:visible").last.select_option("evening")
    assert [row["file"] for row in written(page)] == [kitten, dog]

    (lent / "deep").mkdir()
    (lent / "dog.safetensors").rename(lent / "deep" / "hound.safetensors")
    page.page.locator(".sepme-library").get_by_label("Refresh").click()
    expect(states).to_have_text(["waiting", "moved"])
    assert "lent/deep/hound.safetensors" in states.last.get_attribute("title")
    page.page.screenshot(path=cache.folder("screenshots") / "moved.png")
    page.page.locator(".sepme-again:visible", has_text="Use the moved files").click()
    expect(labels).to_have_text([f"{kitten} (cat)", "lent/deep/hound.safetensors (dog)"])
    expect(states).to_have_text(["waiting", "waiting"])
    assert ours(page) == []


def test_what_the_host_can_load_is_not_called_missing(page, lent, base_directory):
    linked = base_directory / "models" / "sepme" / "linked"
    linked.symlink_to(lent, target_is_directory=True)
    try:
        add_stack(page, "linked/cat\nlent/nowhere")
        expect(page.page.locator(STATES)).to_have_text(["waiting", "missing"])
        open_library(page)
        card = card_of(page, "linked/cat.safetensors")
        expect(card.get_by_label("Add")).to_be_enabled()
        expect(card.get_by_label("Rename")).to_be_disabled()
        expect(card.get_by_label("Picture")).to_be_disabled()
    finally:
        linked.unlink()
    page.page.route("**/sepme/library", lambda route: list_only(route, "lent/dog.safetensors"))
    page.page.locator(".sepme-library").get_by_label("Refresh").click()
    expect(page.page.locator(STATES)).to_have_text(["missing", "missing"])
    page.script(READY, "linked/cat.safetensors")
    expect(page.page.locator(STATES)).to_have_text(["ready", "missing"])
    assert ours(page) == []


def list_only(route, file):
    answer = json.loads(route.fetch().text())
    files = [entry for entry in answer["files"] if entry["file"] == file]
    route.fulfill(json=answer | {"files": files})


def test_pictures_are_dropped_or_chosen_and_never_stale(page, lent, tmp_path):
    add_stack(page)
    tab = open_library(page)
    tab.get_by_label("Filter").fill("lent cat")
    card = card_of(page, "lent/cat.safetensors")
    picture = card.locator("img")
    expect(picture).to_be_visible()
    first = picture.get_attribute("src")
    card.evaluate(DROP)
    expect(picture).not_to_have_attribute("src", first)
    with Image.open(lent / "cat.webp") as kept:
        assert kept.size == (512, 341)
        assert kept.convert("RGB").getpixel((9, 9)) == pytest.approx((254, 0, 0), abs=4)

    Image.new("RGB", (30, 40), "blue").save(tmp_path / "blue.png")
    second = picture.get_attribute("src")
    with page.page.expect_file_chooser() as chooser:
        card.get_by_label("Picture").click()
    chooser.value.set_files(tmp_path / "blue.png")
    expect(picture).not_to_have_attribute("src", second)
    with Image.open(lent / "cat.webp") as kept:
        assert kept.size == (30, 40)

    third = picture.get_attribute("src")
    Image.new("RGB", (9, 9), "green").save(lent / "cat.webp")
    tab.get_by_label("Refresh").click()
    expect(picture).not_to_have_attribute("src", third)
    page.page.wait_for_function(
        "(img) => img.complete && img.naturalWidth === 9", arg=picture.element_handle()
    )
    assert ours(page) == []


def test_names_are_text_and_what_is_thrown_away_comes_back(page, lent, base_directory):
    name = "<img src=x onerror='window.ran = 1'>"
    shutil.copy(lent / "cat.safetensors", lent / f"{name}.safetensors")
    file = f"lent/{name}.safetensors"
    add_stack(page, f'"{file}"')
    page.page.get_by_label("Add a file").fill("onerror")
    expect(page.page.locator(".sepme-choice:not([hidden])")).to_contain_text(name)
    page.page.keyboard.press("Escape")
    wait_for_labels(page, [f"{file} (cat)"])
    tab = open_library(page)
    tab.get_by_label("Filter").fill("onerror")
    throw_away(page, file)
    expect(page.page.locator(STATES)).to_have_text(["missing"])
    tab.get_by_label("Trash").click()
    thrown = page.page.locator(".sepme-thrown:not([hidden])")
    expect(thrown).to_have_count(1)
    expect(thrown).to_contain_text(file)
    page.page.screenshot(path=cache.folder("screenshots") / "trash.png")
    thrown.get_by_label("Restore").click()
    expect(thrown).to_have_count(0)
    expect(page.page.locator(STATES)).to_have_text(["waiting"])
    tab.get_by_label("Trash").click()
    expect(card_of(page, file)).to_have_count(1)
    assert page.script("() => window.ran") is None
    assert ours(page) == []
    shutil.rmtree(base_directory / "models" / "sepme" / "trash")


@pytest.fixture
def own_cache(base_directory):
    """Not the session's, on whose entries other tests count."""
    folder, aside = base_directory / "models" / "sepme" / "cache", base_directory / "cache_aside"
    folder.mkdir(parents=True, exist_ok=True)
    folder.rename(aside)
    folder.mkdir()
    (folder / "increment-0.safetensors").write_bytes(b"x" * 5000)
    yield
    shutil.rmtree(folder)
    aside.rename(folder)


def test_the_cache_is_measured_and_emptied_and_files_are_sorted(page, lent, own_cache):
    add_stack(page)
    tab = open_library(page)
    size = tab.locator(".sepme-cache")
    expect(size).to_contain_text("Cache: ")
    assert "Cache: 0 kB" not in size.inner_text()
    page.page.screenshot(path=cache.folder("screenshots") / "sidebar.png")
    size.get_by_role("button", name="Clear").click()
    page.page.locator("[role=dialog]").get_by_role("button", name="Delete").click()
    expect(size).to_contain_text("Cache: 0 kB of")
    expect(size.get_by_role("button", name="Clear")).to_be_disabled()

    tab.get_by_label("Filter").fill("lent")
    shutil.copy(lent / "rocket.safetensors", lent / "new.safetensors")
    tab.get_by_label("Refresh").click()
    cards = page.page.locator(".sepme-card:not([hidden])")
    expect(cards).to_have_count(4)
    tab.get_by_label("Sort").select_option("newest")
    expect(tab.locator('.sepme-card[aria-posinset="1"]')).to_contain_text("lent/new")
    assert ours(page) == []


def test_labels_tell_what_is_erased_where_the_name_does_not(page, lent):
    shutil.copy(lent / "cat.safetensors", lent / "cathedral.safetensors")
    add_stack(page, "lent/cathedral\nlent/cat")
    open_library(page)
    expect(page.page.locator(LABELS)).to_have_text(["lent/cathedral (cat)", "lent/cat"])
