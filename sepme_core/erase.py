"""From a concept set to increments: the one entry point of the method."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import torch
from torch import Tensor

from .anchors import with_anchors
from .closed_form import closed_form_coefs, token_map
from .concepts import Concept, ConceptSet
from .config import EraseConfig
from .denoiser import CountingDenoiser, Denoiser, OnStep
from .embeddings import TextEncoder
from .errors import ConceptError
from .increment import Increment, Provenance
from .leak import Leak, measure_leak, measure_leaks
from .paper import train_decoupled, train_unconstrained
from .planning import Plan, make_plans
from .preserve import MomentOf, list_digest
from .refine import Preconditioner, refine
from .targets import collect, noised_pictures

__all__ = ["Erasure", "erase"]


@dataclass(frozen=True, eq=False)
class Erasure:
    """One increment with everything measured on the way.

    Args:
        plan: None for unconstrained increments, which have no basis.
        statistics: stopping statistic after every optimiser step; empty for the closed form.
        rho: mean ρ(t) per time stratum, noisiest first; empty unless refined.
        evaluations: denoiser evaluations, forward = 1, backward = 2, per picture.
        seconds: wall time with drawing, after text encoding and planning.
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
    beside: Sequence[Concept] = (),
    dtype: torch.dtype = torch.float32,
    provenance: Provenance | None = None,
    denoiser: Denoiser | None = None,
    latents: Tensor | None = None,
    moment_of: MomentOf | None = None,
    on_step: OnStep = lambda _: None,
) -> list[Erasure]:
    """Computes one increment for each chosen concept; nothing it is given is changed.

    Args:
        chosen: which of the concepts to erase; all others are protected from them.
        encode: prompts -> embeddings, rounded as the model will receive them.
        weights: of the text-only layers by module path, `[d_out, d_text]`.
        beside: what else is erased, or may be switched on: nothing falls back to it unasked.
        dtype: in which the model receives prompts; says how large rounding is.
        provenance: family and fingerprints to store; protected prompts and method are filled in.
        denoiser: needed by every method but the closed form.
        latents: clean pictures of the concept in the model's scale, `[n, *latent]`; drawn with the
            denoiser when absent.
        moment_of: the second moment of captions; computed with `encode` when absent.
        on_step: called after every optimiser step; raising from it cancels.
    Raises:
        NotSeparableError: names the concept that cannot be told from the protected prompts.
        ConceptError: settings out of range, or a denoiser is missing.
    """
    if denoiser is None and config.draws:
        raise ConceptError(f"The method {config.method!r} needs a denoiser.")
    if latents is not None and len(chosen) > 1 and config.draws:
        raise ConceptError(
            f"Pictures are given for {len(chosen)} concepts at once, but they show one. Name a "
            "single concept to erase, or leave the pictures away."
        )
    concepts, chosen = with_anchors(concepts, chosen, encode, beside)
    run = _Run(
        concepts=concepts,
        weights=weights,
        config=config,
        dtype=dtype,
        provenance=provenance or Provenance(),
        denoiser=denoiser,
        latents=latents,
        on_step=on_step,
    )
    if config.method == "unconstrained":
        return [run.unconstrained(concept) for concept in chosen]
    plans = make_plans(concepts, chosen, encode, config.basis, dtype, moment_of, on_step)
    if config.method == "paper joint":
        return run.paper(plans)
    if config.method == "paper separate":
        return [erasure for plan in plans for erasure in run.paper([plan])]
    return run.closed_form_and_refine(plans)


@dataclass(frozen=True, eq=False)
class _Run:
    """One call of `erase` with its inputs at hand."""

    concepts: ConceptSet
    weights: Mapping[str, Tensor]
    config: EraseConfig
    dtype: torch.dtype
    provenance: Provenance
    denoiser: Denoiser | None
    latents: Tensor | None
    on_step: OnStep

    def closed_form_and_refine(self, plans: Sequence[Plan]) -> list[Erasure]:
        started = time.perf_counter()
        if self.config.method == "refine":
            coefs = [self._zero(plan) for plan in plans]
        else:
            coefs = closed_form_coefs([self._shift(p) for p in plans], self.weights)
        starts = [self._increment(p, c) for p, c in zip(plans, coefs, strict=True)]
        if self.config.method == "closed form":
            return self._measured(starts, plans, started)
        return [self._refined(s, p) for s, p in zip(starts, plans, strict=True)]

    def _zero(self, plan: Plan) -> dict[str, Tensor]:
        return {k: torch.zeros(w.shape[0], len(plan.basis)) for k, w in self.weights.items()}

    def _shift(self, plan: Plan) -> Tensor:
        basis, least = self.config.basis, plan.dead_zone.largest_protected
        return token_map(plan.prompts, plan.basis, least, basis.ridge, basis.push)

    def _measured(
        self, increments: Sequence[Increment], plans: Sequence[Plan], started: float
    ) -> list[Erasure]:
        """All at once; the time is shared evenly."""
        prompts = [plan.furthest for plan in plans]
        leaks = measure_leaks(increments, prompts, self.weights, self.dtype)
        seconds = (time.perf_counter() - started) / len(plans)
        return [
            _erasure(increment, plan, leak, seconds)
            for increment, plan, leak in zip(increments, plans, leaks, strict=True)
        ]

    def _refined(self, start: Increment, plan: Plan) -> Erasure:
        started = time.perf_counter()
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
        # Solved on known phrasings; others get a part of the shift, as with the closed form.
        pushed = replace(start, coef=out.coef).scaled(self.config.basis.push)
        return replace(
            self._finish(pushed, plan, started),
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
            replace(
                self._finish(self._increment(plan, coef), plan, started),
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

    def _finish(self, increment: Increment, plan: Plan, started: float) -> Erasure:
        leak = measure_leak(increment, plan.furthest, self.weights, self.dtype)
        return _erasure(increment, plan, leak, time.perf_counter() - started)

    def _pictures(self, denoiser: CountingDenoiser, prompt: str) -> Tensor:
        if self.latents is not None:
            return self.latents
        paper = self.config.paper
        return denoiser.draw(prompt, paper.n_images, self.config.seed, paper.n_sampling_steps)

    def _method(self) -> dict[str, object]:
        used = self.config.used()
        if "basis" in used:
            used["preserve"] = list_digest(self.concepts.preserve)
        return used

    def _counting(self) -> CountingDenoiser:
        assert self.denoiser is not None  # checked in `erase`
        return CountingDenoiser(self.denoiser)

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.config.seed)


def _erasure(increment: Increment, plan: Plan, leak: Leak, seconds: float) -> Erasure:
    """With the leak in the increment as well, so that its file carries it."""
    made = replace(increment.provenance, leak=asdict(leak))
    return Erasure(replace(increment, provenance=made), plan, leak, seconds=seconds)
