"""Many ridge-logistic classifiers at once, over one shared set of negatives.

One L-BFGS for all: each column keeps its own curvature and its own step, the products are shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

__all__ = ["fit_logistic"]

_HISTORY = 8
_SHORTER = 12  # times that a step is cut
_FLAT = 1e-5  # a gradient as small as this moves no score that matters


@dataclass(frozen=True, eq=False)
class _Objective:
    """Σ ½ mean softplus(-s⁺) + ½ mean softplus(s⁻) + ridge ‖w‖², for every column by itself.

    Args:
        own: `[n_own, d]`, the positives of all columns.
        owner: `[n_own]`, the column that each belongs to.
        foreign: `[n_foreign, d]`, the negatives of all columns.
        own_weight, foreign_weight: `[n_own]` and `[n_foreign, n]`; each class sums to ½ a column.
    """

    own: Tensor
    owner: Tensor
    foreign: Tensor
    own_weight: Tensor
    foreign_weight: Tensor
    ridge: float

    def __call__(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Values `[n]` and gradients `[d + 1, n]` at weights and biases `[d + 1, n]`."""
        w, b = theta[:-1], theta[-1]
        s = self.foreign @ w + b
        s_own = (self.own * w.T[self.owner]).sum(1) + b[self.owner]
        value = (self.foreign_weight * softplus(s)).sum(0) + self.ridge * w.square().sum(0)
        value.index_add_(0, self.owner, self.own_weight * softplus(-s_own))
        slope = self.foreign_weight * torch.sigmoid(s)
        slope_own = -self.own_weight * torch.sigmoid(-s_own)
        grad = torch.cat([self.foreign.T @ slope + 2 * self.ridge * w, slope.sum(0)[None]])
        ones = torch.ones(len(self.own), 1)
        rows = slope_own[:, None] * torch.cat([self.own, ones], 1)
        return value, grad.T.index_add(0, self.owner, rows).T


def fit_logistic(
    own: Sequence[Tensor],
    foreign: Tensor,
    spared: Tensor | None = None,
    *,
    ridge: float = 1e-4,
    max_steps: int = 60,
) -> tuple[Tensor, Tensor]:
    """One classifier for each set of positives; both classes weigh the same.

    Args:
        own: positives of each classifier, `[n_j, d]` float32; at least one row each.
        foreign: negatives of all classifiers, `[n_foreign, d]` float32.
        spared: bool `[n_foreign, n]`: negatives that a classifier shall not be told of, as they
            are its own. None tells all of them everything.
        ridge: weight of ‖w‖², above 0. In whitened coordinates 1e-5 to 1e-3 give the same.
    Returns:
        weights `[n, d]` and biases `[n]`, float32: x·w + b is positive for own rows.
    """
    n = len(own)
    counts = torch.tensor([len(rows) for rows in own])
    owner = torch.repeat_interleave(torch.arange(n), counts)
    told = torch.ones(len(foreign), n) if spared is None else (~spared).float()
    told *= 0.5 / told.sum(0).clamp_min(1)
    objective = _Objective(torch.cat(list(own)), owner, foreign, 0.5 / counts[owner], told, ridge)
    theta = _minimise(objective, torch.zeros(foreign.shape[1] + 1, n), max_steps)
    return theta[:-1].T.contiguous(), theta[-1]


def _minimise(objective: _Objective, theta: Tensor, max_steps: int) -> Tensor:
    """L-BFGS, a column at a time in all but the products."""
    value, grad = objective(theta)
    moves: list[tuple[Tensor, Tensor]] = []
    for _ in range(max_steps):
        if float(grad.norm(dim=0).max()) < _FLAT:
            break
        step = _direction(grad, moves)
        new, new_value, new_grad = _line_search(objective, theta, value, grad, step)
        moves = [*moves[1 - _HISTORY :], (new - theta, new_grad - grad)]
        theta, value, grad = new, new_value, new_grad
    return theta


def _direction(grad: Tensor, moves: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The two loops of L-BFGS (Nocedal and Wright, algorithm 7.4)."""
    q, kept = grad, list[tuple[Tensor, Tensor]]()
    for s, y in reversed(moves):
        rho = 1 / (s * y).sum(0).clamp_min(1e-20)
        alpha = rho * (s * q).sum(0)
        q = q - alpha * y
        kept.append((rho, alpha))
    if moves:
        s, y = moves[-1]
        q = q * ((s * y).sum(0) / y.square().sum(0).clamp_min(1e-20))
    else:
        q = q * (0.1 / q.norm(dim=0).clamp_min(1e-12))
    for (s, y), (rho, alpha) in zip(moves, reversed(kept), strict=True):
        q = q + s * (alpha - rho * (y * q).sum(0))
    return -q


def _line_search(
    objective: _Objective, theta: Tensor, value: Tensor, grad: Tensor, step: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Backtracking, every column by itself; one that finds nothing lower stays where it is."""
    slope, length = (step * grad).sum(0), torch.ones_like(value)
    new, (new_value, new_grad) = theta + step, objective(theta + step)
    for _ in range(_SHORTER):
        too_far = new_value > value + 1e-4 * length * slope
        if not bool(too_far.any()):
            break
        length = torch.where(too_far, length * 0.4, length)
        new = theta + length * step
        new_value, new_grad = objective(new)
    lower = new_value <= value
    return (
        torch.where(lower, new, theta),
        torch.where(lower, new_value, value),
        torch.where(lower, new_grad, grad),
    )
