"""What is to be read can be read: rows in light and dark, and the pictures that nodes make."""

import pytest

from tests.browser.graphs import add_eraser, open_library, ours, wait_for_rows

pytestmark = pytest.mark.browser

STATES = ["ready", "computing", "leaking", "refused", "doubled", "off"]
# Rows are told of the texts that the server was last asked about, as they stand in the node.
TELL = """async (states) => {
    const eraser = app.graph.nodes.find((node) => node.type === "SepME_Eraser");
    const { panels } = await import("/extensions/sepme/sepme.js");
    const { texts } = panels.of(eraser).told.answered;
    states.forEach((state, row) => window.comfyAPI.api.api.dispatchEvent(
        new CustomEvent("sepme.row", { detail: {
            node: String(eraser.id), row, concept: `concept ${row}`, state, text: "",
            step: 9, max_steps: 10, texts,
        } })));
}"""
# The contrast of every text with what lies behind it, as WCAG computes it; a state's bar counts as
# its background. Colours of any notation are painted, and read as pixels.
CONTRASTS = """() => {
    const brush = Object.assign(document.createElement("canvas"), { width: 1, height: 1 })
        .getContext("2d", { willReadFrequently: true });
    const paint = (colour, alpha = 1) => {
        brush.globalAlpha = alpha;
        brush.fillStyle = colour;
        brush.fillRect(0, 0, 1, 1);
    };
    const luminance = () => [...brush.getImageData(0, 0, 1, 1).data].slice(0, 3)
        .map((part) => part / 255)
        .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
    const chain = (element) => element ? [...chain(element.parentElement), element] : [];
    const texts = [...document.querySelectorAll(
        ".sepme-panel :is(span, strong, small, p, button, input, select)")]
        .filter((element) => element.checkVisibility() && element.type !== "checkbox");
    return texts.map((element) => {
        const styles = chain(element).map((each) => getComputedStyle(each));
        paint("white");
        styles.forEach((style) => paint(style.backgroundColor));
        const tone = styles.at(-1).getPropertyValue("--tone");
        if (tone) paint(tone, 0.5);
        const behind = luminance();
        paint(styles.at(-1).color, styles.reduce((all, style) => all * Number(style.opacity), 1));
        const [low, high] = [behind, luminance()].sort((a, b) => a - b);
        const name = element.className || element.getAttribute("aria-label") || element.tagName;
        return [`${name} ${element.textContent}`, (high + 0.05) / (low + 0.05)];
    });
}"""
LEGIBLE = 4.5  # WCAG 2, AA, for text of this size
PICTURES = """() => {
    const add = (type, place, values = {}) => {
        const node = LiteGraph.createNode(type);
        node.pos = place;
        app.graph.add(node);
        for (const [name, value] of Object.entries(values))
            node.widgets.find((widget) => widget.name === name).value = value;
        return node;
    };
    const find = (type) => app.graph.nodes.find((node) => node.type === type);
    const [loader, eraser] = ["CheckpointLoaderSimple", "SepME_Eraser"].map(find);
    const compare = add("SepME_Compare", [1200, 0], {
        prompts: "a photo of a cat\\na photo of a rocket", seed: 1, cfg: 4, width: 64, height: 64,
        control_after_generate: "fixed",
    });
    const certificate = add("SepME_Certificate", [1200, 700]);
    loader.connect(0, compare, "before");
    eraser.connect(0, compare, "after");
    loader.connect(1, compare, "clip");
    loader.connect(2, compare, "vae");
    eraser.connect(1, certificate, "stack");
    loader.connect(0, certificate, "model");
    loader.connect(1, certificate, "clip");
    [compare, certificate].forEach((node, at) => {
        const preview = add("PreviewImage", [1700, at * 900]);
        preview.setSize([660, [620, 930][at]]);
        preview.title = node.title;
        node.connect(at, preview, 0);
    });
}"""
SHOWN = """() => app.graph.nodes.filter((node) => node.type === "PreviewImage")
    .map((node) => (node.imgs ?? []).map((picture) => picture.naturalWidth))"""


def illegible(page, palette):
    page.script("(name) => app.extensionManager.setting.set('Comfy.ColorPalette', name)", palette)
    page.page.wait_for_timeout(700)
    found = page.script(CONTRASTS)
    assert len(found) > 30
    return [(name, round(ratio, 1)) for name, ratio in found if ratio < LEGIBLE]


def test_rows_and_library_are_legible_in_light_and_dark(page, shelf):
    add_eraser(page, "\n".join(f"concept {number}" for number in range(len(STATES))))
    open_library(page)
    page.page.get_by_label("on: concept 5").uncheck()
    page.page.wait_for_timeout(1000)
    page.script(TELL, STATES)
    wait_for_rows(page, [(f"concept {n}", state) for n, state in enumerate(STATES)])
    try:
        dim = "(e) => { e.style.color = 'gray'; }"
        assert illegible(page, "light") == []
        page.screenshot("light")
        assert illegible(page, "dark") == []
        page.page.locator(".sepme-label").first.evaluate(dim)
        assert len(illegible(page, "dark")) == 1, "what cannot be read would have been found"
    finally:
        page.server.post("/settings", {"Comfy.ColorPalette": "dark"})
    assert ours(page) == []


@pytest.mark.tour
def test_compared_pictures_and_the_certificate_are_shown_large_enough_to_be_read(page):
    add_eraser(page, "cat\ndog")
    page.script(PICTURES)
    page.wait_for_nodes(7)
    assert page.run()["status"]["status_str"] == "success"
    for at, name in enumerate(("compare", "certificate")):
        page.picture(name, ["PreviewImage"], at)
    shown = page.script(SHOWN)
    assert [len(widths) for widths in shown] == [1, 1]
    assert all(width >= 512 for widths in shown for width in widths)
    assert page.warnings() == []
    assert ours(page) == []
