"""When to stop: the momentum statistic of the correlation."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["MomentumStop"]


class MomentumStop:
    """Running mean of a statistic, m_n = α m_{n-1} + (1 - α) v_n, and whether it is low enough.

    Erasing further than "uncorrelated" costs other content, so the early stop is part of the
    method. Given a vector, the means are kept apart and the worst one decides: signs at different
    times cannot cancel.

    Args:
        tau: the threshold.
        momentum: α in [0, 1).
        min_steps: never stop before this many updates.
        absolute: compare |m|; False compares m, as the paper does.
    Source: SRS-ME Eq. 37; m_0 is the first value, as in the authors' code.
    """

    def __init__(
        self, tau: float, momentum: float = 0.9, min_steps: int = 10, *, absolute: bool = True
    ) -> None:
        self.tau = tau
        self._momentum = momentum
        self._min_steps = min_steps
        self._absolute = absolute
        self._mean: Tensor | None = None
        self.step = 0

    def update(self, values: Tensor) -> bool:
        """Takes the values of one step, scalar or `[n_strata]`; True when it is time to stop."""
        values = values.detach().to("cpu", torch.float64)
        self._mean = (
            values if self._mean is None else torch.lerp(values, self._mean, self._momentum)
        )
        self.step += 1
        return self.step >= self._min_steps and self.statistic <= self.tau

    @property
    def statistic(self) -> float:
        """The worst running mean."""
        if self._mean is None:
            return float("inf")
        return float((self._mean.abs() if self._absolute else self._mean).max())
