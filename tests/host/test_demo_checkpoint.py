"""The demo checkpoint in a stock ComfyUI: it loads whole, and draws what it is asked for."""

import io

import pytest

from demo import pictures
from demo.classifier import classify, load
from demo.vocabulary import OBJECTS, STYLES

pytestmark = pytest.mark.host

N_SEEDS = 16
# Measured: 100 % for the names, 97.5 % / 94 % for object and style.
FLOOR_NAME, FLOOR_OBJECT, FLOOR_STYLE = 0.97, 0.93, 0.85


def text_to_image(prompts: list[str], n_seeds: int) -> dict:
    """A workflow of stock nodes: `n_seeds` pictures of each prompt, all in one SaveImage each."""
    nodes = {
        "load": ("CheckpointLoaderSimple", {"ckpt_name": "sepme_demo.safetensors"}),
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


def test_checkpoint_loads_whole_and_draws_every_object_by_its_name(server):
    seen = draw(server, OBJECTS, N_SEEDS)
    right = [float((objects == i).float().mean()) for i, (objects, _) in enumerate(seen)]
    assert sum(right) / len(right) >= FLOOR_NAME, dict(zip(OBJECTS, right, strict=True))
    log = server.log().lower()
    assert "model_type eps" in log, "the checkpoint has been loaded as SD1.5"
    assert not [line for line in log.splitlines() if "missing" in line and "torchaudio" not in line]
    assert "not loaded" not in log
    assert "unexpected" not in log


def test_checkpoint_draws_objects_in_the_style_asked_for(server):
    pairs = [(i, j) for i in range(len(OBJECTS)) for j in range(len(STYLES))]
    seen = draw(server, [f"{OBJECTS[i]}, {STYLES[j]} style" for i, j in pairs], 2)
    right_objects = [(o == i).float().mean() for (i, _), (o, _) in zip(pairs, seen, strict=True)]
    right_styles = [(s == j).float().mean() for (_, j), (_, s) in zip(pairs, seen, strict=True)]
    assert sum(right_objects) / len(pairs) >= FLOOR_OBJECT
    assert sum(right_styles) / len(pairs) >= FLOOR_STYLE


def test_empty_prompt_does_not_draw_every_object(server):
    ((objects, _),) = draw(server, [""], N_SEEDS)
    assert max(objects.bincount(minlength=len(OBJECTS)).tolist()) < N_SEEDS
