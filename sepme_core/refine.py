"""Refine: correlation resolved in time, on reused trajectories, with preconditioned coefficients.

The paper's loss averages r' ⊙ r over random times without normalisation, so it can be zero on
average while the concept is still drawn. Here ρ(t) is normalised per sample, every step covers all
times, and the worst time decides when to stop. ρ = 0 alone leaves a prediction free to be any other
picture of the concept, so a residual term also draws it to the anchor's. The anchor's prediction is
frozen like the target: what remains per step is one forward and one backward pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .application import attached, token_mask
from .concepts import ConceptPrompt
from .config import RefineConfig
from .denoiser import CountingDenoiser, OnStep, Progress, Trajectory
from .embeddings import EncodedPrompt
from .increment import Increment
from .objective import accumulate_gradients, normalised_correlation
from .stopping import MomentumStop

__all__ = ["Preconditioner", "RefineOutcome", "Targets", "collect", "noised_pictures", "refine"]


@dataclass(frozen=True, eq=False)
class RefineOutcome:
    """What refining gave.

    Args:
        coef: refined coefficients, `[d_out, n_basis]` float32 on the CPU.
        statistics: the worst running |ρ| after every step.
        rho: mean ρ per time stratum afterwards, noisiest first, `[n_strata]`.
        converged: whether the stopping rule was met.
    """

    coef: dict[str, Tensor]
    statistics: list[float]
    rho: list[float]
    converged: bool


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


class Preconditioner:
    """Units in which the concept's coordinates have unit covariance and outputs unit RMS.

    A = rms · B · L⁻¹ with L Lᵀ the covariance of the coordinates z = D e. A coefficient of one then
    moves a layer's output by its own RMS, whatever the model.

    Args:
        basis: D, `[n_basis, d_text]`.
        prompts: the concept's prompts; only tokens above `threshold` count.
        weights: W by module path, `[d_out, d_text]`.
    """

    def __init__(
        self,
        basis: Tensor,
        prompts: Sequence[EncodedPrompt],
        threshold: float,
        weights: Mapping[str, Tensor],
    ) -> None:
        rows = torch.cat([p.embeddings.to("cpu", torch.float64) for p in prompts])
        share = torch.cat([p.weights() for p in prompts]).square()
        z = rows @ basis.to("cpu", torch.float64).T
        share = share * (z.norm(dim=-1) > threshold * rows.norm(dim=-1))
        cov = (z * share[:, None]).T @ z / share.sum()
        cov.diagonal().add_(1e-6 * cov.diagonal().mean())
        self._factor = torch.linalg.cholesky(cov)
        self._rms = {k: _output_rms(w, rows, share) for k, w in weights.items()}

    @property
    def inverse_factor(self) -> Tensor:
        """L⁻¹, `[n_basis, n_basis]` float64."""
        return torch.linalg.inv(self._factor)

    def rms(self, module: str) -> float:
        """RMS of a layer's output over the concept's tokens."""
        return self._rms[module]

    def to_units(self, coef: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """B from A."""
        return {k: (a.double() @ self._factor / self._rms[k]).float() for k, a in coef.items()}

    def from_units(self, units: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A from B, on the CPU."""
        inverse = self.inverse_factor
        return {
            k: (b.detach().cpu().double() @ inverse * self._rms[k]).float()
            for k, b in units.items()
        }


@torch.no_grad()
def collect(
    denoiser: CountingDenoiser, prompts: Sequence[ConceptPrompt], config: RefineConfig, seed: int
) -> list[Targets]:
    """Draws the concept and its anchor with guidance, and keeps what was seen on the way.

    Another phrasing each time. The concept's drawings give its own targets for nothing; the
    anchor's show where the erased model will go, and there too nothing must pull it back.
    """
    found: list[Targets] = []
    for i, prompt in enumerate(_spread(prompts, config.n_trajectories)):
        seen = denoiser.trajectory(prompt.text, seed + i, config.n_sampling_steps)
        anchor = _predict(denoiser, seen, prompt.anchored) if prompt.anchored else seen.eps_uncond
        found.append(_targets(prompt, seen, seen.eps_concept, anchor))
        seed_beside = seed + config.n_trajectories + i
        seen = denoiser.trajectory(prompt.anchored, seed_beside, config.n_sampling_steps)
        concept = _predict(denoiser, seen, prompt.text)
        found.append(_targets(prompt, seen, concept, seen.eps_concept))
    return found


def _predict(denoiser: CountingDenoiser, seen: Trajectory, prompt: str) -> Tensor:
    return denoiser(seen.x, seen.sigma, [prompt] * len(seen.x))


def _targets(prompt: ConceptPrompt, seen: Trajectory, concept: Tensor, anchor: Tensor) -> Targets:
    return Targets(prompt.text, seen.x, seen.sigma, concept - anchor, anchor)


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


def refine(
    denoiser: CountingDenoiser,
    start: Increment,
    preconditioner: Preconditioner,
    trajectories: Sequence[Targets],
    config: RefineConfig,
    generator: torch.Generator,
    on_step: OnStep,
) -> RefineOutcome:
    """Moves an increment's coefficients until the concept is uncorrelated at every time.

    Args:
        start: closed form or zero coefficients; its basis and dead zone stay as they are.
        trajectories: of `collect` or `noised_pictures`.
        generator: on the CPU; draws steps and trajectories.
    """
    device = trajectories[0].x.device
    units = {
        k: b.to(device).requires_grad_() for k, b in preconditioner.to_units(start.coef).items()
    }
    branch = _Branch(start, preconditioner, units, device)
    optimiser = torch.optim.Adam(list(units.values()), lr=config.learning_rate)
    stop = MomentumStop(config.tau, config.momentum, config.min_steps)
    statistics: list[float] = []
    converged = False
    while not converged and stop.step < config.max_steps:
        optimiser.zero_grad()
        picked = _one_per_stratum(trajectories, config.n_strata, generator)
        rho = _descend(denoiser, branch, picked, list(units.values()), config)
        converged = stop.update(rho)
        statistics.append(stop.statistic)
        if not converged:
            optimiser.step()
        on_step(
            Progress(
                start.concept.name,
                stop.step,
                config.max_steps,
                stop.statistic,
                config.tau,
                denoiser.evaluations,
            )
        )
    profile = _profile(denoiser, branch, trajectories, config.n_strata)
    return RefineOutcome(preconditioner.from_units(units), statistics, profile, converged)


class _Branch:
    """The trainable branch, gated like the exact application will gate it."""

    def __init__(
        self,
        start: Increment,
        units_of: Preconditioner,
        units: dict[str, Tensor],
        device: torch.device,
    ) -> None:
        self.layers = list(start.coef)
        self._start = start
        self._units = units
        self._basis = start.basis.to(device, torch.float32)
        whiten = units_of.inverse_factor.float().to(device)
        self._maps = {k: whiten.T * units_of.rms(k) for k in start.coef}

    def __call__(self, module: str, embeddings: Tensor) -> Tensor:
        e = embeddings.float()
        z = e @ self._basis.T
        mask = token_mask(z.norm(dim=-1), e.norm(dim=-1), self._start, embeddings.dtype)
        z = torch.where(mask[..., None], z, 0)
        return (z @ self._maps[module]) @ self._units[module].T


def _descend(
    denoiser: CountingDenoiser,
    branch: _Branch,
    picked: Sequence[tuple[Targets, int]],
    parameters: Sequence[Tensor],
    config: RefineConfig,
) -> Tensor:
    """Accumulates the gradient over all strata, a few at a time; gives ρ, `[n_strata]`.

    The loss is a mean over samples, so parts give the same gradient in a fraction of the memory.
    """
    found: list[Tensor] = []
    for start in range(0, len(picked), config.n_at_once):
        part = _batch(picked[start : start + config.n_at_once])
        rho, residual = _left(denoiser, branch, part)
        loss = (rho.square() + config.residual * residual).sum() / len(picked)
        accumulate_gradients(loss, parameters, part.x[0].numel())
        found.append(rho.detach())
    size = torch.stack([b.abs().mean() for b in parameters]).mean()
    accumulate_gradients(config.l1 * size, parameters, 1.0)
    return torch.cat(found)


@dataclass(frozen=True, eq=False)
class _Batch:
    x: Tensor
    sigma: Tensor
    target: Tensor
    anchor: Tensor
    prompts: list[str]


def _one_per_stratum(
    trajectories: Sequence[Targets], n_strata: int, generator: torch.Generator
) -> list[tuple[Targets, int]]:
    """One random noised latent from every time interval."""
    picked: list[tuple[Targets, int]] = []
    for stratum in range(n_strata):
        which = int(torch.randint(len(trajectories), (1,), generator=generator))
        first, last = _bounds(trajectories[which], n_strata, stratum)
        at = int(torch.randint(first, last, (1,), generator=generator))
        picked.append((trajectories[which], at))
    return picked


def _bounds(trajectory: Targets, n_strata: int, stratum: int) -> tuple[int, int]:
    n = len(trajectory.sigma)
    first = stratum * n // n_strata
    return first, max(first + 1, (stratum + 1) * n // n_strata)


def _batch(picked: Sequence[tuple[Targets, int]]) -> _Batch:
    return _Batch(
        torch.stack([t.x[i] for t, i in picked]),
        torch.stack([t.sigma[i] for t, i in picked]),
        torch.stack([t.representation[i] for t, i in picked]),
        torch.stack([t.eps_anchor[i] for t, i in picked]),
        [t.prompt for t, _ in picked],
    )


def _left(denoiser: CountingDenoiser, branch: _Branch, batch: _Batch) -> tuple[Tensor, Tensor]:
    """ρ and ‖r'‖² / ‖r‖² per sample, `[n_strata]` each."""
    layers = {k: denoiser.layers[k] for k in branch.layers}
    with attached(layers, branch):
        erased = denoiser(batch.x, batch.sigma, batch.prompts) - batch.anchor
    size = batch.target.flatten(1).square().sum(1).clamp_min(1e-20)
    return normalised_correlation(erased, batch.target), erased.flatten(1).square().sum(1) / size


@torch.no_grad()
def _profile(
    denoiser: CountingDenoiser, branch: _Branch, trajectories: Sequence[Targets], n_strata: int
) -> list[float]:
    """Mean ρ per stratum, from the middle of every interval of every trajectory."""
    rows: list[Tensor] = []
    for trajectory in trajectories:
        middles = [sum(_bounds(trajectory, n_strata, s)) // 2 for s in range(n_strata)]
        rows.append(_left(denoiser, branch, _batch([(trajectory, i) for i in middles]))[0])
    return torch.stack(rows).mean(0).tolist()


def _output_rms(weight: Tensor, rows: Tensor, share: Tensor) -> float:
    used = share > 0
    out = rows[used].float() @ weight.to("cpu", torch.float32).T
    mean_square = (out.square().mean(1) * share[used]).sum() / share.sum()
    return float(mean_square.sqrt().clamp_min(1e-12))
