"""The demo checkpoint in a stock ComfyUI: it loads whole, and draws what it is asked for."""

import io
import re

import pytest
from safetensors.torch import save_file

from demo import assemble, pictures
from demo.classifier import classify, load
from demo.vocabulary import OBJECTS, STYLES
from launch.demo import CHECKPOINT

pytestmark = pytest.mark.host

N_SEEDS = 8
# Measured: 100 % for the names, 97.5 % / 94 % for object and style.
FLOOR_NAME, FLOOR_OBJECT, FLOOR_STYLE = 0.97, 0.93, 0.85

COMPLAINT = re.compile(
    r"(unet|clip|vae) (missing|unexpected)|missing .*keys|left over keys|not loaded", re.IGNORECASE
)


def text_to_image(prompts: list[str], n_seeds: int) -> dict:
    """A workflow of stock nodes: `n_seeds` pictures of each prompt, all in one SaveImage each."""
    nodes = {
        "load": ("CheckpointLoaderSimple", {"ckpt_name": CHECKPOINT}),
        "latent": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": n_seeds}),
        "negative": ("CLIPTextEncode", {"text": "", "clip": ["load", 1]}),
    }
    for i, prompt in enumerate(prompts):
        nodes[f"text{i}"] = ("CLIPTextEncode", {"text": prompt, "clip": ["load", 1]})
        nodes[f"sample{i}"] = (
            "KSampler",
            {
                "model": ["load", 0],
                "positive": [f"text{i}", 0],
                "negative": ["negative", 0],
                "latent_image": ["latent", 0],
                "seed": 1,
                "steps": 20,
                "cfg": 4.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
            },
        )
        nodes[f"decode{i}"] = ("VAEDecode", {"samples": [f"sample{i}", 0], "vae": ["load", 2]})
        nodes[f"show{i}"] = ("PreviewImage", {"images": [f"decode{i}", 0]})
    return {name: {"class_type": kind, "inputs": given} for name, (kind, given) in nodes.items()}


def draw(server, prompts: list[str], n_seeds: int):
    """For each prompt what the classifier sees: objects `[n_seeds]` and styles `[n_seeds]`."""
    entry = server.run(text_to_image(prompts, n_seeds), timeout=900)
    judge = load()
    seen = []
    for i in range(len(prompts)):
        files = [io.BytesIO(server.picture(m)) for m in server.images(entry, f"show{i}")]
        assert len(files) == n_seeds
        seen.append(classify(pictures.read(files), judge))
    return seen


def complaints(log: str) -> list[str]:
    """The lines in which the host says that a checkpoint does not fit."""
    return [line for line in log.splitlines() if COMPLAINT.search(line)]


def test_checkpoint_loads_whole_and_draws_every_object_by_its_name(server):
    seen = draw(server, OBJECTS, N_SEEDS)
    right = [float((objects == i).float().mean()) for i, (objects, _) in enumerate(seen)]
    assert sum(right) / len(right) >= FLOOR_NAME, dict(zip(OBJECTS, right, strict=True))
    assert "model_type EPS" in server.log(), "loaded as SD1.5"
    assert complaints(server.log()) == []


def test_host_says_when_a_checkpoint_is_not_whole(server, base_directory):
    file = base_directory / "models" / "checkpoints" / "gap.safetensors"
    tensors = assemble.checkpoint()
    del tensors[assemble.UNET_PREFIX + "time_embed.0.weight"]
    save_file(tensors, file)
    del tensors
    before = len(server.log())
    nodes = text_to_image([], 1)
    nodes["load"]["inputs"]["ckpt_name"] = file.name
    nodes["decode"] = {
        "class_type": "VAEDecode",
        "inputs": {"samples": ["latent", 0], "vae": ["load", 2]},
    }
    nodes["show"] = {"class_type": "PreviewImage", "inputs": {"images": ["decode", 0]}}
    server.run(nodes, timeout=120)
    file.unlink()
    (line,) = complaints(server.log()[before:])
    assert "time_embed.0.weight" in line


def test_checkpoint_draws_objects_in_the_style_asked_for(server):
    pairs = [(i, j) for i in range(len(OBJECTS)) for j in range(len(STYLES))]
    seen = draw(server, [f"{OBJECTS[i]}, {STYLES[j]} style" for i, j in pairs], 1)
    right_objects = [o.item() == i for (i, _), (o, _) in zip(pairs, seen, strict=True)]
    right_styles = [s.item() == j for (_, j), (_, s) in zip(pairs, seen, strict=True)]
    assert sum(right_objects) / len(pairs) >= FLOOR_OBJECT
    assert sum(right_styles) / len(pairs) >= FLOOR_STYLE


def test_empty_prompt_does_not_draw_every_object(server):
    ((objects, _),) = draw(server, [""], N_SEEDS)
    assert max(objects.bincount(minlength=len(OBJECTS)).tolist()) < N_SEEDS
