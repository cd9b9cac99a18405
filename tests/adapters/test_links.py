"""Any input may be a link: what comes through it is not known before the graph runs."""

import asyncio
import inspect

import execution
import pytest
from comfy_api.latest import io
from sepme_pack import comfy_entrypoint
from sepme_pack.nodes.stacks import Save
from sepme_pack.sepme_core.errors import ConceptError
from sepme_pack.sepme_core.increment import Stack

import nodes as host_nodes
from tests.adapters.models import small_increment

OURS = asyncio.run(asyncio.run(comfy_entrypoint()).get_node_list())


class Chooser(io.ComfyNode):
    """Somebody's node that gives a file's name."""

    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="Chooser", outputs=[io.Custom("COMBO").Output()])

    @classmethod
    def execute(cls):
        return io.NodeOutput("cat.safetensors")


def asked(node, question):
    """A node's answer when everything is linked, as the host asks."""
    own = getattr(node, question)
    names = inspect.signature(own).parameters
    ids = [i.id for i in node.define_schema().inputs]
    return own(**{i: None for i in ids if i in names or "_" in names})


@pytest.mark.parametrize("node", OURS, ids=lambda node: node.__name__)
def test_no_node_refuses_what_it_does_not_know_yet(node, increments_folder):
    if "validate_inputs" in vars(node):
        assert asked(node, "validate_inputs") is True
    if "fingerprint_inputs" in vars(node):
        stamp = asked(node, "fingerprint_inputs")
        assert isinstance(stamp, str)
        assert asked(node, "fingerprint_inputs") == stamp


def test_a_linked_file_name_is_loaded(increments_folder, monkeypatch):
    load = next(node for node in OURS if node.GET_SCHEMA().node_id == "SepME_Load")
    for name, node in (("Load", load), ("Chooser", Chooser)):
        node.GET_SCHEMA()
        monkeypatch.setitem(host_nodes.NODE_CLASS_MAPPINGS, name, node)
    monkeypatch.setattr(load, "OUTPUT_NODE", True, raising=False)

    def refusals(increment):
        given = {"increment": increment, "enabled": True, "strength": 1.0}
        graph = {
            "1": {"class_type": "Load", "inputs": given},
            "2": {"class_type": "Chooser", "inputs": {}},
        }
        valid, _, _, errors = asyncio.run(execution.validate_prompt("id", graph, None))
        return [] if valid else [r["details"] for e in errors.values() for r in e["errors"]]

    assert "is not in models/sepme" in refusals("cat.safetensors")[0]
    assert refusals(["2", 0]) == []
    stamp = load.fingerprint_inputs(None)
    Save.execute(Stack.of([small_increment()]), "", False)
    assert refusals("cat.safetensors") == []
    assert load.fingerprint_inputs(None) != stamp


@pytest.mark.parametrize(
    ("mode", "prompts"), [("Merged", "both"), ("exact", "negative"), (None, "both")]
)
def test_a_linked_choice_that_is_none_is_refused_and_never_taken_for_another(
    model, clip, mode, prompts
):
    apply, eraser = (
        next(node for node in OURS if node.GET_SCHEMA().node_id == f"SepME_{name}")
        for name in ("Apply", "Eraser")
    )
    wrong = f"{mode!r}" if mode != "exact" else f"{prompts!r}"
    with pytest.raises(ConceptError, match=f"is {wrong}, expected '"):
        apply.execute(model, Stack(), mode, 1.0, 0.0, 1.0, prompts, "")
    with pytest.raises(ConceptError, match=f"is {wrong}, expected '"):
        eraser.execute(model, clip, "cat", mode=mode, prompts=prompts)
    assert apply.execute(model, Stack(), "merged", 1.0, 0.0, 1.0, "both", "").result
