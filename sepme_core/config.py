"""Settings of every method, each default with its source."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Literal

from .errors import ConceptError

__all__ = [
    "METHODS",
    "PROTECTIONS",
    "BasisConfig",
    "EraseConfig",
    "PaperConfig",
    "Protection",
    "RefineConfig",
]

METHODS = (
    "closed form",
    "closed form + refine",
    "refine",
    "paper separate",
    "paper joint",
    "unconstrained",
)
Protection = Literal["truncated", "reduced", "full"]
PROTECTIONS: tuple[Protection, ...] = ("truncated", "reduced", "full")


@dataclass(frozen=True)
class BasisConfig:
    """How the directions of a concept are found, and how far its tokens are moved.

    Args:
        protection: `truncated` protects the directions that matter and relies on the dead zone
            for exactness; `reduced` protects every direction and keeps only what the concept
            uses; `full` is the paper's whole null space.
        energy: share of the concept's remaining energy to keep, in (0, 1]. Truncated only.
        max_basis: at most so many directions. Truncated only.
        tolerance: what a token may have outside the protected directions, as a share of its
            length, in (0, 1). Truncated only.
        capacity: share of the text space that protected directions may take, in (0, 1]. Beyond
            it the weakest are left to the dead zone. Truncated only.
        soft: weight of the preserve list against plain shortness of the basis, at least 0. Larger
            hears less of ordinary captions, and less of the concept. Truncated only.
        dead_zone: threshold in (0, 1); None chooses from the data. Truncated only: the exact
            bases need none.
        ridge: of the closed form, relative to the mean squared coordinate, > 0.
        push: factor on the solved shift, of the closed form and after refining, > 0. More than 1
            reaches phrasings that were not given; far more than 1 draws the concept's opposite.
    """

    protection: Protection = "truncated"
    energy: float = 0.97  # docs/choices.md
    max_basis: int = 4  # also bounds the file: 0.4 MB on SD1, 2.7 MB on SDXL
    tolerance: float = 0.1  # docs/choices.md
    capacity: float = 0.5  # docs/choices.md
    soft: float = 1.0  # docs/choices.md
    dead_zone: float | None = None
    ridge: float = 1e-3  # small against unit-variance coordinates; only guards the solve
    push: float = 1.2  # docs/choices.md

    def __post_init__(self) -> None:
        _require("protection", self.protection in PROTECTIONS, self.protection, str(PROTECTIONS))
        _require("energy", 0 < self.energy <= 1, self.energy, "above 0, at most 1")
        _require("tolerance", 0 < self.tolerance < 1, self.tolerance, "between 0 and 1")
        _require("capacity", 0 < self.capacity <= 1, self.capacity, "above 0, at most 1")
        _check_counts(max_basis=self.max_basis)
        _check_not_negative(soft=self.soft)
        _check_positive(ridge=self.ridge, push=self.push)
        if self.dead_zone is not None:
            _require("dead_zone", 0 < self.dead_zone < 1, self.dead_zone, "between 0 and 1")

    def used(self) -> dict[str, object]:
        """The settings that count: exact bases have no others to choose."""
        own = asdict(self)
        kept = ("protection", "ridge", "push")
        return own if self.protection == "truncated" else {k: own[k] for k in kept}


@dataclass(frozen=True)
class PaperConfig:
    """The paper's objective as published (SRS-ME section on settings, Eq. 34-37).

    Args:
        learning_rate: of Adam. Source: SRS-ME; 1e-5 for unconstrained.
        beta: scale of the basis, ΔW = A (β S). Source: SRS-ME, Eq. 36.
        l1: λ, weight of the L1 term. Source: SRS-ME, Eq. 34.
        tau: stop when the momentum statistic falls to it. Source: SRS-ME, Eq. 37.
        momentum: α. Source: SRS-ME, Eq. 37.
        min_steps: no stop before. Source: the authors' code.
        max_steps: Source: SRS-ME.
        n_images: pictures of the concept that the noised latents come from.
        n_sampling_steps: guided steps per picture. Source: the authors' code.
    """

    learning_rate: float = 0.1
    beta: float = 1e-4
    l1: float = 1e-6
    tau: float = 1e-4
    momentum: float = 0.9
    min_steps: int = 10
    max_steps: int = 1000
    n_images: int = 4
    n_sampling_steps: int = 50

    def __post_init__(self) -> None:
        _check_optimiser(self.learning_rate, self.max_steps, self.momentum)
        _check_counts(n_images=self.n_images, n_sampling_steps=self.n_sampling_steps)
        _check_positive(beta=self.beta)
        _check_not_negative(l1=self.l1, tau=self.tau)
        _check_counts(0, min_steps=self.min_steps)


@dataclass(frozen=True)
class RefineConfig:
    """The time-resolved objective and how its equations are solved.

    Args:
        learning_rate: share of the way to the solution that a step goes, 1 for all of it.
        damping: of the solve, relative to the equations' mean square, > 0. Larger trusts single
            equations less and moves less.
        residual: weight of ‖r'‖² / ‖r‖² beside ρ², which draws the prediction to the anchor's.
        tau: stop when the worst |ρ(t)| over the strata falls to it.
        momentum: α. The paper's 0.9 remembers its start for 37 steps at this tau. Less than that
            stops earlier; what is drawn afterwards is in README's table.
        min_steps: as in the paper.
        max_steps: from a zero start; from the closed form about ten suffice.
        n_at_once: samples per backward pass. More is faster and takes more memory.
        n_strata: time intervals that every step covers and whose statistics are kept apart.
        n_trajectories: drawings, in pairs of one phrasing: one led by the concept, one by its
            anchor.
        n_sampling_steps: steps per drawing.
    """

    learning_rate: float = 1.0
    damping: float = 0.03
    residual: float = 0.5
    tau: float = 0.02
    momentum: float = 0.7
    min_steps: int = 10
    max_steps: int = 60
    n_at_once: int = 5
    n_strata: int = 5
    n_trajectories: int = 8
    n_sampling_steps: int = 5

    def __post_init__(self) -> None:
        _check_optimiser(self.learning_rate, self.max_steps, self.momentum)
        _check_positive(damping=self.damping)
        _check_not_negative(residual=self.residual, tau=self.tau)
        _check_counts(0, min_steps=self.min_steps)
        _check_counts(
            n_strata=self.n_strata,
            n_trajectories=self.n_trajectories,
            n_sampling_steps=self.n_sampling_steps,
            n_at_once=self.n_at_once,
        )


@dataclass(frozen=True)
class EraseConfig:
    """Everything `erase` needs to know beside the concepts."""

    method: str = "closed form"
    basis: BasisConfig = field(default_factory=BasisConfig)
    paper: PaperConfig = field(default_factory=PaperConfig)
    refine: RefineConfig = field(default_factory=RefineConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        _require("method", self.method in METHODS, self.method, ", ".join(METHODS))
        _check_counts(0, seed=self.seed)

    @property
    def draws(self) -> bool:
        """Whether the method draws pictures, by a seed."""
        return self.method != "closed form"

    def used(self) -> dict[str, object]:
        """The settings that the method's results depend on, JSON-ready, and its name."""
        used: dict[str, object] = {"name": self.method}
        if self.draws:
            used["seed"] = self.seed
        if self.method != "unconstrained":
            used["basis"] = self.basis.used()
        if self.method.endswith("refine"):
            used["refine"] = asdict(self.refine)
        if self.method.startswith(("paper", "unconstrained")):
            used["paper"] = asdict(self.paper)
        return used


def _check_optimiser(learning_rate: float, max_steps: int, momentum: float) -> None:
    _check_positive(learning_rate=learning_rate)
    _require("momentum", 0 <= momentum < 1, momentum, "at least 0, below 1")
    _check_counts(max_steps=max_steps)


def _check_counts(least: int = 1, **counts: int) -> None:
    for name, count in counts.items():
        whole = isinstance(count, int)  # pyright: ignore[reportUnnecessaryIsInstance]
        _require(name, whole and count >= least, count, f"a whole number of at least {least}")


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        _require(name, 0 < value < math.inf, value, "above 0, and finite")


def _check_not_negative(**values: float) -> None:
    for name, value in values.items():
        _require(name, 0 <= value < math.inf, value, "at least 0, and finite")


def _require(name: str, holds: bool, got: object, expected: str) -> None:
    if not holds:
        raise ConceptError(f"{name} is {got!r}, expected {expected}.")
