"""The paper's procedure as published, in its three variants: separate, joint, unconstrained.

Kept for comparison and for those who want the reference. Differs from the authors' code in that
gradients are cleared between steps and the teacher is the same model with increments off, where
the authors accumulate gradients and hold two full copies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .application import Branch, attached
from .config import PaperConfig
from .denoiser import CountingDenoiser, OnStep, Progress
from .objective import accumulate_gradients, balance, correlation_loss, mean_l1
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
    coefs = [
        {k: _zeros((d_out, len(basis)), device) for k, d_out in _widths(denoiser.layers).items()}
        for basis in bases
    ]

    def addend(module: str, e: Tensor) -> Tensor:
        return _sum((e.float() @ s.T) @ a[module].T for s, a in zip(scaled, coefs, strict=True))

    def deltas() -> list[Tensor]:
        return [
            _sum(a[module] @ s for s, a in zip(scaled, coefs, strict=True)) for module in coefs[0]
        ]

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
    inputs = {k: int(layer.in_features) for k, layer in layers.items()}
    full = {k: _zeros((d_out, inputs[k]), device) for k, d_out in _widths(layers).items()}

    def addend(module: str, e: Tensor) -> Tensor:
        return e.float() @ full[module].T

    def deltas() -> list[Tensor]:
        return list(full.values())

    task = _Task(denoiser, layers, addend, prompts, latents, generator)
    statistics, converged = _optimise(task, deltas(), deltas, config, on_step)
    return Outcome([{k: w.detach().cpu() for k, w in full.items()}], statistics, converged)


@dataclass(frozen=True, eq=False)
class _Task:
    """Correlation losses of the concepts on freshly noised pictures, four passes each."""

    denoiser: CountingDenoiser
    layers: Mapping[str, nn.Linear]
    addend: Branch
    prompts: Sequence[str]
    latents: Sequence[Tensor]
    generator: torch.Generator

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


def _optimise(
    task: _Task,
    parameters: Sequence[Tensor],
    deltas: Callable[[], list[Tensor]],
    config: PaperConfig,
    on_step: OnStep,
) -> tuple[list[float], bool]:
    optimiser = torch.optim.Adam(parameters, lr=config.learning_rate)
    stop = MomentumStop(config.tau, config.momentum, config.min_steps, absolute=False)
    statistics: list[float] = []
    done = False
    while not done and stop.step < config.max_steps:
        optimiser.zero_grad()
        losses = task.losses()
        total = _sum(eta * loss for eta, loss in zip(balance(losses), losses, strict=True))
        loss = total + config.l1 * mean_l1(deltas())
        with attached(task.layers, task.addend):  # layers may run again on the way back
            accumulate_gradients(loss, parameters, task.latents[0][0].numel())
        optimiser.step()
        done = stop.update(total)
        statistics.append(stop.statistic)
        names, evaluations = ", ".join(task.prompts), task.denoiser.evaluations
        on_step(
            Progress(names, stop.step, config.max_steps, stop.statistic, config.tau, evaluations)
        )
    return statistics, done


def _sum(terms: Iterable[Tensor]) -> Tensor:
    first, *others = terms
    return sum(others, first)


def _widths(layers: Mapping[str, nn.Linear]) -> dict[str, int]:
    return {k: int(layer.out_features) for k, layer in layers.items()}


def _zeros(shape: tuple[int, int], device: torch.device) -> Tensor:
    return torch.zeros(shape, device=device, dtype=torch.float32, requires_grad=True)
