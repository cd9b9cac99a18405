"""The directions in which a concept may be changed, and how much room the protected ones leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .concepts import Concept, ConceptSet
from .config import BasisConfig
from .embeddings import TextEncoder, sampled_rows, stack_rows
from .errors import NotSeparableError
from .nullspace import concept_basis, null_space, rank_rtol, row_space
from .preserve import Moment
from .separation import OwnSpace, Separation, own_space, share_capacity

__all__ = [
    "Capacity",
    "Directions",
    "Separated",
    "exact_directions",
    "separate",
    "separated_directions",
]

# Below this share of its energy an own direction is rounding, not language.
_LEAST_SURVIVING = 1e-3
_LEAST_SHARE = 1e-6  # what the inverse of a matrix this large can tell from nothing


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
class Directions:
    """Where a concept may be changed.

    Args:
        basis: `[n_basis, d_text]` float64, orthonormal.
        surviving: share of the concept's energy that the protected prompts leave visible.
        energy_kept: share of that which `basis` holds.
        neighbour: the concept most parallel to this one, and the cosine between them.
    """

    basis: Tensor
    capacity: Capacity
    surviving: float
    energy_kept: float
    neighbour: tuple[str, float] = ("", 0.0)


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
    return Separated(
        bases, spaces, max(min(common.left_out, 1.0), *(s.truncated for s in spaces.values()))
    )


def _metric(moment: Moment | None, soft: float) -> Tensor | None:
    """I + soft · S, with the second moment S scaled to a mean eigenvalue of one."""
    if moment is None or soft == 0:
        return None
    width = len(moment.matrix)
    scaled = moment.matrix * (soft * width / moment.matrix.trace())
    return torch.eye(width, dtype=torch.float64) + scaled


def separated_directions(separated: Separated, concept: Concept, config: BasisConfig) -> Directions:
    """What of a concept no other one sees, its strongest directions first.

    Raises:
        NotSeparableError: nothing is left.
    """
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
    return Directions(
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


def exact_directions(
    concepts: ConceptSet,
    concept: Concept,
    encode: TextEncoder,
    config: BasisConfig,
    dtype: torch.dtype,
) -> Directions:
    """The paper's protection of every single row, one concept at a time.

    Raises:
        NotSeparableError: nothing of the concept is left outside.
    """
    own = stack_rows(encode([p.text for p in concepts.prompts_of(concept)]))
    kept, rtol = stack_rows(encode(concepts.protected_from(concept))), rank_rtol(dtype)
    span = row_space(kept, rtol)
    basis = concept_basis(own, span)
    rows = null_space(kept, rtol) if config.protection == "full" else basis.rows
    capacity = Capacity(span.rank, own.shape[1], span.truncated)
    return Directions(rows, capacity, basis.surviving, energy_kept=1.0)
