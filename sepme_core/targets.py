"""What the untouched model predicts along drawings of a concept, kept as frozen targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .concepts import ConceptPrompt
from .config import RefineConfig
from .denoiser import CountingDenoiser

__all__ = ["Targets", "collect", "noised_pictures"]


@dataclass(frozen=True, eq=False)
class Targets:
    """Frozen predictions of the untouched model along one drawing.

    Args:
        prompt: shows the concept.
        x, sigma: noised latents `[n_steps, *latent]` and noise levels `[n_steps]`.
        representation: r = ε(x, c) - ε(x, anchor), `[n_steps, *latent]`.
        eps_anchor: ε(x, anchor), `[n_steps, *latent]`.
    """

    prompt: str
    x: Tensor
    sigma: Tensor
    representation: Tensor
    eps_anchor: Tensor


@torch.no_grad()
def collect(
    denoiser: CountingDenoiser, prompts: Sequence[ConceptPrompt], config: RefineConfig, seed: int
) -> list[Targets]:
    """Draws the concept, and its anchor from the same noise, and keeps what was seen on the way.

    Another phrasing for every pair. The concept's drawing is guided as users guide it. The anchor's
    shows where the erased model will go, and there too nothing must pull it back. Following it
    looks at the concept beside it, so both are had for two evaluations a step.
    """
    n_pairs = (config.n_trajectories + 1) // 2
    found: list[Targets] = []
    for i, prompt in enumerate(_spread(prompts, n_pairs)):
        led = _led_by_concept(denoiser, prompt, seed + i, config.n_sampling_steps)
        found += [led, _led_by_anchor(denoiser, prompt, led)]
    return found[: config.n_trajectories]


def _led_by_concept(
    denoiser: CountingDenoiser, prompt: ConceptPrompt, seed: int, n_steps: int
) -> Targets:
    """Sampling has seen the empty prompt already; only another anchor is predicted afterwards."""
    seen = denoiser.trajectory(prompt.text, seed, n_steps)
    anchor = seen.eps_uncond
    if prompt.anchored:
        anchor = denoiser(seen.x, seen.sigma, [prompt.anchored] * n_steps)
    return Targets(prompt.text, seen.x, seen.sigma, seen.eps_concept - anchor, anchor)


def _led_by_anchor(denoiser: CountingDenoiser, prompt: ConceptPrompt, beside: Targets) -> Targets:
    """Euler steps along the anchor's prediction, from the noise that `beside` began with."""
    x = beside.x[:1]
    xs: list[Tensor] = []
    predictions: list[Tensor] = []
    lower = torch.cat([beside.sigma[1:], torch.zeros_like(beside.sigma[:1])])
    for sigma, following in zip(beside.sigma, lower, strict=True):
        both = denoiser(torch.cat([x, x]), sigma.expand(2), [prompt.text, prompt.anchored])
        xs.append(x)
        predictions.append(both)
        x = x + both[1:] * (following - sigma)
    concept, anchor = torch.stack(predictions, 1)
    return Targets(prompt.text, torch.cat(xs), beside.sigma, concept - anchor, anchor)


@torch.no_grad()
def noised_pictures(
    denoiser: CountingDenoiser,
    prompts: Sequence[ConceptPrompt],
    latents: Tensor,
    config: RefineConfig,
    generator: torch.Generator,
) -> list[Targets]:
    """The same targets from given pictures of the concept, noised to evenly spaced times.

    Args:
        latents: clean pictures, `[n, *latent]`, in the model's scale.
    """
    n = config.n_sampling_steps
    sigma = denoiser.sigmas(torch.linspace(1, 1 / n, n)).to(latents.device)
    found: list[Targets] = []
    for latent, prompt in zip(latents, _spread(prompts, len(latents)), strict=True):
        clean = latent.expand(n, *latent.shape)
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        x = denoiser.add_noise(clean, noise, sigma)
        anchor = denoiser(x, sigma, [prompt.anchored] * n)
        concept = denoiser(x, sigma, [prompt.text] * n)
        found.append(Targets(prompt.text, x, sigma, concept - anchor, anchor))
    return found


def _spread(prompts: Sequence[ConceptPrompt], n: int) -> list[ConceptPrompt]:
    """As many prompts as asked for, spread over all of them."""
    return [prompts[i * len(prompts) // n % len(prompts)] for i in range(n)]
