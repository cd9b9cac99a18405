"""The host's model: its family, text-only layers and their weights."""

from __future__ import annotations

import re
from typing import Any

import comfy.lora
import comfy.model_patcher
import torch
from torch import Tensor, nn

from ...sepme_core.errors import IncompatibleError
from .families import FAMILIES, PICTURE_CONTEXT, Family

__all__ = [
    "PREFIX",
    "compute_dtype",
    "family_of",
    "matching_layers",
    "raw_weight",
    "text_only_weights",
]

PREFIX = "diffusion_model."


def family_of(model: Any) -> Family:
    """The family of a host MODEL.

    Raises:
        IncompatibleError: its text-only layers are not known.
    """
    network = model.model.diffusion_model
    takes_text = type(model.model).__name__ not in PICTURE_CONTEXT
    for family in FAMILIES if takes_text else ():
        layers = _match(network, family.text_only)
        widths = {layer.in_features for layer in layers.values()}
        if type(network).__name__ == family.network and widths == {family.d_text}:
            return family
    known = ", ".join(f.name for f in FAMILIES)
    raise IncompatibleError(
        f"This model ({type(model.model).__name__}, {type(network).__name__}) has no text-only "
        f"layers that SepME knows. Expected one of: {known}. Load a checkpoint of such a family."
    )


def matching_layers(model: Any, pattern: str) -> dict[str, Any]:
    """Linear layers of the diffusion model whose module path matches."""
    return _match(model.model.diffusion_model, pattern)


def _match(network: nn.Module, pattern: str) -> dict[str, Any]:
    """By what makes a linear layer: the host's quantised ones are not torch's `nn.Linear`."""
    rule = re.compile(pattern)
    return {
        path: module
        for path, module in network.named_modules()
        if rule.match(path) and hasattr(module, "in_features")
    }


def text_only_weights(model: Any) -> dict[str, Tensor]:
    """Text-only weights as the model uses them, LoRAs included, float32 on the CPU."""
    return {k: _weight(model, k) for k in matching_layers(model, family_of(model).text_only)}


def _weight(model: Any, path: str) -> Tensor:
    key = f"{PREFIX}{path}.weight"
    raw = raw_weight(model, key)
    patches = model.patches.get(key)
    weight = raw.detach().to("cpu", torch.float32, copy=True)
    return comfy.lora.calculate_weight(patches, weight, key) if patches else weight


def raw_weight(model: Any, key: str) -> Tensor:
    """A weight without patches, hooks' included; where it is and as it is, or at its true size."""
    weight, _, convert = comfy.model_patcher.get_key_weight(model.model, key)
    if key in model.backup:
        weight = model.backup[key].weight  # as stored, so it is to be converted as well
    elif key in model.hook_backup:
        weight = model.hook_backup[key][0]
    return convert(weight, inplace=False) if convert else weight


def compute_dtype(model: Any) -> torch.dtype:
    """The dtype in which the diffusion model receives prompts."""
    return model.get_model_object("manual_cast_dtype") or model.model.get_dtype()
