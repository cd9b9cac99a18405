"""The world with language as ComfyUI's own objects: MODEL, CLIP and VAE.

The stock loaders know the sizes of released models only; everything behind these three is stock.
Import it only where ComfyUI's modules can be imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import comfy.latent_formats
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.supported_models
import torch
from torch import Tensor

from demo.language import store, text_encoder
from demo.language.config import MODEL, SHIFT


class World(NamedTuple):
    """What CheckpointLoaderSimple would give."""

    model: comfy.model_patcher.ModelPatcher
    clip: comfy.sd.CLIP
    vae: comfy.sd.VAE


class Miniature(comfy.supported_models.ZImage):
    """Z-Image but for its size."""

    sampling_settings = {"multiplier": 1.0, "shift": SHIFT}
    supported_inference_dtypes = [torch.float32]


def load(gguf: Path, name: str = "model", weights: Path = store.WEIGHTS) -> World:
    """The whole world.

    Args:
        gguf: SmolLM2's file, as `launch.language_model.prepare` gives it.
        name: "model", drawn with CFG; or "few", drawn at CFG 1 in few steps.
        weights: folder of the weights.
    """
    return World(
        model(store.network(name, weights)),
        text_encoder.load(gguf),
        vae(store.autoencoder(weights)),
    )


def model(weights: dict[str, Tensor]) -> comfy.model_patcher.ModelPatcher:
    """The MODEL with those weights, float32.

    Raises:
        RuntimeError: they are of another size than `config.MODEL`.
    """
    config = Miniature({"image_model": "lumina2", **MODEL})
    config.set_inference_dtype(torch.float32, None)
    loaded = config.get_model(weights, "", device=torch.device("cpu"))
    loaded.diffusion_model.load_state_dict({name: part.float() for name, part in weights.items()})
    return comfy.model_patcher.ModelPatcher(
        loaded,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )


def vae(weights: dict[str, Tensor]) -> comfy.sd.VAE:
    """The VAE with those weights.

    The host divides latents by this family's scale and shifts them; told the same numbers, the
    autoencoder undoes it, and the model sees exactly what was encoded.
    """
    scaling = comfy.latent_formats.Flux()
    scalars = {"vae_scale": scaling.scale_factor, "vae_shift": scaling.shift_factor}
    tensors = {name: torch.tensor(number) for name, number in scalars.items()}
    return comfy.sd.VAE(sd={**weights, **tensors}, dtype=torch.float32)
