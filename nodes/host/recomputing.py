"""Gradient checkpointing: a network's blocks run again in the backward pass, not remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from comfy import model_management
from comfy.ldm.modules.attention import BasicTransformerBlock
from comfy.ldm.modules.diffusionmodules.openaimodel import ResBlock
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

__all__ = ["recomputing", "within_memory"]

# What a pass remembers for its gradients, in elements per latent pixel and picture: 155 000 on
# SDXL, 90 000 on SD1.5. With blocks run again it is 14 000 and 18 000.
REMEMBERED = 160_000


def within_memory(
    network: nn.Module, x: Tensor, dtype: torch.dtype
) -> AbstractContextManager[None]:
    """Where a call with gradients does not fit into the free memory, its blocks run again.

    Only there: a step then takes half as long again (docs/speed.md).

    Args:
        x: noised latents, `[n, channels, ...]`.
        dtype: in which the network computes.
    """
    needed = REMEMBERED * x[:, 0].numel() * dtype.itemsize
    if not torch.is_grad_enabled() or needed < model_management.get_free_memory(x.device):
        return nullcontext()
    return recomputing(network)


@contextmanager
def recomputing(network: nn.Module) -> Iterator[None]:
    """Calls made in the block keep what enters each transformer and residual block, nothing else.

    The backward pass may come later, but layers' outputs must then be changed by the same hooks:
    torch refuses to go on when it notices that they are not.
    """
    blocks = [m for m in network.modules() if isinstance(m, BasicTransformerBlock | ResBlock)]
    before = [vars(block).get("forward") for block in blocks]
    try:
        for block in blocks:
            block.forward = partial(_checkpointed, block.forward)
        yield
    finally:
        for block, forward in zip(blocks, before, strict=True):
            vars(block).pop("forward", None)
            if forward is not None:
                block.forward = forward


def _checkpointed(run: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
    """The host goes on writing into its options: where in the network it is, for example."""
    kwargs = {k: dict(v) if isinstance(v, dict) else v for k, v in kwargs.items()}
    # Nothing in the blocks is random.
    return checkpoint(run, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)
