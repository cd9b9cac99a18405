"""Concept-irrelevant unlearning: how much of a concept is left in the noise predictions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from .errors import NonFiniteError

__all__ = [
    "accumulate_gradients",
    "balance",
    "correlation_loss",
    "mean_l1",
    "normalised_correlation",
]


def correlation_loss(erased: Tensor, original: Tensor) -> Tensor:
    """mean(r' ⊙ r) of concept representations r = ε(x, c) - ε(x, ""), a scalar.

    Starts positive and is driven to zero. Unnormalised and averaged over times: loud times drown
    quiet ones and signs cancel; `normalised_correlation` has neither fault.

    Source: SRS-ME Eq. 28.
    """
    return (erased * original).mean()


def normalised_correlation(erased: Tensor, original: Tensor) -> Tensor:
    """ρ = ⟨r', r⟩ / ⟨r, r⟩ per sample, `[n]`: 1 untouched, 0 erased, negative pushed beyond.

    Args:
        erased, original: concept representations, `[n, *latent]`.
    """
    erased, original = erased.flatten(1), original.flatten(1)
    tiny = torch.finfo(original.dtype).tiny
    return (erased * original).sum(1) / original.square().sum(1).clamp_min(tiny)


def balance(losses: Sequence[Tensor]) -> list[float]:
    """η_i = |max_k L_k| / |L_i|: every concept weighs alike in joint training.

    Source: SRS-ME Eq. 35.
    """
    values = [float(loss.detach()) for loss in losses]
    tiny = torch.finfo(torch.float32).tiny
    return [abs(max(values)) / max(abs(value), tiny) for value in values]


def mean_l1(deltas: Iterable[Tensor]) -> Tensor:
    """‖ΔW‖₁ averaged over the edited layers, a scalar.

    Source: SRS-ME Eq. 34 (the authors' code sums over entries and divides by the layers).
    """
    norms = [delta.abs().sum() for delta in deltas]
    return torch.stack(norms).mean()


def accumulate_gradients(loss: Tensor, parameters: Sequence[Tensor], scale: float) -> None:
    """Adds the gradient of `loss`, taken on a scaled loss so that half precision can carry it.

    A mean over a latent gives every entry a gradient of one over its size, which float16 flushes
    to zero a few layers down.

    Args:
        scale: factor on the loss; the number of entries in a latent serves well.
    Raises:
        NonFiniteError: a gradient overflowed.
    """
    gradients = torch.autograd.grad(
        loss * scale, parameters, allow_unused=True, materialize_grads=True
    )
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if not bool(torch.isfinite(gradient).all()):
            raise NonFiniteError(
                "A gradient is NaN or infinite. Use a smaller learning rate, or a model in "
                "bfloat16 or float32."
            )
        if parameter.grad is None:  # pyright: ignore[reportUnnecessaryComparison]
            parameter.grad = torch.zeros_like(parameter)
        parameter.grad.add_(gradient, alpha=1 / scale)
