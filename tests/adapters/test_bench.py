"""The bench on a user's own checkpoint: the demo model through the same path, CLIP as the judge."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bench.judge import ClipJudge
from bench.pieces import Bench, Own
from bench.quality.pictures import Amount
from bench.quality.summary import summarise
from bench.studio import Studio
from launch import comfyui
from launch.demo import checkpoint

NAMES = ["cat", "dog", "rose", "car", "pizza"]
TASK = {
    "name": "toys",
    "erasable": NAMES[:3],
    "protected": NAMES[3:4],
    "unlisted": NAMES[4:],
    "seen": ["a photo of a {}"],
    "held_out": ["my favourite {} today"],
    "mixed": [["a {} and a car", "car"]],
    "labels": NAMES,
}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A CLIP of random weights, saved as the library saves a trained one."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    config = transformers.CLIPConfig(
        text_config={**small, "num_attention_heads": 2},
        vision_config={**small, "num_attention_heads": 2, "image_size": 32, "patch_size": 16},
        projection_dim=16,
    )
    folder = tmp_path_factory.mktemp("classifier")
    transformers.CLIPModel(config).save_pretrained(folder)
    words = str(comfyui.prepare() / "comfy" / "sd1_tokenizer")
    images = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)
    tokens = transformers.CLIPTokenizer.from_pretrained(words)
    transformers.CLIPProcessor(images, tokens).save_pretrained(folder)
    return folder


def bench(tmp_path, classifier, **task) -> Bench:
    prompts = tmp_path / "tasks.json"
    prompts.write_text(json.dumps([TASK | task]))
    own = Own(checkpoint(), prompts, classifier, resolution=64)
    return Bench(Amount(1, 1, 1, 1, steps=2), True, tmp_path / "strips", own=own)


def test_same_protocol_runs_on_an_own_checkpoint(tmp_path, classifier):
    made = bench(tmp_path, classifier)
    pieces = dict(made.quality())
    task = made.tasks[0]
    name = "toys/rose/SepME (exact)"
    assert {"toys/original", name, "toys/leaks"} <= set(pieces)
    original, drawn = pieces["toys/original"](), pieces[name]()
    summary = summarise(task, frozenset(["rose"]), drawn, original)
    for role in ("restored", "protected", "unlisted"):
        assert summary.identical[role, "held-out"] == 100 and summary.drift[role] == 0
    assert summary.identical["erased", "bare"] == 0 and summary.drift["erased"] > 0
    assert (tmp_path / "strips" / "toys - rose - SepME (exact).png").exists()


def test_a_file_that_is_no_checkpoint_is_refused_with_what_is_expected(tmp_path):
    path = tmp_path / "lora.safetensors"
    save_file({"lora.up.weight": torch.zeros(4, 4)}, path)
    with pytest.raises(ValueError, match=r"(?s)lora\.safetensors cannot be measured.*SD 1\.x"):
        Studio(path)


def test_concepts_that_the_judge_does_not_know_are_named(tmp_path, classifier):
    made = bench(tmp_path, classifier, labels=["cat", "dog"])
    with pytest.raises(ValueError, match=r"cannot say.*rose, car, pizza"):
        next(made.quality())


def test_clip_answers_with_one_of_its_labels(classifier):
    judge = ClipJudge(classifier, NAMES)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    verdict = judge(pictures)
    assert all(len(seen) == 1 and seen <= set(NAMES) for seen in verdict.seen)
    assert verdict.features.shape == (3, 16) and verdict.features.norm(dim=1).allclose(
        torch.ones(3)
    )


def test_a_folder_without_a_clip_model_is_refused(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(ValueError, match="holds no CLIP model"):
        ClipJudge(tmp_path, NAMES)
