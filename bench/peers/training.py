"""What the trained peers share: drawings as training data, and ΔW trained by Adam.

One training per set of concepts, from the original model; each step takes the next concept of the
set. Differs from the authors' codes, which draw or noise afresh in every step: every phrasing is
drawn once, a step takes some times of such a drawing, and all trainings share them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bench.peers.prompts import Phrasing, phrasings
from bench.studio import Studio
from bench.tasks import State, Task

__all__ = ["N_STEPS", "Batch", "Drawings", "Settings", "mean_square", "train", "untouched"]

N_STEPS = 20  # of every drawing


@dataclass(frozen=True)
class Settings:
    """How a peer trains.

    Args:
        learning_rate: of Adam.
        steps: for each concept of the set.
        batch: times of one drawing that a step looks at.
    """

    learning_rate: float
    steps: int
    batch: int = 4


class Batch(NamedTuple):
    """Some times of one drawing.

    Args:
        x: noised latents, `[n, *latent]`.
        sigma: noise levels, `[n]`.
        eps, eps_uncond: what the untouched model predicts with the drawn prompt and without.
    """

    prompt: Phrasing
    x: Tensor
    sigma: Tensor
    eps: Tensor
    eps_uncond: Tensor


class Drawings:
    """Guided drawings of the untouched model, one of each phrasing of every erasable concept.

    All drawn before any training: while one runs, its ΔW is in layers that all clones share.
    """

    def __init__(self, studio: Studio, task: Task) -> None:
        with untouched(studio) as denoiser:
            self._kept: dict[str, list[tuple[Phrasing, Any]]] = {
                name: [
                    (p, denoiser.trajectory(p.text, seed, N_STEPS))
                    for seed, p in enumerate(phrasings(task, name))
                ]
                for name in task.erasable
            }

    def batch(self, name: str, n: int, generator: torch.Generator) -> Batch:
        """Random times of a random drawing of the concept."""
        kept = self._kept[name]
        prompt, seen = kept[int(torch.randint(len(kept), (1,), generator=generator))]
        at = torch.randperm(len(seen.sigma), generator=generator)[:n]
        return Batch(prompt, seen.x[at], seen.sigma[at], seen.eps_concept[at], seen.eps_uncond[at])


@contextmanager
def untouched(studio: Studio) -> Iterator[Any]:
    """A denoiser to draw training data with."""
    with studio.host.computing(), torch.no_grad():
        yield studio.denoiser()


def train(
    studio: Studio,
    layers: Mapping[str, nn.Linear],
    erased: State,
    settings: Settings,
    loss: Callable[[str, torch.Generator], Tensor],
) -> Any:
    """A host MODEL with trained ΔW on the layers.

    Args:
        loss: of one concept, with ΔW in place.
    """
    from sepme_pack.sepme_core.application import attached  # noqa: PLC0415  (there by now)

    deltas = {k: _zeros(layer) for k, layer in layers.items()}
    optimiser = torch.optim.Adam(deltas.values(), lr=settings.learning_rate)
    generator = torch.Generator().manual_seed(0)
    names = sorted(erased)

    def branch(module: str, inputs: Tensor) -> Tensor:
        return inputs.float() @ deltas[module].T

    with studio.host.computing(), attached(layers, branch):
        for step in range(settings.steps * len(names)):
            optimiser.zero_grad()
            loss(names[step % len(names)], generator).backward()
            optimiser.step()
    return studio.changed({k: delta.detach().cpu() for k, delta in deltas.items()})


def mean_square(eps: Tensor, target: Tensor) -> Tensor:
    """Summed over a latent and averaged over the batch; Adam does not mind the factor.

    A mean over entries gives gradients that half precision flushes to zero.
    """
    return (eps.float() - target.float()).square().flatten(1).sum(1).mean()


def _zeros(layer: nn.Linear) -> Tensor:
    shape, device = (layer.out_features, layer.in_features), layer.weight.device
    return torch.zeros(shape, device=device, requires_grad=True)
