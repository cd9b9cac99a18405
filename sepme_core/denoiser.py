"""What the gradient methods need of a diffusion model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

__all__ = ["CountingDenoiser", "Denoiser", "OnStep", "Progress", "Trajectory"]


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One guided drawing of a prompt, as the sampler saw it.

    Sampling yields, at every step, exactly the frozen targets that erasing needs, so they cost no
    further denoiser call (method section "trajectory reuse").

    Args:
        prompt: what was drawn.
        x: noised latents, `[n_steps, *latent]`, in the model's scale.
        sigma: noise levels, `[n_steps]`.
        eps_concept, eps_uncond: noise predictions with the prompt and with the empty prompt,
            `[n_steps, *latent]`.
    """

    prompt: str
    x: Tensor
    sigma: Tensor
    eps_concept: Tensor
    eps_uncond: Tensor


class Denoiser(Protocol):
    """A diffusion model with its text encoder."""

    @property
    def layers(self) -> Mapping[str, nn.Linear]:
        """Text-only layers by module path; each takes embeddings `[batch, n_tokens, d_text]`."""
        ...

    @property
    def cross_attention(self) -> Mapping[str, nn.Linear]:
        """All linear layers of the cross-attention blocks, image-dependent ones included."""
        ...

    def __call__(self, x: Tensor, sigma: Tensor, prompts: Sequence[str]) -> Tensor:
        """Predicted noise `[n, *latent]` for noised latents, noise levels `[n]` and n prompts.

        To save memory it may run layers again in the backward pass: what is attached to them stays
        attached until then.
        """
        ...

    def add_noise(self, latents: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        """Clean latents brought to noise levels `[n]`."""
        ...

    def sigmas(self, fractions: Tensor) -> Tensor:
        """Noise levels at fractions of the schedule, 0 = clean, 1 = noisiest, float32."""
        ...

    def draw(self, prompt: str, n: int, seed: int, n_steps: int) -> Tensor:
        """Clean latents of n guided pictures, `[n, *latent]`, in the model's scale."""
        ...

    def trajectory(self, prompt: str, seed: int, n_steps: int) -> Trajectory:
        """One guided picture with everything seen on the way."""
        ...


@dataclass(frozen=True)
class Progress:
    """Where a computation stands.

    Args:
        concept: what is being erased, or read.
        step, max_steps: optimiser steps done and allowed; where nothing is trained, units.
        statistic: the momentum statistic of the correlation; erasing stops at `tau`. None where
            nothing is trained.
        evaluations: denoiser evaluations so far, forward = 1, backward = 2, per picture.
        unit: what is counted where nothing is trained.
    """

    concept: str
    step: int
    max_steps: int
    statistic: float | None = None
    tau: float = 0.0
    evaluations: int = 0
    unit: str = "concepts"


OnStep = Callable[[Progress], None]
"""Called after every step. Raising from it cancels the computation."""


class CountingDenoiser:
    """A denoiser that counts its evaluations: a forward pass is one per picture, backward two."""

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self.evaluations = 0

    @property
    def layers(self) -> Mapping[str, nn.Linear]:
        """See `Denoiser`."""
        return self._denoiser.layers

    @property
    def cross_attention(self) -> Mapping[str, nn.Linear]:
        """See `Denoiser`."""
        return self._denoiser.cross_attention

    def __call__(self, x: Tensor, sigma: Tensor, prompts: Sequence[str]) -> Tensor:
        """See `Denoiser`."""
        self.evaluations += len(x) * (3 if torch.is_grad_enabled() else 1)
        return self._denoiser(x, sigma, prompts)

    def add_noise(self, latents: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        """See `Denoiser`."""
        return self._denoiser.add_noise(latents, noise, sigma)

    def sigmas(self, fractions: Tensor) -> Tensor:
        """See `Denoiser`."""
        return self._denoiser.sigmas(fractions)

    def draw(self, prompt: str, n: int, seed: int, n_steps: int) -> Tensor:
        """See `Denoiser`; with guidance two evaluations a step."""
        self.evaluations += 2 * n * n_steps
        return self._denoiser.draw(prompt, n, seed, n_steps)

    def trajectory(self, prompt: str, seed: int, n_steps: int) -> Trajectory:
        """See `Denoiser`; with guidance two evaluations a step."""
        self.evaluations += 2 * n_steps
        return self._denoiser.trajectory(prompt, seed, n_steps)
