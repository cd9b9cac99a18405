"""Nodes that write or mix a model's weights behind ours: told where the artist looks."""

import comfy.model_management
import comfy_extras.nodes_model_merging as merging
import pytest
import torch
from comfy_api.latest import io
from comfy_execution.utils import CurrentNodeContext
from sepme_pack.nodes import host
from sepme_pack.nodes.apply import Apply, Remove
from sepme_pack.nodes.eraser import Eraser
from server import PromptServer

import nodes as host_nodes
from tests.adapters import models
from tests.adapters.test_certificate import APPLY


class Reroute:
    """Passes on whatever it gets."""

    RETURN_TYPES = ("*",)


class Sampler:
    """An output node that gives the model on: it draws, and writes no weights."""

    RETURN_TYPES = ("MODEL", "LATENT")
    OUTPUT_NODE = True


class Switch:
    """Takes two models, and mixes nothing."""

    RETURN_TYPES = ("MODEL",)
    CATEGORY = "utils"

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": {"model1": ("MODEL",), "model2": ("MODEL",)}}


class Export:
    """Another pack's writer."""

    RETURN_TYPES = ()
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": {"model1": ("MODEL",)}}


class Preview(Export):
    """Shows whatever it gets, as the host's own does."""

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": {"model1": ("*", {})}}


CLASSES = {c.__name__: c for c in (Reroute, Sampler, Switch, Export, Preview)} | {
    "SepME_Apply": Apply,
    "SepME_Eraser": Eraser,
    "SepME_Remove": Remove,
    **merging.NODE_CLASS_MAPPINGS,
}


class Queue:
    """The host's, while it runs one prompt."""

    def __init__(self, prompt):
        self.prompt = prompt

    def get_current_queue_volatile(self):
        return [(0, "another", {}, {}, []), (1, "prompt", self.prompt, {}, [])], []


@pytest.fixture(autouse=True)
def graph(monkeypatch):
    """Runs node 1, with others behind it."""
    for name, kind in CLASSES.items():
        monkeypatch.setitem(host_nodes.NODE_CLASS_MAPPINGS, name, kind)
    monkeypatch.setitem(host_nodes.NODE_DISPLAY_NAME_MAPPINGS, "CheckpointSave", "Save Checkpoint")
    server = PromptServer.instance
    server.told.clear()

    def behind(**added):
        made = {
            key: {"class_type": kind, "inputs": {f"model{n}": at for n, at in enumerate(links, 1)}}
            for key, (kind, *links) in added.items()
        }
        one = {"class_type": "SepME_Apply", "inputs": {"mode": "exact"}}
        monkeypatch.setattr(server, "prompt_queue", Queue({"1": one, **made}), raising=False)

    behind()
    return behind


@torch.inference_mode()
def state(node, *args, node_id="1", **given):
    with CurrentNodeContext("prompt", node_id):
        shown = node.execute(*args, **given).ui
    return shown["sepme_state"][0]["headline"], shown["sepme_report"][0]


def key():
    with CurrentNodeContext("prompt", "1"):
        return Eraser.fingerprint_inputs(preserve_list="none")


def writers():
    with CurrentNodeContext("prompt", "1"):
        return [(w.node_id, w.mixes) for w in host.weight_writers()]


def test_a_node_that_saves_the_weights_of_an_exact_erasure_is_a_warning(graph, model, clip):
    stack = models.stack(model, clip, "cat")
    graph(save=("CheckpointSave", ["1", 0]))
    headline, report = state(Apply, model, stack, **APPLY)
    assert headline == "Save Checkpoint saves a model that still draws 'cat'"
    assert "Save Checkpoint (node save)" in report
    assert "'cat'" in report
    assert "merged mode" in report
    assert PromptServer.instance.told, "also where the page has no part of ours"
    assert state(Apply, model, stack, **APPLY | {"mode": "merged"})[0] == "1 concept erased, merged"
    graph()
    assert state(Apply, model, stack, **APPLY)[0] == "1 concept erased, exact"


def test_merged_behind_an_exact_one_does_not_save_what_is_exact(graph, model, clip):
    stack = models.stack(model, clip)
    exact = host.apply_exact(model, stack.without(["rose"]), host.Window())
    graph(save=("ModelSave", ["1", 0]))
    _, report = state(Apply, exact, stack.without(["cat"]), **APPLY | {"mode": "merged"})
    assert "still draws 'cat'." in report


@pytest.mark.parametrize("mode", ["exact", "merged"])
def test_a_node_that_mixes_the_weights_is_a_warning_in_both_modes(mode, graph, model, clip):
    graph(mix=("ModelMergeSimple", ["loader", 0], ["1", 0]))
    headline, report = state(
        Apply, model, models.stack(model, clip, "cat"), **APPLY | {"mode": mode}
    )
    assert headline == "ModelMergeSimple brings 'cat' back"
    assert "Apply the stack behind it" in report


def test_the_eraser_warns_as_well(graph, model, clip, increments_folder):
    graph(save=("CheckpointSave", ["1", 0]))
    given = {"preserve_list": "none", "resolution": 64}
    _, report = state(Eraser, model, clip, "cat", **given)
    assert "saves still draws 'cat'" in report
    assert report.startswith("1 concept:")


def test_weights_are_followed_through_whatever_passes_the_model_on(graph):
    graph(
        reroute=("Reroute", ["1", 0]),
        switch=("Switch", ["loader", 0], ["reroute", 0]),
        sampler=("Sampler", ["switch", 0]),
        mix=("ModelMergeBlocks", ["sampler", 0], ["loader", 0]),
        save=("ModelSave", ["mix", 0]),
        export=("Export", ["sampler", 0]),
    )
    assert writers() == [("mix", True), ("export", False), ("save", False)]


def test_what_only_draws_or_hangs_on_another_output_or_model_is_no_writer(graph):
    graph(
        sampler=("Sampler", ["1", 0]),
        latent=("Export", ["sampler", 1]),
        stack=("Export", ["1", 1]),
        other=("CheckpointSave", ["loader", 0]),
        unknown=("NotInstalled", ["1", 0]),
        loop=("Reroute", ["loop", 0], ["1", 0]),
        ours=("SepME_Apply", ["1", 0]),
        preview=("Preview", ["1", 0]),
    )
    assert writers() == []
    assert host.weight_writers() == []  # outside of a run


@pytest.mark.parametrize("ours", ["SepME_Apply", "SepME_Eraser", "SepME_Remove"])
def test_behind_a_node_of_ours_that_one_tells_what_is_saved(graph, ours):
    """An exact erasure may be made a merged one there, or given back."""
    graph(ours=(ours, ["1", 0]), save=("CheckpointSave", ["ours", 0]))
    assert writers() == []


def test_restore_tells_what_is_saved_of_what_it_leaves(graph, model, clip):
    erasing = host.apply_exact(model, models.stack(model, clip), host.Window())
    graph(save=("CheckpointSave", ["1", 0]))
    assert (
        state(Remove, erasing, "rose")[0] == "Save Checkpoint saves a model that still draws 'cat'"
    )
    assert state(Remove, erasing, "cat, rose")[0] == "cat, rose given back"


def test_a_writer_that_comes_makes_nothing_run_again(graph):
    alone = key()
    graph(save=("CheckpointSave", ["1", 0]))
    assert key() == alone
    assert Apply.fingerprint_inputs.__func__ is io.ComfyNode.fingerprint_inputs.__func__


def test_writing_is_noticed_on_the_node_that_writes_whatever_the_graph_says(model, clip):
    stack = models.stack(model, clip, "cat")
    told = PromptServer.instance.told
    erasing = host.apply_exact(model, stack, host.Window()).clone()
    models.draw(erasing, clip, "cat")
    assert told == []
    for _ in range(2):  # loaded already, the second time
        with CurrentNodeContext("prompt", "12"):
            comfy.model_management.load_models_gpu([erasing], force_patch_weights=True)
        ((node, text),) = told
        assert node == "12"
        assert "still draws 'cat'" in text
        told.clear()
    for whole in (host.remove(erasing, []), host.apply_merged(model, stack, host.Window())):
        with CurrentNodeContext("prompt", "12"):
            comfy.model_management.load_models_gpu([whole], force_patch_weights=True)
        assert told == []
