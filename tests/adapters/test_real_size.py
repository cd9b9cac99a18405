"""The real models' layers, and how large an increment is on them."""

import re
from functools import cache

import comfy.model_base
import comfy.model_detection
import comfy.supported_models
import pytest
import torch
from sepme_pack.nodes import host
from sepme_pack.nodes.host import FAMILIES
from sepme_pack.sepme_core import erase as erase_module
from sepme_pack.sepme_core.config import EraseConfig
from sepme_pack.sepme_core.erase import erase
from sepme_pack.sepme_core.increment_file import read_increment, to_bytes, write_increment
from sepme_pack.sepme_core.leak import Leak

from tests.adapters import models
from tests.adapters.real_sizes import SD15, SDXL

HALF = {"dtype": torch.float16}
REAL = {
    "sd1": ({**SD15, **HALF}, comfy.supported_models.SD15),
    "sdxl": ({**SDXL, **HALF}, comfy.supported_models.SDXL),
}
MEGABYTE = 1_000_000
# Directions per concept on the trained demo model, at most (`BasisConfig.energy`). A text encoder
# of random weights blurs every sentence its own way and needs about twice as many.
N_BASIS = 5


class Model:
    """As much of a MODEL as finding layers needs; its weights take no memory."""

    def __init__(self, network):
        self.model = network


@cache
def real(name):
    config, known = REAL[name]
    found = comfy.model_detection.model_config_from_unet_config(config)
    assert type(found) is known  # the host takes this description for the real model
    return Model(found.get_model({}, device=torch.device("meta")))


@pytest.mark.parametrize(("name", "n_layers"), [("sd1", 32), ("sdxl", 140)])
def test_all_text_only_layers_of_the_real_model_are_found(name, n_layers):
    family = host.family_of(real(name))
    assert family.name == name
    text_only = host.matching_layers(real(name), family.text_only)
    assert len(text_only) == n_layers
    # Nothing else takes the text: every layer of its width is among them.
    wide = {
        path
        for path, layer in real(name).model.diffusion_model.named_modules()
        if getattr(layer, "in_features", 0) == family.d_text and "attn2.to_" in path
    }
    assert wide == text_only.keys()
    assert len(host.matching_layers(real(name), family.cross_attention)) == 2 * n_layers


def test_each_pattern_means_the_whole_path():
    for family in FAMILIES:
        path = "input_blocks.1.1.transformer_blocks.0.attn2.to_k"
        assert re.match(family.text_only, path)
        assert not re.match(family.text_only, path + "_ip")
        assert not re.match(family.text_only, path.replace("attn2", "attn1"))


@pytest.mark.parametrize(("name", "megabytes"), [("sd1", 1), ("sdxl", 4)])
def test_an_increment_of_real_size_stays_small(name, megabytes, request, tmp_path, monkeypatch):
    # Measuring the leak multiplies every prompt with every layer, and says nothing about size.
    monkeypatch.setattr(erase_module, "measure_leak", lambda *_: Leak(0.0, 0.0, ""))
    clip = request.getfixturevalue({"sd1": "clip", "sdxl": "clip_xl"}[name])
    family = host.family_of(real(name))
    layers = host.matching_layers(real(name), family.text_only)
    generator = torch.Generator().manual_seed(0)
    pool = torch.empty(1280, family.d_text).uniform_(-0.05, 0.05, generator=generator)
    (erasure,) = erase(
        models.CONCEPTS,
        models.CONCEPTS.choose(["cat"]),
        models.encoder(clip, torch.float32, family.d_text),
        {path: pool[: layer.out_features] for path, layer in layers.items()},
        EraseConfig(),
    )
    increment = erasure.increment
    assert increment.target_modules == tuple(sorted(layers))
    n_bytes = len(to_bytes(increment))
    assert 0 < n_bytes / increment.n_basis <= megabytes * MEGABYTE / N_BASIS
    write_increment(increment, tmp_path / "cat.safetensors")
    assert (tmp_path / "cat.safetensors").stat().st_size == n_bytes
    assert read_increment(tmp_path / "cat.safetensors").digest == increment.digest
