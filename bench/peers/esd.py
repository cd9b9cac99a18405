"""ESD-x: the cross-attention learns to predict the concept's opposite.

Gandikota et al. 2023, arXiv:2303.07345, Eq. 7.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.peers import Fitted, Peer
from bench.peers.training import Batch, Drawings, Settings, mean_square, train
from bench.studio import Studio
from bench.tasks import State, Task

__all__ = ["PEER", "target"]

ETA = 1.0  # published: 1
SETTINGS = Settings(
    learning_rate=3e-4,  # published: 1e-5
    steps=40,  # published: 1000
)


def target(batch: Batch) -> Tensor:
    """ε(x) - η (ε(x, c) - ε(x)), of the untouched model. Source: Eq. 7."""
    return batch.eps_uncond - ETA * (batch.eps - batch.eps_uncond)


def _fit(studio: Studio, task: Task) -> Fitted:
    drawings = Drawings(studio, task)

    def without(erased: State) -> Any:
        denoiser = studio.denoiser()

        def loss(name: str, generator: torch.Generator) -> Tensor:
            batch = drawings.batch(name, SETTINGS.batch, generator)
            eps = denoiser(batch.x, batch.sigma, [batch.prompt.text] * len(batch.x))
            return mean_square(eps, target(batch))

        return train(studio, denoiser.cross_attention, erased, SETTINGS, loss)

    return without


PEER = Peer("ESD-x", "arXiv:2303.07345 Eq. 7, trained for each set", _fit, takes_minutes=True)
