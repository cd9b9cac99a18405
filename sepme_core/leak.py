"""Leak: how far an increment moves what it must not move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .application import token_mask
from .embeddings import EncodedPrompt
from .increment import Increment

__all__ = ["Leak", "measure_leak"]


_TINY = torch.finfo(torch.float32).tiny
# Tokens of a prompt that are looked at: those that reach furthest into the basis. All of them would
# cost a pass through every layer per prompt, minutes for a large model, and add nothing.
_N_FURTHEST = 4


@dataclass(frozen=True)
class Leak:
    """max over tokens and layers of ‖ΔW e‖ / ‖W e‖.

    Args:
        linear: of the weight change as it stands: what merging and LoRA export give.
        exact: of the exact application with its dead zone.
        prompt: where the linear leak is largest.
    """

    linear: float
    exact: float
    prompt: str


def measure_leak(
    increment: Increment,
    prompts: Sequence[EncodedPrompt],
    weights: Mapping[str, Tensor],
    dtype: torch.dtype = torch.float32,
) -> Leak:
    """The leak of one increment on prompts that it must leave alone.

    Args:
        prompts: of the same encoder as the increment.
        weights: W by module path, `[d_out, d_text]`.
        dtype: in which the model will receive the prompts.
    """
    basis = increment.basis.float()
    layers = {k: w.to("cpu", torch.float32) for k, w in weights.items() if k in increment.coef}
    worst = Leak(0.0, 0.0, "")
    for prompt in prompts:
        e = prompt.embeddings.to("cpu", torch.float32)
        z = e @ basis.T
        mask = token_mask(z.norm(dim=-1), e.norm(dim=-1), increment, dtype)
        far = (
            (z.norm(dim=-1) / e.norm(dim=-1).clamp_min(_TINY))
            .topk(min(_N_FURTHEST, len(e)))
            .indices
        )
        ratios = torch.stack(
            [_ratio(increment.coef[k], z[far], layers[k], e[far]) for k in increment.coef]
        )
        linear = float(ratios.max())
        exact = float((ratios * mask[far]).max())
        if linear >= worst.linear:
            worst = Leak(linear, max(exact, worst.exact), prompt.text)
        else:
            worst = Leak(worst.linear, max(exact, worst.exact), worst.prompt)
    return worst


def _ratio(coef: Tensor, z: Tensor, weight: Tensor, e: Tensor) -> Tensor:
    moved = (z @ coef.float().T).norm(dim=-1)
    return moved / (e @ weight.T).norm(dim=-1).clamp_min(_TINY)
