"""What the readers of LoRA files call a model's layers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import comfy.utils

from ...sepme_core.errors import IncompatibleError
from .families import Family

__all__ = ["lora_names"]

STANDARD = {
    "num_res_blocks": [2, 2, 2, 2],
    "channel_mult": [1, 2, 4, 4],
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
}
"""The blocks of SD1 and SD2 as published, in the host's words."""


def lora_names(modules: Iterable[str], family: Family, model: Any = None) -> dict[str, str]:
    """The name in a LoRA file of each layer by module path.

    The names of kohya's scripts, which ComfyUI, A1111, Forge and diffusers all read: diffusers'
    blocks for SD1 and SD2, the checkpoint's own for SDXL.

    Args:
        model: the host's MODEL; without it SD1 and SD2 are taken to have their published blocks.
    Raises:
        IncompatibleError: layers that such a model does not have.
    """
    own = {module: module for module in modules}
    found = _diffusers_paths(own, family, model) if family.diffusers_names else own
    return {module: f"lora_unet_{path.replace('.', '_')}" for module, path in found.items()}


def _diffusers_paths(modules: Iterable[str], family: Family, model: Any) -> dict[str, str]:
    config = model.model.model_config.unet_config if model is not None else STANDARD
    paths = {
        ours.removesuffix(".weight"): theirs.removesuffix(".weight")
        for theirs, ours in comfy.utils.unet_to_diffusers(config).items()
    }
    unknown = sorted(set(modules) - set(paths))
    if unknown or (model is None and not _whole(modules, paths, family)):
        raise IncompatibleError(
            f"The increments edit other layers than the published {family.name} models have"
            f"{': ' if unknown else ''}{', '.join(unknown[:3])}. Connect the model that they were "
            "computed on, so that the file names its layers."
        )
    return {module: paths[module] for module in modules}


def _whole(modules: Iterable[str], paths: Iterable[str], family: Family) -> bool:
    """Whether all text-only layers are there: else it may be a network of other blocks."""
    rule = re.compile(family.text_only)
    return set(filter(rule.match, modules)) == set(filter(rule.match, paths))
