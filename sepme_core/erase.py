"""From a concept set to increments: the one entry point of the method."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import torch
from torch import Tensor

from .application import noise_floor
from .closed_form import AnchoredPrompt, closed_form_coef, token_map
from .concepts import Concept, ConceptSet
from .config import EraseConfig
from .dead_zone import DeadZone, choose_dead_zone
from .denoiser import CountingDenoiser, Denoiser, OnStep, Progress
from .embeddings import EncodedPrompt, TextEncoder, stack_rows
from .errors import ConceptError, NotSeparableError
from .increment import Increment, Provenance
from .leak import Leak, measure_leak
from .nullspace import Span, concept_basis, null_space, rank_rtol, row_space
from .paper import train_decoupled, train_unconstrained
from .refine import Preconditioner, collect, noised_pictures, refine

__all__ = ["Erasure", "Plan", "erase"]

_HEADROOM = 2.0  # of an exact basis' dead zone over its largest protected component


@dataclass(frozen=True, eq=False)
class Plan:
    """One concept with its directions, before any coefficient is known."""

    concept: Concept
    prompts: list[AnchoredPrompt]
    protected: list[EncodedPrompt]
    protected_span: Span
    basis: Tensor
    dead_zone: DeadZone
    surviving: float
    energy_kept: float

    @property
    def encoded(self) -> list[EncodedPrompt]:
        """The concept's own prompts."""
        return [p.concept for p in self.prompts]


@dataclass(frozen=True, eq=False)
class Erasure:
    """One increment with everything measured on the way.

    Args:
        plan: None for unconstrained increments, which have no basis.
        statistics: stopping statistic after every optimiser step; empty for the closed form.
        rho: mean ρ(t) per time stratum, noisiest first; empty unless refined.
        evaluations: denoiser evaluations, forward = 1, backward = 2, per picture.
        seconds: wall time with drawing, without text encoding.
    """

    increment: Increment
    plan: Plan | None
    leak: Leak | None
    statistics: list[float] = field(default_factory=list[float])
    rho: list[float] = field(default_factory=list[float])
    converged: bool = True
    evaluations: int = 0
    seconds: float = 0.0


def erase(
    concepts: ConceptSet,
    chosen: Sequence[Concept],
    encode: TextEncoder,
    weights: Mapping[str, Tensor],
    config: EraseConfig,
    *,
    dtype: torch.dtype = torch.float32,
    provenance: Provenance | None = None,
    denoiser: Denoiser | None = None,
    latents: Tensor | None = None,
    on_step: OnStep = lambda _: None,
) -> list[Erasure]:
    """Computes one increment for each chosen concept; nothing it is given is changed.

    Args:
        chosen: which of the concepts to erase; all others are protected from them.
        encode: prompts -> embeddings, rounded as the model will receive them.
        weights: of the text-only layers by module path, `[d_out, d_text]`.
        dtype: in which the model receives prompts; says how large rounding is.
        provenance: family and fingerprints to store; protected prompts and method are filled in.
        denoiser: needed by every method but the closed form.
        latents: clean pictures of the concept in the model's scale, `[n, *latent]`; drawn with the
            denoiser when absent.
        on_step: called after every optimiser step; raising from it cancels.
    Raises:
        NotSeparableError: names the concept that cannot be told from the protected prompts.
        ConceptError: settings out of range, or a denoiser is missing.
    """
    if denoiser is None and config.method != "closed form":
        raise ConceptError(f"The method {config.method!r} needs a denoiser.")
    if latents is not None and len(chosen) > 1 and config.method != "closed form":
        raise ConceptError(
            f"Pictures are given for {len(chosen)} concepts at once, but they show one. Name a "
            "single concept to erase, or leave the pictures away."
        )
    run = _Run(
        concepts,
        encode,
        weights,
        config,
        dtype,
        provenance or Provenance(),
        denoiser,
        latents,
        on_step,
    )
    if config.method == "unconstrained":
        return [run.unconstrained(concept) for concept in chosen]
    plans = [run.plan(concept, number, len(chosen)) for number, concept in enumerate(chosen, 1)]
    if config.method == "paper joint":
        return run.paper(plans)
    if config.method == "paper separate":
        return [erasure for plan in plans for erasure in run.paper([plan])]
    return [run.closed_form_or_refine(plan) for plan in plans]


class _Run:
    """One call of `erase` with its inputs at hand."""

    def __init__(  # noqa: PLR0913
        self,
        concepts: ConceptSet,
        encode: TextEncoder,
        weights: Mapping[str, Tensor],
        config: EraseConfig,
        dtype: torch.dtype,
        provenance: Provenance,
        denoiser: Denoiser | None,
        latents: Tensor | None,
        on_step: OnStep,
    ) -> None:
        self.concepts, self.encode, self.weights, self.config = concepts, encode, weights, config
        self.dtype = dtype
        self.provenance, self.latents, self.on_step = provenance, latents, on_step
        self._denoiser = denoiser

    def plan(self, concept: Concept, number: int, n_concepts: int) -> Plan:
        self.on_step(Progress(concept.name, number, n_concepts))
        own = self.concepts.prompts_of(concept)
        texts, anchored = [p.text for p in own], [p.anchored for p in own]
        protected = self.encode(self.concepts.protected_from(concept))
        prompts = [
            AnchoredPrompt(c, a)
            for c, a in zip(self.encode(texts), self.encode(anchored), strict=True)
        ]
        try:
            return self._plan(concept, prompts, protected)
        except NotSeparableError as error:
            raise NotSeparableError(f"{concept.name!r} cannot be erased: {error}") from error

    def _plan(
        self, concept: Concept, prompts: list[AnchoredPrompt], protected: list[EncodedPrompt]
    ) -> Plan:
        settings, rtol = self.config.basis, rank_rtol(self.dtype)
        own = [p.concept for p in prompts]
        rows, kept = stack_rows(own), stack_rows(protected)
        truncated = settings.protection == "truncated"
        span = row_space(kept, settings.tolerance if truncated else rtol)
        basis = concept_basis(rows, span, energy=settings.energy if truncated else 1.0)
        full = settings.protection == "full"
        directions = null_space(kept, rtol) if full else basis.rows
        floor = noise_floor(self.dtype, len(directions), rows.shape[1])
        threshold = settings.dead_zone if truncated else floor
        zone = choose_dead_zone(directions, own, protected, threshold=threshold, floor=floor)
        if not truncated:
            # Exact bases need a dead zone only against rounding.
            zone = replace(zone, threshold=max(floor, _HEADROOM * zone.largest_protected))
        return Plan(
            concept, prompts, protected, span, directions, zone, basis.surviving, basis.energy_kept
        )

    def closed_form_or_refine(self, plan: Plan) -> Erasure:
        zone, method = plan.dead_zone, self.config.method
        started = time.perf_counter()
        if method == "refine":
            n_basis = len(plan.basis)
            coef = {k: torch.zeros(w.shape[0], n_basis) for k, w in self.weights.items()}
        else:
            basis = self.config.basis
            shift = token_map(
                plan.prompts, plan.basis, zone.largest_protected, basis.ridge, basis.push
            )
            coef = closed_form_coef(shift, self.weights)
        start = self._increment(plan, coef)
        if method == "closed form":
            return self._finish(start, plan, started)
        return self._refined(start, plan, started)

    def _refined(self, start: Increment, plan: Plan, started: float) -> Erasure:
        settings, generator = self.config.refine, self._generator()
        denoiser = self._counting()
        prompts = self.concepts.prompts_of(plan.concept)
        if self.latents is None:
            seen = collect(denoiser, prompts, settings, self.config.seed)
        else:
            seen = noised_pictures(denoiser, prompts, self.latents, settings, generator)
        units = Preconditioner(
            plan.basis, plan.encoded, plan.dead_zone.largest_protected, self.weights
        )
        out = refine(denoiser, start, units, seen, settings, generator, self.on_step)
        return self._finish(
            replace(start, coef=out.coef),
            plan,
            started,
            statistics=out.statistics,
            rho=out.rho,
            converged=out.converged,
            evaluations=denoiser.evaluations,
        )

    def paper(self, plans: Sequence[Plan]) -> list[Erasure]:
        settings, denoiser, started = self.config.paper, self._counting(), time.perf_counter()
        names = [plan.concept.name for plan in plans]
        out = train_decoupled(
            denoiser,
            names,
            [p.basis for p in plans],
            [self._pictures(denoiser, name) for name in names],
            settings,
            self._generator(),
            self.on_step,
        )
        return [
            self._finish(
                self._increment(plan, coef),
                plan,
                started,
                statistics=out.statistics,
                converged=out.converged,
                evaluations=denoiser.evaluations,
            )
            for plan, coef in zip(plans, out.weights, strict=True)
        ]

    def unconstrained(self, concept: Concept) -> Erasure:
        denoiser, started = self._counting(), time.perf_counter()
        out = train_unconstrained(
            denoiser,
            [concept.name],
            [self._pictures(denoiser, concept.name)],
            self.config.paper,
            self._generator(),
            self.on_step,
        )
        increment = Increment(
            concept,
            torch.zeros(0, 0),
            {},
            out.weights[0],
            provenance=replace(self.provenance, method=self._method()),
        )
        return Erasure(
            increment,
            None,
            None,
            out.statistics,
            [],
            out.converged,
            denoiser.evaluations,
            time.perf_counter() - started,
        )

    def _increment(self, plan: Plan, coef: dict[str, Tensor]) -> Increment:
        made = replace(
            self.provenance,
            protected=tuple(p.text for p in plan.protected),
            templates=self.concepts.templates,
            method=self._method(),
        )
        return Increment(
            plan.concept, plan.basis.float(), coef, dead_zone=plan.dead_zone, provenance=made
        )

    def _finish(
        self, increment: Increment, plan: Plan, started: float, **measured: object
    ) -> Erasure:
        leak = measure_leak(increment, plan.protected, self.weights, self.dtype)
        made = replace(increment.provenance, leak=asdict(leak))
        seconds = time.perf_counter() - started
        return Erasure(replace(increment, provenance=made), plan, leak, seconds=seconds, **measured)  # type: ignore[arg-type]

    def _pictures(self, denoiser: CountingDenoiser, prompt: str) -> Tensor:
        if self.latents is not None:
            return self.latents
        paper = self.config.paper
        return denoiser.draw(prompt, paper.n_images, self.config.seed, paper.n_sampling_steps)

    def _method(self) -> dict[str, object]:
        config = self.config
        used: dict[str, object] = {"name": config.method, "seed": config.seed}
        if config.method != "unconstrained":
            used["basis"] = asdict(config.basis)
        if config.method.endswith("refine"):
            used["refine"] = asdict(config.refine)
        if config.method.startswith(("paper", "unconstrained")):
            used["paper"] = asdict(config.paper)
        return used

    def _counting(self) -> CountingDenoiser:
        assert self._denoiser is not None  # checked in `erase`
        return CountingDenoiser(self._denoiser)

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.config.seed)
