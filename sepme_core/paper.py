"""The paper's procedure as published, in its three variants: separate, joint, unconstrained.

Kept for comparison and for those who want the reference. Differs from the authors' code in that
gradients are cleared between steps and the teacher is the same model with increments off, where
the authors accumulate gradients and hold two full copies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .application import attached
from .config import PaperConfig
from .denoiser import CountingDenoiser, OnStep, Progress
from .objective import balance, correlation_loss, mean_l1
from .stopping import MomentumStop

__all__ = ["Outcome", "train_decoupled", "train_unconstrained"]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What training gave.

    Args:
        weights: one mapping module path -> tensor per concept.
        statistics: the momentum statistic after every step.
        converged: whether the stopping rule was met.
    """

    weights: list[dict[str, Tensor]]
    statistics: list[float]
    converged: bool


def train_decoupled(
    denoiser: CountingDenoiser,
    prompts: Sequence[str],
    bases: Sequence[Tensor],
    latents: Sequence[Tensor],
    config: PaperConfig,
    generator: torch.Generator,
    on_step: OnStep,
) -> Outcome:
    """Trains coefficients on fixed null-space bases, ΔW = A (β S); one concept or several jointly.

    Args:
        prompts: one per concept, the bare names.
        bases: S per concept, `[n_basis, d_text]`.
        latents: clean pictures per concept, `[n, *latent]`.
        generator: on the CPU; draws pictures, times and noise.
    Returns:
        coefficients of S with β folded in, `[d_out, n_basis]` float32.
    Source: SRS-ME Eq. 27-37; separate for one prompt, joint (†) for several.
    """
    device = latents[0].device
    scaled = [config.beta * basis.to(device, torch.float32) for basis in bases]
    coefs = [_zeros(denoiser.layers, basis.shape[0], device) for basis in bases]

    def addend(module: str, e: Tensor) -> Tensor:
        parts = [(e.float() @ s.T) @ a[module].T for s, a in zip(scaled, coefs, strict=True)]
        return sum(parts[1:], parts[0])

    def deltas() -> list[Tensor]:
        summed = zip(
            *[[a @ s for a in c.values()] for s, c in zip(scaled, coefs, strict=True)], strict=True
        )
        return [sum(parts[1:], parts[0]) for parts in summed]

    task = _Task(denoiser, denoiser.layers, addend, prompts, latents, generator)
    parameters = [p for c in coefs for p in c.values()]
    statistics, converged = _optimise(task, parameters, deltas, config, on_step)
    weights = [{k: (config.beta * a).detach().cpu() for k, a in c.items()} for c in coefs]
    return Outcome(weights, statistics, converged)


def train_unconstrained(
    denoiser: CountingDenoiser,
    prompts: Sequence[str],
    latents: Sequence[Tensor],
    config: PaperConfig,
    generator: torch.Generator,
    on_step: OnStep,
) -> Outcome:
    """Trains all cross-attention weights without decoupling. Not separable.

    Returns:
        a single ΔW per layer, `[d_out, d_in]` float32.
    Source: SRS-ME, the variant marked ‡.
    """
    device = latents[0].device
    layers = denoiser.cross_attention
    full = {k: _leaf(layer.weight.shape, device) for k, layer in layers.items()}  # type: ignore[union-attr]

    def addend(module: str, e: Tensor) -> Tensor:
        return e.float() @ full[module].T

    task = _Task(denoiser, layers, addend, prompts, latents, generator)
    statistics, converged = _optimise(
        task, list(full.values()), lambda: list(full.values()), config, on_step
    )
    return Outcome([{k: w.detach().cpu() for k, w in full.items()}], statistics, converged)


class _Task:
    """Correlation losses of the concepts on fresh noised pictures, four passes each."""

    def __init__(self, denoiser, layers, addend, prompts, latents, generator) -> None:  # noqa: ANN001
        self.denoiser: CountingDenoiser = denoiser
        self.layers: Mapping[str, nn.Module] = layers
        self.addend = addend
        self.prompts: Sequence[str] = prompts
        self.latents: Sequence[Tensor] = latents
        self.generator: torch.Generator = generator

    def losses(self) -> list[Tensor]:
        return [self._loss(p, z) for p, z in zip(self.prompts, self.latents, strict=True)]

    def _loss(self, prompt: str, latents: Tensor) -> Tensor:
        g = self.generator
        z = latents[torch.randint(len(latents), (1,), generator=g)]
        sigma = self.denoiser.sigmas(torch.rand(1, generator=g)).to(z.device)
        x = self.denoiser.add_noise(z, torch.randn(z.shape, generator=g).to(z), sigma)
        with torch.no_grad():
            original = self.denoiser(x, sigma, [prompt]) - self.denoiser(x, sigma, [""])
        with attached(self.layers, self.addend):
            erased = self.denoiser(x, sigma, [prompt]) - self.denoiser(x, sigma, [""])
        return correlation_loss(erased, original)


def _optimise(task: _Task, parameters, deltas, config: PaperConfig, on_step: OnStep):  # noqa: ANN001, ANN202
    optimiser = torch.optim.Adam(parameters, lr=config.learning_rate)
    stop = MomentumStop(config.tau, config.momentum, config.min_steps, absolute=False)
    statistics: list[float] = []
    for step in range(1, config.max_steps + 1):
        optimiser.zero_grad()
        losses = task.losses()
        total = sum((eta * loss for eta, loss in zip(balance(losses), losses, strict=True)))
        (total + config.l1 * mean_l1(deltas())).backward()
        optimiser.step()
        done = stop.update(total)
        statistics.append(stop.statistic)
        on_step(
            Progress(
                ", ".join(task.prompts),
                step,
                config.max_steps,
                stop.statistic,
                config.tau,
                task.denoiser.evaluations,
            )
        )
        if done:
            return statistics, True
    return statistics, False


def _zeros(
    layers: Mapping[str, nn.Module], n_basis: int, device: torch.device
) -> dict[str, Tensor]:
    return {k: _leaf((layer.weight.shape[0], n_basis), device) for k, layer in layers.items()}  # type: ignore[union-attr,index]


def _leaf(shape, device: torch.device) -> Tensor:  # noqa: ANN001
    return torch.zeros(tuple(shape), device=device, dtype=torch.float32, requires_grad=True)
