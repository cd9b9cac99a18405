"""What the host, its pages and saved workflows rely on."""

import asyncio

import pytest
from comfy_api.latest import io
from sepme_pack import comfy_entrypoint
from sepme_pack.nodes.common import schema

from launch.cache import REPOSITORY

# Saved workflows store widget values by position: append only, never reorder, never remove.
WIDGETS = {
    "SepME_Concepts": [
        "concepts",
        "templates",
        "protected_concepts",
        "protected_prompts",
        "preserve",
        "preserve_list",
    ],
    "SepME_Compute": [
        "method",
        "erase",
        "protection",
        "energy",
        "tolerance",
        "dead_zone",
        "max_steps",
        "learning_rate",
        "n_latents",
        "resolution",
        "seed",
    ],
    "SepME_Neighbours": ["concepts", "count"],
    "SepME_Apply": ["mode", "strength", "start_percent", "end_percent", "prompts", "off"],
    "SepME_Remove": ["names"],
    "SepME_Stack": [],
    "SepME_Load": ["increment", "enabled", "strength"],
    "SepME_Save": ["folder", "overwrite"],
    "SepME_Separate": [],
    "SepME_Certificate": ["held_out"],
    "SepME_ExportLoRA": ["filename", "folder", "overwrite"],
    "SepME_LoadStack": ["rows"],
    "SepME_Compare": [
        "prompts",
        "negative",
        "n_per_prompt",
        "seed",
        "steps",
        "cfg",
        "sampler",
        "scheduler",
        "width",
        "height",
        "difference",
    ],
    "SepME_Size": ["batch_size", "width", "height"],
    "SepME_Eraser": [
        "concepts",
        "rows",
        "protected_concepts",
        "preserve",
        "preserve_list",
        "method",
        "mode",
        "prompts_to_check",
        "resolution",
        "prompts",
        "templates",
        "save_to",
    ],
}
# Links are stored by position as well.
SOCKETS = {
    "SepME_Concepts": ([], ["concepts"]),
    "SepME_Compute": (
        ["model", "clip", "concepts", "latent", "known"],
        ["stack", "report", "plot"],
    ),
    "SepME_Neighbours": (["clip"], ["names"]),
    "SepME_Apply": (["model", "stack"], ["model"]),
    "SepME_Remove": (["model"], ["model"]),
    "SepME_Stack": (["stack_1", "stack_2", "stack_3", "stack_4"], ["stack"]),
    "SepME_Load": (["stack"], ["stack"]),
    "SepME_Save": (["stack"], ["paths"]),
    "SepME_Separate": (["stack", "model", "clip"], ["stack", "report"]),
    "SepME_Certificate": (["stack", "model", "clip"], ["report", "plot"]),
    "SepME_ExportLoRA": (["stack", "model", "clip"], ["path", "report"]),
    "SepME_Compare": (["before", "after", "clip", "vae"], ["grid", "pictures", "report"]),
    "SepME_Size": (["model"], ["latent", "width", "height"]),
    "SepME_LoadStack": (["stack", "model", "clip", "concepts"], ["stack", "report"]),
    "SepME_Eraser": (["model", "clip"], ["model", "stack", "report"]),
}
# The menu: what an artist does with a node, and what it is called on screen as in the help.
MENU = {
    "erase": {
        "SepME_Eraser": "SepME Eraser",
        "SepME_Concepts": "SepME Concepts",
        "SepME_Neighbours": "SepME Neighbours",
        "SepME_Compute": "SepME Compute",
        "SepME_Apply": "SepME Apply",
        "SepME_Remove": "SepME Restore",
        "SepME_Separate": "SepME Separate",
    },
    "files": {
        "SepME_Load": "SepME Load",
        "SepME_LoadStack": "SepME Load Stack",
        "SepME_Save": "SepME Save",
        "SepME_Stack": "SepME Stack",
        "SepME_ExportLoRA": "SepME Export LoRA",
    },
    "check": {
        "SepME_Certificate": "SepME Certificate",
        "SepME_Compare": "SepME Compare",
        "SepME_Size": "SepME Size",
    },
}
# What is seen at a glance; pages that can fold the other widgets.
SEEN = {
    "SepME_Eraser": ["concepts", "rows", "protected_concepts"],
    "SepME_Concepts": ["concepts", "protected_concepts"],
    "SepME_Compute": ["method", "erase"],
    "SepME_Apply": ["mode", "strength", "off"],
}


@pytest.fixture(scope="module")
def nodes():
    """Node class by id, as the host registers them."""

    async def found():
        return await (await comfy_entrypoint()).get_node_list()

    return {node.GET_SCHEMA().node_id: node for node in asyncio.run(found())}


def schemas(nodes):
    return {node_id: node.define_schema() for node_id, node in nodes.items()}


def is_widget(given):
    return isinstance(given, io.WidgetInput)


def test_the_entrypoint_offers_exactly_the_promised_nodes(nodes):
    assert nodes.keys() == WIDGETS.keys()
    assert all(node_id.startswith("SepME_") for node_id in nodes)
    for node_id, node in nodes.items():
        assert node.GET_NODE_INFO_V1()["name"] == node_id  # what the page asks for


@pytest.mark.parametrize("node_id", WIDGETS)
def test_the_order_of_widgets_is_a_promise(nodes, node_id):
    inputs = schemas(nodes)[node_id].inputs
    names = [given.id for given in inputs if is_widget(given)]
    promised = WIDGETS[node_id]
    assert names[: len(promised)] == promised, "saved workflows would read other values"
    assert names == promised, "append the new widget to the list above"


@pytest.mark.parametrize("node_id", SOCKETS)
def test_the_order_of_sockets_is_a_promise(nodes, node_id):
    found = schemas(nodes)[node_id]
    inputs, outputs = SOCKETS[node_id]
    assert [given.id for given in found.inputs if not is_widget(given)] == inputs
    assert [given.display_name for given in found.outputs] == outputs


@pytest.mark.parametrize("node_id", WIDGETS)
def test_everything_explains_itself(nodes, node_id):
    found = schemas(nodes)[node_id]
    assert found.display_name.startswith("SepME ")
    assert found.description
    for given in (*found.inputs, *found.outputs):
        assert given.tooltip, f"{node_id}.{given.id} has no tooltip"
        assert given.tooltip.endswith((".", ")"))


@pytest.mark.parametrize("node_id", WIDGETS)
def test_every_widget_has_a_default_in_its_range(nodes, node_id):
    for given in filter(is_widget, schemas(nodes)[node_id].inputs):
        if isinstance(given, io.Combo.Input):
            assert given.default in (None, *given.options)
        elif isinstance(given, (io.Int.Input, io.Float.Input)):
            assert given.min <= given.default <= given.max, given.id
        else:
            assert given.default is not None, given.id


def test_fields_that_this_host_does_not_know_are_dropped():
    inputs = [io.Int.Input("n", tooltip="A number.")]
    given = {"node_id": "SepME_Test", "display_name": "x", "inputs": inputs}
    made = schema(folder="check", of_a_later_host=["x"], **given)
    assert (made.node_id, made.inputs, made.category) == ("SepME_Test", inputs, "SepME/check")
    with pytest.raises(TypeError, match="of_a_later_host"):
        io.Schema(node_id="SepME_Test", of_a_later_host=["x"])


def test_the_menu_has_three_folders_and_the_names_that_the_help_uses(nodes):
    found = {node_id: (s.category, s.display_name) for node_id, s in schemas(nodes).items()}
    assert found == {
        node_id: (f"SepME/{folder}", name)
        for folder, named in MENU.items()
        for node_id, name in named.items()
    }
    for node_id, (_, name) in found.items():
        help_page = REPOSITORY / "web" / "docs" / node_id / "en.md"
        assert help_page.read_text(encoding="utf-8").splitlines()[0] == f"# {name}"


@pytest.mark.parametrize("node_id", SEEN)
def test_what_is_rarely_needed_is_marked_for_every_page_to_fold(nodes, node_id):
    told = nodes[node_id].GET_NODE_INFO_V1()["input"]  # what the page is sent
    specs = told["required"] | told.get("optional", {})
    unfolded = [w for w in WIDGETS[node_id] if not specs[w][1].get("advanced")]
    assert unfolded == SEEN[node_id]


def test_a_widget_that_is_not_there_cannot_be_folded():
    inputs = [io.Int.Input("n", tooltip="A number.")]
    with pytest.raises(ValueError, match=r"SepME_Test has no inputs \['m'\]"):
        schema(node_id="SepME_Test", folder="check", inputs=inputs, advanced=["n", "m"])
