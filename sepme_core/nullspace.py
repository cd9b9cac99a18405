"""Directions of the text space that see one concept and are blind to everything protected.

All decompositions run in float64 on the CPU: embeddings carry float32 noise at best, so the rank
decision is made well above it, and no device-dependent rounding enters an increment.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import NotSeparableError

__all__ = [
    "RANK_RTOL",
    "Basis",
    "Span",
    "concept_basis",
    "null_space",
    "rank_rtol",
    "row_space",
]

# Embeddings are float32 results of deep networks: directions below this share of the largest
# singular value are rounding, not language.
RANK_RTOL = 1e-6


def rank_rtol(dtype: torch.dtype) -> float:
    """The same for embeddings that were rounded to `dtype`.

    Rounding adds noise of about a quarter eps to every row, in all directions alike.
    """
    return max(RANK_RTOL, torch.finfo(dtype).eps / 4)


@dataclass(frozen=True, eq=False)
class Span:
    """The row space of a set of embeddings.

    Args:
        basis: `[rank, d_text]` float64, orthonormal rows.
        singular_values: all of them, descending.
        truncated: largest singular value left out, relative to the largest; 0 when none was.
            It bounds how far a kept row can reach out of the span.
    """

    basis: Tensor
    singular_values: Tensor
    truncated: float

    @property
    def rank(self) -> int:
        """Number of directions."""
        return len(self.basis)

    @property
    def left_out(self) -> float:
        """The same bound, absolute: no row has more than this outside the span."""
        return self.truncated * float(self.singular_values[0])

    def reject(self, rows: Tensor) -> Tensor:
        """What of `rows` lies outside the span."""
        return rows - (rows @ self.basis.T) @ self.basis


@dataclass(frozen=True, eq=False)
class Basis:
    """Directions in which a concept may be changed.

    Args:
        rows: `[n_basis, d_text]` float64, orthonormal.
        surviving: share of the concept's energy outside the protected span, in [0, 1].
    """

    rows: Tensor
    surviving: float


def row_space(rows: Tensor, rtol: float = RANK_RTOL, absolute: float = 0.0) -> Span:
    """Orthonormal basis of the span of `rows`.

    Args:
        rows: `[n, d_text]` float64.
        rtol: directions below this share of the largest singular value are left out, in [0, 1).
            Larger protects less and leaves more room (truncated protection).
        absolute: directions with a smaller singular value are left out as well: no row loses more
            than this of its length, however many rows there are.
    """
    _, values, directions = torch.linalg.svd(rows, full_matrices=False)
    rank = int((values > max(rtol * float(values[0]), absolute)).sum())
    left_out = float(values[rank] / values[0]) if rank < len(values) else 0.0
    return Span(directions[:rank], values, left_out)


def null_space(rows: Tensor, rtol: float = RANK_RTOL) -> Tensor:
    """The paper's full basis: unit rows S with E Sᵀ = 0, `[d_text - rank, d_text]`.

    Source: SRS-ME Eq. 24-26. The authors solve symbolically and get unit but oblique rows; the
    span is the same, and orthonormal rows lose no precision.
    """
    # With more rows than columns the thin form is complete already; the full one would also build
    # an [n, n] matrix, gigabytes for a large protected set.
    _, values, directions = torch.linalg.svd(rows, full_matrices=len(rows) < rows.shape[1])
    rank = int((values > rtol * values[0]).sum())
    return directions[rank:]


def concept_basis(concept_rows: Tensor, protected: Span) -> Basis:
    """The reduced basis: the directions of a concept outside the protected span.

    An increment acts on its concept only through these directions, so nothing is lost against the
    full null space, and tens of rows do the work of hundreds.

    Args:
        concept_rows: `[n, d_text]` float64, weighted rows of the concept's prompts.
        protected: what must not be seen.

    Raises:
        NotSeparableError: nothing of the concept is left outside the protected span.
    """
    outside = protected.reject(concept_rows)
    total = concept_rows.square().sum()
    surviving = float(outside.square().sum() / total)
    _, values, directions = torch.linalg.svd(outside, full_matrices=False)
    # Rounding in the projection leaves about 1e-8 of a row's length even when nothing is left.
    if surviving < RANK_RTOL**2 or float(values[0]) < RANK_RTOL * float(total.sqrt()):
        raise NotSeparableError(
            "the concept lies inside the span of the protected prompts "
            f"({protected.rank} of {concept_rows.shape[1]} directions): no increment can see it "
            "without touching them. Protect fewer prompts, leave the templates empty, or use "
            "truncated protection."
        )
    n_basis = int((values > RANK_RTOL * values[0]).sum())
    return Basis(directions[:n_basis], surviving)
