"""Weights in four bits: groups of 32 along a row share one scale, two values make a byte."""

from __future__ import annotations

import json

import torch
from torch import Tensor

GROUP = 32
LARGEST = 7  # the values are -7 ... 7: symmetric, so that 0 stays 0


def pack(weight: Tensor, group: int = GROUP) -> tuple[Tensor, Tensor]:
    """Rounds a weight to four bits.

    Args:
        weight: any shape with an even number of elements per group; the first axis is its rows.
        group: values that share a scale; where a row does not divide into such groups it is one.

    Returns:
        uint8 codes, two values each, flat; and float16 scales `[n_groups]`. What `unpack` gives
        back differs from `weight` by at most half a scale, plus the rounding of the scale itself.

    Raises:
        ValueError: a group would hold an odd number of values.
    """
    rows = weight.float().reshape(weight.shape[0], -1)
    size = group if rows.shape[1] % group == 0 else rows.shape[1]
    if size % 2:
        raise ValueError(
            f"a weight of shape {tuple(weight.shape)} has rows of {size} values; two values make "
            "a byte, so rows must be even. Store this one as float16."
        )
    groups = rows.reshape(-1, size)
    # The smallest scale that float16 still holds as a normal number.
    scale = (groups.abs().amax(1, keepdim=True) / LARGEST).clamp(min=6.2e-5).half()
    values = (groups / scale.float()).round().clamp(-LARGEST, LARGEST).to(torch.int16) + 8
    low, high = values.reshape(-1, 2).unbind(1)
    return (low | high << 4).to(torch.uint8), scale.flatten()


def unpack(codes: Tensor, scale: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The float16 weight of that shape behind what `pack` gave."""
    values = torch.stack((codes & 15, codes >> 4), 1).float() - 8
    return (values.reshape(len(scale), -1) * scale.float()[:, None]).half().reshape(shape)


def pack_all(weights: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Packs what has two or more axes and even rows; the rest becomes float16.

    Returns:
        Tensors and metadata for one safetensors file: `<name>.codes` and `<name>.scale`, or
        `<name>` itself; the shapes of the packed ones are the metadata's `shapes`, as JSON.
    """
    tensors: dict[str, Tensor] = {}
    shapes: dict[str, list[int]] = {}
    for name, weight in weights.items():
        if weight.ndim < 2 or weight[0].numel() % 2:
            tensors[name] = weight.half().contiguous()
            continue
        tensors[name + ".codes"], tensors[name + ".scale"] = pack(weight)
        shapes[name] = list(weight.shape)
    return tensors, {"shapes": json.dumps(shapes)}


def unpack_all(tensors: dict[str, Tensor], metadata: dict[str, str]) -> dict[str, Tensor]:
    """The float16 weights behind what `pack_all` gave."""
    shapes = json.loads(metadata["shapes"])
    packed = {part for name in shapes for part in (name + ".codes", name + ".scale")}
    weights = {name: tensor for name, tensor in tensors.items() if name not in packed}
    for name, shape in shapes.items():
        weights[name] = unpack(tensors[name + ".codes"], tensors[name + ".scale"], tuple(shape))
    return weights
