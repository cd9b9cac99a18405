"""The host's model: its family, text-only layers, weights and fingerprints."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

import comfy.lora
import comfy.model_patcher
import torch
from torch import Tensor, nn

from ...sepme_core.errors import IncompatibleError
from .families import FAMILIES, PICTURE_CONTEXT, Family

__all__ = [
    "PREFIX",
    "base_fingerprint",
    "compute_dtype",
    "family_of",
    "matching_layers",
    "text_encoder_fingerprint",
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
    raw = _raw_weight(model, key)
    patches = model.patches.get(key)
    weight = raw.detach().to("cpu", torch.float32, copy=True)
    return comfy.lora.calculate_weight(patches, weight, key) if patches else weight


def _raw_weight(model: Any, key: str) -> Tensor:
    weight, _, convert = comfy.model_patcher.get_key_weight(model.model, key)
    if key in model.backup:
        weight = model.backup[key].weight  # as stored, so it is to be converted as well
    return convert(weight, inplace=False) if convert else weight


def compute_dtype(model: Any) -> torch.dtype:
    """The dtype in which the diffusion model receives prompts."""
    return model.get_model_object("manual_cast_dtype") or model.model.get_dtype()


def base_fingerprint(model: Any) -> str:
    """Identifies the unpatched weights of the text-only layers."""
    keys = matching_layers(model, family_of(model).text_only)
    return _fingerprint((k, _raw_weight(model, f"{PREFIX}{k}.weight")) for k in sorted(keys))


def text_encoder_fingerprint(clip: Any) -> str:
    """Identifies the text encoder: its weights, its patches and its clip-skip."""
    state = clip.patcher.model.state_dict()
    names = sorted(k for k, v in state.items() if torch.is_tensor(v) and v.is_floating_point())
    backup = clip.patcher.backup
    named = [(k, backup[k].weight if k in backup else state[k]) for k in names]
    patches = [(k, leaf) for k, v in sorted(clip.patcher.patches.items()) for leaf in _leaves(v)]
    named += [(k, leaf) for k, leaf in patches if torch.is_tensor(leaf)]
    numbers = [(k, leaf) for k, leaf in patches if isinstance(leaf, (int, float, str))]
    return _fingerprint(named, f"skip={clip.layer_idx} patches={numbers}")


def _leaves(value: Any) -> Iterator[Any]:
    """What a list of the host's patches consists of: strengths, kinds, tensors."""
    inner = getattr(value, "weights", value)  # of an adapter: LoRA, LoHa, …
    if isinstance(inner, (list, tuple)):
        for part in inner:
            yield from _leaves(part)
    else:
        yield inner


def _fingerprint(named: Iterable[tuple[str, Tensor]], extra: str = "") -> str:
    """SHA-256 over shapes and evenly spaced entries, in half precision.

    Half precision, so that a model kept in another dtype on another machine is the same model.
    """
    h = hashlib.sha256(extra.encode())
    for name, tensor in named:
        flat = tensor.detach().flatten()
        sample = flat[:: max(1, len(flat) // 4096)].to("cpu", torch.float16)
        h.update(f"{name}{tuple(tensor.shape)}".encode())
        h.update(sample.contiguous().view(torch.uint8).numpy().tobytes())
    return h.hexdigest()[:32]
