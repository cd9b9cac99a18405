"""Refine: correlation resolved in time, on frozen targets, solved rather than descended.

The paper's loss averages r' ⊙ r over random times without normalisation, so it can be zero on
average while the concept is still drawn. Here ρ(t) is normalised per sample, every step covers all
times, and the worst time decides when to stop. ρ = 0 alone leaves a prediction free to be any other
picture of the concept, so a residual term also draws it to the anchor's.

What is learnt is the closed form's unknown: one shift of the concept's tokens in text space, seen
by every layer through its own weight. Predictions are close to linear in it, so each sample's
gradient is one linear equation that stays useful; a step adds the new ones and solves all of them.
That is Gauss-Newton with a memory, and a step is one forward and one backward pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .application import attached, token_mask
from .config import RefineConfig
from .denoiser import CountingDenoiser, OnStep, Progress
from .embeddings import EncodedPrompt
from .errors import NonFiniteError
from .increment import Increment
from .objective import normalised_correlation
from .stopping import MomentumStop
from .targets import Targets

__all__ = ["Preconditioner", "RefineOutcome", "refine"]

_LAST = 5  # steps whose ρ is averaged for the report


@dataclass(frozen=True, eq=False)
class RefineOutcome:
    """What refining gave.

    Args:
        coef: refined coefficients, `[d_out, n_basis]` float32 on the CPU.
        statistics: the worst running |ρ| after every step.
        rho: mean ρ per time stratum over the last steps, noisiest first, `[n_strata]`.
        converged: whether the stopping rule was met.
    """

    coef: dict[str, Tensor]
    statistics: list[float]
    rho: list[float]
    converged: bool


class Preconditioner:
    """Units in which the concept's coordinates have unit covariance.

    A = W S L⁻¹ with L Lᵀ the covariance of the coordinates z = D e. A column of S is where in text
    space the concept's tokens move when a coordinate grows by its own spread.

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
        self.inverse_factor = torch.linalg.inv(torch.linalg.cholesky(cov))
        """L⁻¹, `[n_basis, n_basis]` float64."""
        self.weights = weights

    def coef(self, shift: Tensor) -> dict[str, Tensor]:
        """What a shift S `[d_text, n_basis]` adds to the coefficients, float32 on the CPU."""
        moved = shift.detach().cpu().double() @ self.inverse_factor
        return {k: (w.to("cpu", torch.float64) @ moved).float() for k, w in self.weights.items()}


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
    branch = _Branch(start, preconditioner, device)
    shift = torch.zeros(start.basis.shape[1], start.n_basis, device=device)
    memory = _Memory(config.damping)
    stop = MomentumStop(config.tau, config.momentum, config.min_steps)
    statistics: list[float] = []
    rhos: list[Tensor] = []
    converged = False
    while not converged and stop.step < config.max_steps:
        picked = _one_per_stratum(trajectories, config.n_strata, generator)
        seen = _look(denoiser, branch, shift, picked, config)
        converged = stop.update(seen.rho)
        statistics.append(stop.statistic)
        rhos.append(seen.rho)
        if not converged:
            memory.add(seen, shift)
            shift = torch.lerp(shift, memory.solution(), config.learning_rate)
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
    added = preconditioner.coef(shift)
    coef = {k: a + added[k] for k, a in start.coef.items()}
    profile = torch.stack(rhos[-_LAST:]).mean(0)
    return RefineOutcome(coef, statistics, profile.tolist(), converged)


@dataclass(frozen=True, eq=False)
class _Seen:
    """One step's samples.

    Args:
        rho: ρ per sample, `[n]`.
        value, gradient: what the equations say is left, `[n]`, and its derivative by the shift,
            `[n, d_text, n_basis]`.
    """

    rho: Tensor
    value: Tensor
    gradient: Tensor


class _Memory:
    """Every equation so far, value + ⟨gradient, S - S_then⟩ = 0, and their damped solution.

    Solved in the space of equations, of which there are hundreds where the shift has thousands of
    entries: S = Gᵀ (G Gᵀ + damping · mean diagonal)⁻¹ y, the smallest shift that satisfies them.
    """

    def __init__(self, damping: float) -> None:
        self._damping = damping
        self._gradients: list[Tensor] = []
        self._wanted: list[Tensor] = []

    def add(self, seen: _Seen, shift: Tensor) -> None:
        self._gradients.append(seen.gradient)
        self._wanted.append((seen.gradient * shift).sum((1, 2)) - seen.value)

    def solution(self) -> Tensor:
        gradients, wanted = torch.cat(self._gradients), torch.cat(self._wanted).double()
        rows = gradients.flatten(1).double()
        gram = rows @ rows.T
        gram.diagonal().add_(self._damping * gram.diagonal().mean().clamp_min(1e-30))
        found = rows.T @ torch.linalg.solve(gram, wanted)
        return found.view(gradients.shape[1:]).to(gradients.dtype)


class _Branch:
    """The start and a shift per sample, gated like the exact application will gate them."""

    def __init__(self, start: Increment, units: Preconditioner, device: torch.device) -> None:
        self.layers = list(start.coef)
        self._start = start
        self._basis = start.basis.to(device, torch.float32)
        self._coef = {k: a.to(device, torch.float32) for k, a in start.coef.items()}
        self._weights = {k: units.weights[k].to(device, torch.float32) for k in start.coef}
        self._whiten = units.inverse_factor.T.to(device, torch.float32)
        self.shifts = torch.zeros(0)

    def __call__(self, module: str, embeddings: Tensor) -> Tensor:
        e = embeddings.float()
        z = e @ self._basis.T
        mask = token_mask(z.norm(dim=-1), e.norm(dim=-1), self._start, embeddings.dtype)
        z = torch.where(mask[..., None], z, 0)
        moved = z @ self._whiten @ self.shifts.mT
        return z @ self._coef[module].T + moved @ self._weights[module].T


def _look(
    denoiser: CountingDenoiser,
    branch: _Branch,
    shift: Tensor,
    picked: Sequence[tuple[Targets, int]],
    config: RefineConfig,
) -> _Seen:
    """One forward and one backward pass over all strata, a few at a time to save memory."""
    parts = [
        _equations(denoiser, branch, shift, _batch(picked[i : i + config.n_at_once]), config)
        for i in range(0, len(picked), config.n_at_once)
    ]
    return _Seen(*(torch.cat([getattr(p, f) for p in parts]) for f in ("rho", "value", "gradient")))


def _equations(
    denoiser: CountingDenoiser, branch: _Branch, shift: Tensor, batch: _Batch, config: RefineConfig
) -> _Seen:
    """Per sample: the steepest direction of ρ² + residual · ‖r'‖² / ‖r‖² shall vanish from r'.

    The loss is quadratic in r', so along its unit gradient r' is twice the loss over the gradient's
    length; from an untouched model that is 1, from one that draws the anchor 0.
    """
    branch.shifts = shift.expand(len(batch.x), *shift.shape).clone().requires_grad_()
    with attached({k: denoiser.layers[k] for k in branch.layers}, branch):
        erased = (denoiser(batch.x, batch.sigma, batch.prompts) - batch.anchor).flatten(1)
        rho, value = _left(erased, batch.target.flatten(1), config.residual)
        # Entries of a mean over a latent would be flushed to zero in float16.
        n = erased.shape[1]
        gradient = torch.autograd.grad(value.sum() * n, branch.shifts)[0] / n
    _check_finite(gradient)
    return _Seen(rho.detach(), 2 * value.detach(), gradient)


def _left(erased: Tensor, target: Tensor, residual: float) -> tuple[Tensor, Tensor]:
    """ρ per sample, and the loss over its steepest slope, half of what is to vanish, `[n]`."""
    size = target.norm(dim=1).clamp_min(1e-10)
    rho = normalised_correlation(erased, target)
    loss = rho.square() + residual * erased.square().sum(1) / size.square()
    with torch.no_grad():
        steepest = 2 * (rho[:, None] * target + residual * erased)
        scale = (steepest.norm(dim=1) / size).clamp_min(1e-10)
    return rho, loss / scale


def _check_finite(gradient: Tensor) -> None:
    if not bool(torch.isfinite(gradient).all()):
        raise NonFiniteError("A gradient is NaN or infinite. Use a model in bfloat16 or float32.")


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
    """One noised latent from every time interval, each from another drawing as far as they go."""
    order = torch.randperm(len(trajectories), generator=generator).tolist()
    picked: list[tuple[Targets, int]] = []
    for stratum in range(n_strata):
        trajectory = trajectories[order[stratum % len(order)]]
        first, last = _bounds(trajectory, n_strata, stratum)
        at = int(torch.randint(first, last, (1,), generator=generator))
        picked.append((trajectory, at))
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
