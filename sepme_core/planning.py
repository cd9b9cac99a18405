"""Plans: for every concept its directions and dead zone, before any coefficient is known."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from .application import noise_floor
from .closed_form import AnchoredPrompt
from .concepts import Concept, ConceptSet
from .config import BasisConfig
from .dead_zone import DeadZone, choose_dead_zone
from .denoiser import OnStep, Progress
from .directions import Directions, exact_directions, separate, separated_directions
from .embeddings import (
    RESOLUTION,
    EncodedPrompt,
    TextEncoder,
    peak_components,
    relative_component,
    unit_rows,
)
from .errors import NotSeparableError
from .preserve import Moment, MomentOf, moment_without_names, second_moment

__all__ = ["Plan", "make_plans"]

_HEADROOM = 2.0  # of an exact basis' dead zone over its largest protected component
_CLOSE, _N_CLOSE = 1e-5, 8  # what float32 cannot tell apart, and how many are looked at again
_N_FURTHEST = 3  # protected prompts per concept that the leak is measured on
ORDINARY = 0.98  # share of ordinary captions that shall stay below the dead zone


@dataclass(frozen=True, eq=False)
class Plan:
    """One concept with its directions.

    Args:
        prompts: the concept's own, each with its anchor.
        protected: every prompt it must leave alone.
        furthest: those of them that reach furthest into the directions.
    """

    concept: Concept
    prompts: list[AnchoredPrompt]
    protected: list[EncodedPrompt]
    furthest: list[EncodedPrompt]
    directions: Directions
    dead_zone: DeadZone

    @property
    def basis(self) -> Tensor:
        """`[n_basis, d_text]` float64, orthonormal."""
        return self.directions.basis

    @property
    def encoded(self) -> list[EncodedPrompt]:
        """The concept's own prompts."""
        return [p.concept for p in self.prompts]


def make_plans(
    concepts: ConceptSet,
    chosen: Sequence[Concept],
    encode: TextEncoder,
    config: BasisConfig,
    dtype: torch.dtype,
    moment_of: MomentOf | None = None,
    on_step: OnStep = lambda _: None,
) -> list[Plan]:
    """Directions and dead zones of all chosen concepts.

    Args:
        moment_of: the second moment of captions; computed with `encode` when absent.
        on_step: called for every concept; raising from it cancels.

    Raises:
        NotSeparableError: names the concept that cannot be told from the protected prompts, and
            what is in its way.
    """
    moment_of = moment_of or partial(second_moment, encode=encode)
    moment = _moment(concepts, config, moment_of, encode)
    truncated = config.protection == "truncated"
    separated = separate(concepts, encode, config, moment) if truncated else None
    found: dict[str, Directions] = {}
    for number, c in enumerate(chosen, start=1):
        on_step(Progress(c.name, number, len(chosen)))
        with _refusal(concepts, c, encode):
            found[c.name] = (
                separated_directions(separated, c, config)
                if separated
                else exact_directions(concepts, c, encode, config, dtype)
            )
    texts = _all_prompts(concepts)
    encoded = dict(zip(texts, encode(texts), strict=True))
    bases = [found[c.name].basis for c in chosen]
    peaks = peak_components(list(encoded.values()), bases)
    ordinary = _ordinary(moment, bases)
    plan = partial(
        _plan, concepts=concepts, encode=encode, config=config, dtype=dtype, encoded=encoded
    )
    return [
        plan(c, directions=found[c.name], peaks=peaks[:, i], ordinary=ordinary[i])
        for i, c in enumerate(chosen)
    ]


def _moment(
    concepts: ConceptSet, config: BasisConfig, moment_of: MomentOf, encode: TextEncoder
) -> Moment | None:
    """Of the preserve list, less the captions that name what is to be told apart."""
    if config.protection != "truncated":
        return None
    names = [n for c in concepts.concepts for n in c.names]
    return moment_without_names(concepts.preserve, names, moment_of, encode)


def _ordinary(moment: Moment | None, bases: Sequence[Tensor]) -> list[float]:
    """What nearly all ordinary captions stay below, for each basis.

    Rounded, as what is measured of many bases together has other last bits than of one alone.
    """
    if moment is None or not moment.sample:
        return [0.0] * len(bases)
    peaks = peak_components(moment.sample, bases)
    return [round(float(p.quantile(ORDINARY)), 4) for p in peaks.unbind(1)]


def _plan(  # noqa: PLR0913
    concept: Concept,
    *,
    concepts: ConceptSet,
    encode: TextEncoder,
    config: BasisConfig,
    dtype: torch.dtype,
    encoded: Mapping[str, EncodedPrompt],
    directions: Directions,
    peaks: Tensor,
    ordinary: float,
) -> Plan:
    prompts = concepts.prompts_of(concept)
    own = {p.text for p in prompts}
    reach = dict(zip(encoded, peaks.tolist(), strict=True))
    protected = {t: reach[t] for t in concepts.protected_from(concept) if t not in own}
    shown = {p.text: reach[p.text] for p in prompts}
    _sharpen(protected, max(protected.values()), encoded, directions.basis)
    _sharpen(shown, min(shown.values()), encoded, directions.basis)
    with _refusal(concepts, concept, encode):
        zone = _dead_zone(shown, protected, directions.basis, config, dtype, ordinary)
    anchors = encode([p.anchored for p in prompts])
    furthest = sorted(protected, key=protected.__getitem__, reverse=True)[:_N_FURTHEST]
    return Plan(
        concept,
        [AnchoredPrompt(encoded[p.text], a) for p, a in zip(prompts, anchors, strict=True)],
        [encoded[t] for t in protected],
        [encoded[t] for t in furthest],
        directions,
        zone,
    )


def _sharpen(
    reach: dict[str, float],
    extreme: float,
    encoded: Mapping[str, EncodedPrompt],
    basis: Tensor,
) -> None:
    """Looks again, in float64, at the prompts that decide: no bit may depend on the batch.

    Prompts beyond the first few share their strongest token with those: a template's beginning.
    """
    close = [text for text, value in reach.items() if abs(value - extreme) < _CLOSE]
    for text in close[:_N_CLOSE]:
        exact = float(relative_component(encoded[text].embeddings, basis).max())
        reach[text] = max(exact, RESOLUTION)
    known = [reach[text] for text in close[:_N_CLOSE]]
    for text in close[_N_CLOSE:]:
        reach[text] = min(max(reach[text], min(known)), max(known))


def _dead_zone(  # noqa: PLR0913
    own: Mapping[str, float],
    protected: Mapping[str, float],
    basis: Tensor,
    config: BasisConfig,
    dtype: torch.dtype,
    ordinary: float,
) -> DeadZone:
    floor = noise_floor(dtype, *basis.shape)
    if config.protection == "truncated":
        return choose_dead_zone(
            own, protected, threshold=config.dead_zone, floor=floor, ordinary=ordinary
        )
    # Exact bases need a dead zone only against rounding.
    zone = choose_dead_zone(own, protected, threshold=floor, floor=floor)
    return replace(zone, threshold=max(floor, _HEADROOM * zone.largest_protected))


@contextmanager
def _refusal(concepts: ConceptSet, concept: Concept, encode: TextEncoder) -> Generator[None]:
    """Names the concept, and the protected prompt whose words are most like its own."""
    try:
        yield
    except NotSeparableError as error:
        own = encode([concept.name])[0]
        words = unit_rows(own.embeddings[1 : own.n_words - 1])
        alike = {
            p.text: float((unit_rows(p.embeddings[: p.n_words]) @ words.T).max())
            for p in encode(concepts.protected_from(concept))
        }
        text = max(alike, key=alike.__getitem__)
        raise NotSeparableError(
            f"{concept.name!r} cannot be erased: {error} Most like it among the protected prompts "
            f"is {text!r} (cosine {alike[text]:.3f}).",
            concept.name,
        ) from error


def _all_prompts(concepts: ConceptSet) -> list[str]:
    """Everything that is known: protected, and of every concept."""
    own = [p.text for c in concepts.concepts for p in concepts.prompts_of(c)]
    return list(dict.fromkeys([*concepts.common_prompts(), *own, *concepts.protected_phrasings()]))
