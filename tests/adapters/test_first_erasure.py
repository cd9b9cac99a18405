"""The example for one's own checkpoint runs on every family, with nothing changed in it."""

import json

import pytest
import torch
from comfy_execution.utils import CurrentNodeContext
from sepme_pack.nodes import files, host, preserve
from sepme_pack.nodes.compare import Compare
from sepme_pack.nodes.eraser import Eraser

from launch.cache import REPOSITORY
from launch.workflow import to_prompt
from tests.adapters import models
from tests.adapters.test_compare import Vae

EXAMPLE = REPOSITORY / "example_workflows" / "0_your_checkpoint.json"
OURS = {"SepME_Eraser": Eraser, "SepME_Compare": Compare}


@pytest.fixture(scope="module")
def values():
    """What the example's nodes are set to, by node and widget."""
    files.register_folder()
    nodes = json.loads(EXAMPLE.read_text(encoding="utf-8"))["nodes"]
    alone = [{**node, "inputs": []} for node in nodes if node["type"] in OURS]
    info = {node_id: node.GET_NODE_INFO_V1() for node_id, node in OURS.items()}
    prompt = to_prompt({"nodes": alone}, info)
    return {node["class_type"]: node["inputs"] for node in prompt.values()}


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
@torch.inference_mode()
def test_the_cat_goes_and_the_rest_is_identical(family, values, increments_folder, monkeypatch):
    few = preserve.general_captions()[::100]  # all of them take long, and are tested by themselves
    monkeypatch.setattr(preserve, "general_captions", lambda: few)
    model, clip = models.model(family), models.clip(family)
    with CurrentNodeContext("prompt", "1"):
        erasing, stack, _ = Eraser.execute(model, clip, **values["SepME_Eraser"]).result
        given = values["SepME_Compare"] | {"steps": 1}
        _, pictures, report = Compare.execute(model, erasing, clip, Vae(), **given).result
    assert stack.names == ("cat",)
    assert pictures.shape[1:3] == host.picture_size(model)
    assert report.startswith("2 of 3 pictures are identical"), report
    assert "'a photo of a cat', seed 1: differs" in report


def test_it_keeps_everyday_language_and_holds_no_size(values):
    assert values["SepME_Eraser"]["preserve_list"] == "general"
    assert values["SepME_Eraser"]["protected_concepts"]
    assert values["SepME_Compare"]["width"] == values["SepME_Compare"]["height"] == 0
