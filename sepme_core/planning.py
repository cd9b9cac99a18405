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
from .embeddings import (
    RESOLUTION,
    EncodedPrompt,
    TextEncoder,
    peak_components,
    relative_component,
    sampled_rows,
    stack_rows,
    unit_rows,
)
from .errors import NotSeparableError
from .nullspace import concept_basis, null_space, rank_rtol, row_space
from .preserve import Moment, MomentOf, moment_without_names, second_moment
from .separation import OwnSpace, Separation, own_space, share_capacity

__all__ = ["Capacity", "Plan", "Separated", "make_plans", "separate"]

_HEADROOM = 2.0  # of an exact basis' dead zone over its largest protected component
_CLOSE, _N_CLOSE = 1e-5, 8  # what float32 cannot tell apart, and how many are looked at again
_N_FURTHEST = 3  # protected prompts per concept that the leak is measured on
# Below this share of its energy an own direction is rounding, not language.
_LEAST_SURVIVING = 1e-3
_LEAST_SHARE = 1e-6  # what the inverse of a matrix this large can tell from nothing
ORDINARY = 0.98  # share of ordinary captions that shall stay below the dead zone


@dataclass(frozen=True)
class Capacity:
    """How much of the text space the protected prompts take.

    Args:
        used, width: protected directions, and all there are.
        truncated: bound on what any token of a protected prompt has outside the protected
            directions, as a share of its length; 0 when nothing was left out.
    """

    used: int
    width: int
    truncated: float

    @property
    def left(self) -> int:
        """Directions that are still free."""
        return self.width - self.used


@dataclass(frozen=True, eq=False)
class Plan:
    """One concept with its directions.

    Args:
        prompts: the concept's own, each with its anchor.
        protected: every prompt it must leave alone.
        furthest: those of them that reach furthest into `basis`.
        basis: `[n_basis, d_text]` float64, orthonormal.
        surviving: share of the concept's energy that the protected prompts leave visible.
        energy_kept: share of that which `basis` holds.
        neighbour: the concept most parallel to this one, and the cosine between them.
    """

    concept: Concept
    prompts: list[AnchoredPrompt]
    protected: list[EncodedPrompt]
    furthest: list[EncodedPrompt]
    basis: Tensor
    dead_zone: DeadZone
    capacity: Capacity
    surviving: float
    energy_kept: float
    neighbour: tuple[str, float] = ("", 0.0)

    @property
    def encoded(self) -> list[EncodedPrompt]:
        """The concept's own prompts."""
        return [p.concept for p in self.prompts]


@dataclass(frozen=True, eq=False)
class _Directions:
    basis: Tensor
    capacity: Capacity
    surviving: float
    energy_kept: float
    neighbour: tuple[str, float] = ("", 0.0)


def make_plans(
    concepts: ConceptSet,
    chosen: Sequence[Concept],
    encode: TextEncoder,
    config: BasisConfig,
    dtype: torch.dtype,
    moment_of: MomentOf | None = None,
) -> list[Plan]:
    """Directions and dead zones of all chosen concepts.

    Args:
        moment_of: the second moment of captions; computed with `encode` when absent.

    Raises:
        NotSeparableError: names the concept that cannot be told from the protected prompts, and
            what is in its way.
    """
    separated = config.protection == "truncated"
    moment_of = moment_of or partial(second_moment, encode=encode)
    moment = _moment(concepts, config, moment_of, encode)
    separation = separate(concepts, encode, config, moment) if separated else None
    found: dict[str, _Directions] = {}
    for c in chosen:
        with _refusal(concepts, c, encode):
            found[c.name] = (
                _directions(separation, c, config)
                if separation
                else _exact(concepts, c, encode, config, dtype)
            )
    texts = _all_prompts(concepts)
    encoded = dict(zip(texts, encode(texts), strict=True))
    bases = [found[c.name].basis for c in chosen]
    peaks = peak_components(list(encoded.values()), bases)
    ordinary = _ordinary(moment, bases)
    return [
        _plan(concepts, c, encode, config, dtype, found[c.name], encoded, peaks[:, i], ordinary[i])
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
    concepts: ConceptSet,
    concept: Concept,
    encode: TextEncoder,
    config: BasisConfig,
    dtype: torch.dtype,
    found: _Directions,
    encoded: Mapping[str, EncodedPrompt],
    peaks: Tensor,
    ordinary: float,
) -> Plan:
    prompts = concepts.prompts_of(concept)
    own = {p.text for p in prompts}
    reach = dict(zip(encoded, peaks.tolist(), strict=True))
    protected = {t: reach[t] for t in concepts.protected_from(concept) if t not in own}
    shown = {p.text: reach[p.text] for p in prompts}
    _sharpen(protected, max(protected.values()), encoded, found.basis)
    _sharpen(shown, min(shown.values()), encoded, found.basis)
    with _refusal(concepts, concept, encode):
        zone = _dead_zone(shown, protected, found.basis, config, dtype, ordinary)
    anchors = encode([p.anchored for p in prompts])
    furthest = sorted(protected, key=protected.__getitem__, reverse=True)[:_N_FURTHEST]
    return Plan(
        concept,
        [AnchoredPrompt(encoded[p.text], a) for p, a in zip(prompts, anchors, strict=True)],
        [encoded[t] for t in protected],
        [encoded[t] for t in furthest],
        found.basis,
        zone,
        found.capacity,
        found.surviving,
        found.energy_kept,
        found.neighbour,
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
            f"is {text!r} (cosine {alike[text]:.3f})."
        ) from error


def _all_prompts(concepts: ConceptSet) -> list[str]:
    """Everything that is known: protected, and of every concept."""
    own = [p.text for c in concepts.concepts for p in concepts.prompts_of(c)]
    return list(dict.fromkeys([*concepts.common_prompts(), *own, *concepts.protected_phrasings()]))


@dataclass(frozen=True, eq=False)
class Separated:
    """The dual bases of everything known, and every concept's own space in them."""

    bases: Separation
    spaces: Mapping[str, OwnSpace]
    truncated: float


def separate(
    concepts: ConceptSet, encode: TextEncoder, config: BasisConfig, moment: Moment | None = None
) -> Separated:
    """The dual bases of all concepts and protected names, from one factorisation."""
    common = row_space(sampled_rows(encode(concepts.common_prompts())), absolute=config.tolerance)
    everyone = [*concepts.concepts, *map(Concept, concepts.protected_concepts)]
    texts = {c.name: [p.text for p in concepts.prompts_of(c)] for c in everyone}
    encode([t for found in texts.values() for t in found])  # one pass in large batches
    spaces = {}
    for name, prompts in texts.items():
        rows = sampled_rows(encode(prompts))
        spaces[name] = own_space(rows, common.reject(rows), config.tolerance)
    width = common.basis.shape[1]
    spaces = share_capacity(spaces, int(config.capacity * width) - common.rank)
    bases = Separation(common.basis, _metric(moment, config.soft))
    bases.add({name: space.rows for name, space in spaces.items()})
    return Separated(bases, spaces, max(common.left_out, *(s.truncated for s in spaces.values())))


def _metric(moment: Moment | None, soft: float) -> Tensor | None:
    """I + soft · S, with the second moment S scaled to a mean eigenvalue of one."""
    if moment is None or soft == 0:
        return None
    width = len(moment.matrix)
    scaled = moment.matrix * (soft * width / moment.matrix.trace())
    return torch.eye(width, dtype=torch.float64) + scaled


def _directions(separated: Separated, concept: Concept, config: BasisConfig) -> _Directions:
    bases, space = separated.bases, separated.spaces[concept.name]
    share = bases.share(concept.name)
    if share < _LEAST_SHARE:
        raise _inside(separated, space, share)
    left = bases.left(concept.name)
    _, values, rows = torch.linalg.svd(space.values[:, None] * left, full_matrices=False)
    seen = space.values[:, None] * (space.rows @ rows.T)
    surviving = float(seen.square().sum() / space.values.square().sum()) * space.outside
    if surviving < _LEAST_SURVIVING:
        raise _inside(separated, space, surviving)
    held = values.square().cumsum(0) / values.square().sum()
    n_basis = min(int((held < config.energy).sum()) + 1, config.max_basis)
    return _Directions(
        rows[:n_basis],
        Capacity(bases.rank - space.rank, bases.d_text, separated.truncated),
        surviving,
        float(held[n_basis - 1]),
        bases.in_the_way(concept.name),
    )


def _inside(separated: Separated, space: OwnSpace, left: float) -> NotSeparableError:
    used = separated.bases.rank - space.rank
    return NotSeparableError(
        f"it lies inside the span of what is protected ({used} of {separated.bases.d_text} "
        f"directions; {left:.1e} of it is left): no increment can see it without touching them. "
        "Erase the two together (write one behind '|' as a synonym of the other), or stop "
        "protecting what is in its way."
    )


def _exact(
    concepts: ConceptSet,
    concept: Concept,
    encode: TextEncoder,
    config: BasisConfig,
    dtype: torch.dtype,
) -> _Directions:
    """The paper's protection of every single row, one concept at a time."""
    own = stack_rows(encode([p.text for p in concepts.prompts_of(concept)]))
    kept, rtol = stack_rows(encode(concepts.protected_from(concept))), rank_rtol(dtype)
    span = row_space(kept, rtol)
    basis = concept_basis(own, span)
    rows = null_space(kept, rtol) if config.protection == "full" else basis.rows
    capacity = Capacity(span.rank, own.shape[1], span.truncated)
    return _Directions(rows, capacity, basis.surviving, basis.energy_kept)
