"""What the page does beyond the example workflows: odd graphs, errors, help."""

import itertools
import json

import pytest

from launch.cache import REPOSITORY
from launch.workflow import to_prompt
from tests.browser.graphs import check_seed

pytestmark = pytest.mark.browser

EXAMPLES = REPOSITORY / "example_workflows"
BOTH = """async () => JSON.parse(JSON.stringify(await app.graphToPrompt()))"""

# Reroutes in a row, a value from a primitive, a muted sampler, a bypassed model patch, a comment
# in a prompt, and an upload button: everything the page does not simply copy.
ODD_GRAPH = """() => {
    app.graph.clear();
    const add = (type, place) => {
        const node = LiteGraph.createNode(type);
        node.pos = [320 * (place % 5), 360 * Math.floor(place / 5)];
        app.graph.add(node);
        return node;
    };
    const link = (from, output, to, input) => {
        const slot = typeof input === "number" ? input : to.findInputSlot(input);
        if (!from.connect(output, to, slot)) throw new Error(`${from.type} to ${to.type}`);
    };
    const [loader, first, second, patch, text, empty, kept, muted, decode, save, number, image] = [
        "CheckpointLoaderSimple", "Reroute", "Reroute", "ModelSamplingDiscrete", "CLIPTextEncode",
        "EmptyLatentImage", "KSampler", "KSampler", "VAEDecode", "SaveImage", "PrimitiveNode",
        "LoadImage",
    ].map(add);
    link(loader, 0, first, 0);
    link(first, 0, second, 0);
    link(second, 0, patch, "model");
    link(loader, 1, text, "clip");
    text.widgets[0].value = "a cat // not this\\n/* nor this */ and a rocket";
    for (const sampler of [kept, muted]) {
        link(patch, 0, sampler, "model");
        link(text, 0, sampler, "positive");
        link(text, 0, sampler, "negative");
        link(empty, 0, sampler, "latent_image");
    }
    link(kept, 0, decode, "samples");
    link(loader, 2, decode, "vae");
    link(decode, 0, save, "images");
    link(number, 0, kept, "seed");
    number.widgets[0].value = 77;
    muted.mode = 2;
    patch.mode = 4;
}"""


def test_converter_follows_the_page_through_reroutes_primitives_muted_and_bypassed(
    page, object_info
):
    page.script(ODD_GRAPH)
    page.page.wait_for_timeout(500)
    sent = page.script(BOTH)
    sampler = next(node for node in sent["output"].values() if node["class_type"] == "KSampler")
    assert sampler["inputs"]["seed"] == 77, "the graph is not what it was meant to be"
    assert to_prompt(sent["workflow"], object_info) == sent["output"]


def set_widget(page, node_type, widget, value):
    """Gives a widget of the first node of that type another value."""
    page.script(
        """([type, name, value]) => {
            const node = app.graph.nodes.find((node) => node.type === type);
            node.widgets.find((widget) => widget.name === name).value = value;
        }""",
        [node_type, widget, value],
    )


def open_example(page, name):
    file = EXAMPLES / f"{name}.json"
    page.open_workflow(file, len(json.loads(file.read_text(encoding="utf-8"))["nodes"]))


def test_template_without_a_place_for_the_name_is_told_in_the_page_and_the_server_lives_on(
    page, server
):
    open_example(page, "1_erase_a_style")
    set_widget(page, "SepME_Concepts", "templates", "a photo of a cat")
    entry = page.run()
    assert entry["status"]["status_str"] == "error"
    page.page.wait_for_timeout(1000)
    told = " ".join(page.warnings())
    assert "a photo of a cat" in told
    assert "{}" in told
    assert server.get("/system_stats")
    text = {"class_type": "PrimitiveString", "inputs": {"value": "still here"}}
    shown = {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}
    assert server.run({"1": text, "2": shown})["status"]["status_str"] == "success"


def test_increment_file_that_is_not_there_is_named_in_the_page(page, server):
    open_example(page, "6_open_a_shared_workflow")
    set_widget(page, "SepME_LoadStack", "rows", "nowhere")
    assert page.run()["status"]["status_str"] == "error"
    notice = page.page.get_by_text("nowhere.safetensors").filter(visible=True)
    notice.first.wait_for(timeout=60_000)
    assert server.get("/system_stats")


def test_the_seed_of_a_new_compute_stays_as_it_is(either_page):
    check_seed(either_page)


def test_every_node_has_a_help_page_that_the_page_finds(page, server, object_info):
    ours = [name for name in object_info if name.startswith("SepME_")]
    assert ours
    languages = ("en", "zh")  # the page asks for its own
    for name, language in itertools.product(ours, languages):
        answer = page.page.request.get(f"{server.url}/extensions/sepme/docs/{name}/{language}.md")
        assert answer.ok, f"no help for {name}, {language}"
        assert answer.text().startswith("# ")
