"""Saved workflows become the prompts that the page itself would send."""

import pytest

from launch.errors import WorkflowError
from launch.workflow import to_prompt

OBJECT_INFO = {
    "Loader": {
        "input": {"required": {"name": [["a.safetensors", "b.safetensors"]]}},
        "input_order": {"required": ["name"]},
        "display_name": "Load it",
    },
    "Text": {
        "input": {"required": {"text": ["STRING", {"dynamicPrompts": True}], "clip": ["CLIP"]}},
        "input_order": {"required": ["text", "clip"]},
    },
    "Sampler": {
        "input": {
            "required": {
                "model": ["MODEL"],
                "seed": ["INT", {"control_after_generate": True}],
                "steps": ["INT", {"default": 20}],
                "start": ["INT", {"forceInput": True}],
            },
            "optional": {"name": ["COMBO", {"options": ["euler", "heun"]}], "mask": ["MASK", {}]},
        },
        # Deliberately not in the order of the dictionary above.
        "input_order": {
            "required": ["steps", "model", "seed", "start"],
            "optional": ["mask", "name"],
        },
    },
    "Patch": {
        "input": {"required": {"clip": ["CLIP"], "model": ["MODEL"], "strength": ["FLOAT"]}},
        "input_order": {"required": ["clip", "model", "strength"]},
    },
    "Picture": {
        "input": {
            "required": {"image": [["a.png"], {"image_upload": True}]},
            "optional": {"size": ["INT", {"default": 8}]},
        },
        "input_order": {"required": ["image"], "optional": ["size"]},
    },
    "Save": {
        "input": {"required": {"model": ["MODEL"]}},
        "input_order": {"required": ["model"]},
    },
}


def node(node_id, kind, values=(), inputs=(), outputs=("MODEL",), **more):
    """A node as the page saves it; inputs are (name, type, link)."""
    return {
        "id": node_id,
        "type": kind,
        "widgets_values": list(values) if isinstance(values, tuple) else values,
        "inputs": [{"name": n, "type": t, "link": link} for n, t, link in inputs],
        "outputs": [{"name": t, "type": t} for t in outputs],
        **more,
    }


def workflow(*nodes, links=()):
    return {"version": 0.4, "nodes": list(nodes), "links": [list(link) for link in links]}


def inputs_of(node_id, *nodes, links=()):
    return to_prompt(workflow(*nodes, links=links), OBJECT_INFO)[str(node_id)]["inputs"]


def save_behind(*between, links):
    """The inputs of node 9, a Save fed by link 5, with a loader as node 1 at the other end."""
    loader = node(1, "Loader", ("a.safetensors",))
    return inputs_of(9, loader, *between, node(9, "Save", (), [("model", "MODEL", 5)]), links=links)


def test_values_get_the_names_of_the_servers_order_and_the_seed_control_is_left_out():
    found = inputs_of(1, node(1, "Sampler", (30, 7, "randomize", "heun")))
    assert found == {"steps": 30, "seed": 7, "name": "heun"}


def test_links_name_the_node_as_text_and_the_output():
    found = save_behind(links=[(5, 1, 0, 9, 0, "MODEL")])
    assert found == {"model": ["1", 0]}


def test_title_is_the_users_then_the_servers_then_the_type():
    titles = [
        to_prompt(workflow(node(1, kind, values, **more)), OBJECT_INFO)["1"]["_meta"]["title"]
        for kind, values, more in (
            ("Loader", ("a",), {"title": "Mine"}),
            ("Loader", ("a",), {}),
            ("Text", ("a",), {}),
        )
    ]
    assert titles == ["Mine", "Load it", "Text"]


def test_a_widget_turned_into_an_input_gives_way_to_its_link():
    found = inputs_of(
        2,
        node(1, "Sampler", (30, 7, "fixed", "heun"), outputs=("INT",)),
        node(2, "Sampler", (20, 8, "fixed", "euler"), [("seed", "INT", 4)]),
        links=[(4, 1, 0, 2, 1, "INT")],
    )
    assert found == {"steps": 20, "seed": ["1", 0], "name": "euler"}


def test_a_primitive_gives_its_value():
    found = inputs_of(
        2,
        node(1, "PrimitiveNode", (99, "fixed"), outputs=("INT",)),
        node(2, "Sampler", (20, 8, "fixed", "euler"), [("seed", "INT", 4)]),
        links=[(4, 1, 0, 2, 1, "INT")],
    )
    assert found["seed"] == 99


def test_reroutes_are_followed_and_not_sent():
    between = [node(i, "Reroute", None, [("", "*", link)]) for i, link in ((2, 3), (3, 4))]
    links = [(3, 1, 0, 2, 0, "*"), (4, 2, 0, 3, 0, "*"), (5, 3, 0, 9, 0, "MODEL")]
    assert save_behind(*between, links=links) == {"model": ["1", 0]}


def test_notes_are_not_sent():
    notes = [node(1, "Note", ("hello",)), node(2, "MarkdownNote", ("# hello",))]
    assert to_prompt(workflow(*notes), OBJECT_INFO) == {}


def test_a_muted_node_and_the_links_from_it_are_left_out():
    prompt = to_prompt(
        workflow(
            node(1, "Loader", ("a.safetensors",), mode=2),
            node(2, "Save", (), [("model", "MODEL", 3)]),
            links=[(3, 1, 0, 2, 0, "MODEL")],
        ),
        OBJECT_INFO,
    )
    assert set(prompt) == {"2"}
    assert prompt["2"]["inputs"] == {}


def test_a_bypassed_node_passes_on_the_input_of_the_same_type():
    patch = node(2, "Patch", (0.5,), [("clip", "CLIP", None), ("model", "MODEL", 3)], mode=4)
    links = [(3, 1, 0, 2, 1, "MODEL"), (5, 2, 0, 9, 0, "MODEL")]
    assert save_behind(patch, links=links) == {"model": ["1", 0]}
    assert save_behind({**patch, "mode": 0}, links=links) == {"model": ["2", 0]}


def test_a_bypassed_node_passes_on_the_input_at_the_same_place_first():
    two = node(
        2,
        "Patch",
        (0.5,),
        [("one", "MODEL", 3), ("two", "MODEL", 4)],
        outputs=("MODEL", "MODEL"),
        mode=4,
    )
    other = node(8, "Loader", ("b.safetensors",))
    links = [(3, 1, 0, 2, 0, "MODEL"), (4, 8, 0, 2, 1, "MODEL"), (5, 2, 1, 9, 0, "MODEL")]
    assert save_behind(two, other, links=links) == {"model": ["8", 0]}


def test_a_bypassed_node_without_a_fitting_input_leaves_the_input_open():
    loader = node(2, "Loader", ("a.safetensors",), mode=4)
    assert save_behind(loader, links=[(5, 2, 0, 9, 0, "MODEL")]) == {}


def test_an_upload_button_takes_the_place_after_the_required_inputs():
    assert inputs_of(1, node(1, "Picture", ("a.png", "image", 64))) == {
        "image": "a.png",
        "size": 64,
    }


def test_a_widget_newer_than_the_workflow_gets_its_default():
    found = inputs_of(1, node(1, "Sampler", (30, 7, "fixed")))
    assert found == {"steps": 30, "seed": 7, "name": "euler"}


def test_lists_are_wrapped_so_that_they_are_not_taken_for_links():
    assert inputs_of(1, node(1, "Loader", (["1", 0],))) == {"name": {"__value__": ["1", 0]}}


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("a cat, (dog:1.3)", "a cat, (dog:1.3)"),
        ("a {red|blue} cat // later a dog\n/* no */end", "a red cat \nend"),
        ("a {big {red|blue}|small} cat", "a big red cat"),
        (r"a \{red\|blue\} cat", "a {red|blue} cat"),
    ],
)
def test_prompts_lose_comments_and_take_the_first_choice(written, sent):
    assert inputs_of(1, node(1, "Text", (written,)))["text"] == sent


def test_an_unknown_node_type_is_named():
    with pytest.raises(WorkflowError, match=r"Node 4 \(Strange\).*no node of this type"):
        to_prompt(workflow(node(4, "Strange")), OBJECT_INFO)


def test_too_few_values_name_the_widget():
    with pytest.raises(WorkflowError, match=r"Node 4 \(Patch\): too few.*'strength'"):
        to_prompt(workflow(node(4, "Patch")), OBJECT_INFO)


def test_a_link_from_a_missing_node_is_an_error():
    with pytest.raises(WorkflowError, match="Link 5 comes from a node"):
        save_behind(links=[(5, 77, 0, 9, 0, "MODEL")])


def test_reroutes_in_a_ring_are_an_error():
    ring = node(2, "Reroute", None, [("", "*", 3)])
    with pytest.raises(WorkflowError, match="back to itself"):
        save_behind(ring, links=[(3, 2, 0, 2, 0, "*"), (5, 2, 0, 9, 0, "MODEL")])


def test_an_exported_prompt_is_not_taken_for_a_workflow():
    with pytest.raises(WorkflowError, match="not a saved workflow"):
        to_prompt({"1": {"class_type": "Loader", "inputs": {}}}, OBJECT_INFO)
