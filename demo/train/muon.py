"""Muon: momentum with orthogonalised updates for matrices and kernels, Adam for everything else.

Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024), with the
update's size set to that of Adam's, so that one learning rate serves both.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """Moves all singular values near 1 by Newton-Schulz steps; exactness is not needed."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Args: parameters; `lr`, the root mean square of an update per weight."""

    def __init__(self, parameters: Iterable[Tensor], lr: float):
        parameters = list(parameters)
        groups = [
            {"params": [p for p in parameters if p.ndim >= 2], "update": _orthogonal},
            {"params": [p for p in parameters if p.ndim < 2], "update": _adam},
        ]
        super().__init__(groups, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(group["update"](p.grad, self.state[p]), alpha=group["lr"])


def _orthogonal(gradient: Tensor, state: dict, momentum: float = 0.95) -> Tensor:
    mean = state.setdefault("mean", torch.zeros_like(gradient))
    mean.mul_(momentum).add_(gradient)
    ahead = (gradient + momentum * mean).reshape(len(gradient), -1)
    return (orthogonalise(ahead) * 0.2 * max(ahead.shape) ** 0.5).view_as(gradient)


def _adam(gradient: Tensor, state: dict, b1: float = 0.9, b2: float = 0.99) -> Tensor:
    mean = state.setdefault("mean", torch.zeros_like(gradient))
    square = state.setdefault("square", torch.zeros_like(gradient))
    state["step"] = step = state.get("step", 0) + 1
    mean.lerp_(gradient, 1 - b1)
    square.lerp_(gradient.square(), 1 - b2)
    return mean / (1 - b1**step) / ((square / (1 - b2**step)).sqrt() + 1e-8)
