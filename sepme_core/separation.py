"""Biorthogonal bases: directions that see one concept each, all from one factorisation.

Every concept is known by its own orthonormal directions Q_i. With Q all of them stacked and M the
second moment of ordinary language,

    D = (Q M⁻¹ Qᵀ)⁻¹ Q M⁻¹        Q_i D_jᵀ = δ_ij I

is the dual basis of least response to ordinary language: D_j sees concept j, is blind to every
other one, and hears as little as possible of anything else. With M = I it is the pseudo-inverse,
and D_j spans what is left of Q_j outside all other concepts. (In array processing this is the
linearly constrained minimum-variance beamformer.) The one matrix to invert has as many rows as
there are protected directions; a concept that comes or goes is a block update of that inverse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from .errors import NotSeparableError

__all__ = ["COMMON", "OwnSpace", "Separation", "own_space", "share_capacity"]

COMMON = ""
"""Key of what every concept must be blind to: the empty prompt, bare templates, listed prompts."""

# Keeps the inverse finite where two protected concepts are parallel; far below any real direction.
_JITTER = 1e-12
_TINY = 1e-30


@dataclass(frozen=True, eq=False)
class OwnSpace:
    """A concept's own directions, outside what all prompts have in common.

    Args:
        rows: `[rank, d_text]` float64, orthonormal, strongest first.
        values: `[rank]` their singular values over weighted unit rows, descending.
        residuals: `[rank + 1]`: the most that any row has outside the first 0, 1, … directions,
            as a share of its length.
        outside: share of the concept's energy outside the common part, in [0, 1].
    """

    rows: Tensor
    values: Tensor
    residuals: Tensor
    outside: float

    @property
    def truncated(self) -> float:
        """The most that any of the concept's rows has outside `rows`, as a share of its length."""
        return float(self.residuals[-1])

    @property
    def rank(self) -> int:
        """Number of directions."""
        return len(self.rows)

    def cut(self, rank: int) -> OwnSpace:
        """The strongest directions only."""
        if rank >= self.rank:
            return self
        return replace(
            self,
            rows=self.rows[:rank],
            values=self.values[:rank],
            residuals=self.residuals[: rank + 1],
        )


def own_space(rows: Tensor, outside: Tensor, tolerance: float) -> OwnSpace:
    """The leading directions of a concept's rows.

    The decomposition is of the small Gram matrix of rows: a concept has tens of rows, the text
    space hundreds to thousands of dimensions.

    Args:
        rows: `[n, d_text]` float64, weighted unit rows.
        outside: the same rows less what all prompts have in common.
        tolerance: directions with a smaller singular value are left out; no row loses more than
            that share of its length.
    """
    square, vectors = torch.linalg.eigh(outside @ outside.T)
    values = square.flip(0).clamp_min(0).sqrt()
    # A Gram matrix knows singular values down to the root of eps of the largest only.
    least = max(tolerance, 1e-7 * float(values[0]))
    rank = max(1, min(int((values > least).sum()), rows.shape[1]))
    directions = (vectors.flip(1)[:, :rank].T @ outside) / values[:rank, None].clamp_min(_TINY)
    share = float(outside.square().sum() / rows.square().sum())
    held = (vectors.flip(1)[:, :rank] * values[:rank]).square().cumsum(1)
    left = outside.square().sum(1, keepdim=True) - nn.functional.pad(held, (1, 0))
    residuals = (left.clamp_min(0) / rows.square().sum(1, keepdim=True)).amax(0).sqrt()
    return OwnSpace(_orthonormal(directions), values[:rank], residuals, share)


def share_capacity(spaces: Mapping[str, OwnSpace], budget: int) -> dict[str, OwnSpace]:
    """Cuts own spaces until all together fit, weakest directions first; one each always stays.

    Raises:
        NotSeparableError: there are more concepts than directions.
    """
    if len(spaces) > budget:
        raise NotSeparableError(
            f"{len(spaces)} concepts are known together, but only {max(budget, 0)} directions of "
            "the text space are left for them beside the protected prompts. Protect fewer prompts "
            "or concepts."
        )
    if sum(s.rank for s in spaces.values()) <= budget:
        return dict(spaces)
    others = torch.cat([s.values[1:] for s in spaces.values()]).sort(descending=True).values
    n_more = budget - len(spaces)
    least = float(others[n_more]) if n_more < len(others) else 0.0
    return {k: s.cut(1 + int((s.values[1:] > least).sum())) for k, s in spaces.items()}


class Separation:
    """The dual bases of a changing set of concepts.

    Args:
        common: `[n, d_text]` float64 orthonormal rows that nothing may see.
        metric: M, `[d_text, d_text]` float64, positive definite; the identity when absent.
    """

    def __init__(self, common: Tensor, metric: Tensor | None = None) -> None:
        self._factor = None if metric is None else torch.linalg.cholesky(metric)
        self._places: dict[str, slice] = {COMMON: slice(0, len(common))}
        self._rows = common
        self._whitened = self._whiten(common)
        self._inverse = torch.linalg.inv(self._gram(self._whitened, common))

    def _whiten(self, rows: Tensor) -> Tensor:
        return rows if self._factor is None else torch.cholesky_solve(rows.T, self._factor).T

    @staticmethod
    def _gram(whitened: Tensor, rows: Tensor) -> Tensor:
        gram = whitened @ rows.T
        gram.diagonal().mul_(1 + _JITTER)
        return gram

    @property
    def names(self) -> tuple[str, ...]:
        """Keys of the concepts, in order of their coming."""
        return tuple(k for k in self._places if k != COMMON)

    @property
    def rank(self) -> int:
        """Directions in use, the common ones included."""
        return len(self._rows)

    @property
    def d_text(self) -> int:
        """Width of the text space."""
        return self._rows.shape[1]

    def own(self, name: str) -> Tensor:
        """Q_j, `[rank_j, d_text]`."""
        return self._rows[self._places[name]]

    def add(self, spaces: Mapping[str, Tensor]) -> None:
        """Takes in concepts: one block update, however many there are.

        Args:
            spaces: key -> `[rank, d_text]` float64 orthonormal rows.
        Raises:
            NotSeparableError: a key is there already, or the space is full.
        """
        if not spaces:
            return
        new = torch.cat(list(spaces.values()))
        self._check_room(spaces, len(new))
        whitened = self._whiten(new)
        cross = self._whitened @ new.T
        carried = self._inverse @ cross
        schur = torch.linalg.inv(self._gram(whitened, new) - cross.T @ carried)
        corner = carried @ schur
        self._inverse = torch.cat(
            [
                torch.cat([self._inverse + corner @ carried.T, -corner], dim=1),
                torch.cat([-corner.T, schur], dim=1),
            ]
        )
        start = self.rank
        for name, rows in spaces.items():
            self._places[name] = slice(start, start + len(rows))
            start += len(rows)
        self._rows = torch.cat([self._rows, new])
        self._whitened = torch.cat([self._whitened, whitened])

    def _check_room(self, spaces: Mapping[str, Tensor], n_new: int) -> None:
        twice = [k for k in spaces if k in self._places]
        if twice:
            raise NotSeparableError(f"{', '.join(twice)} is separated already; remove it first.")
        if self.rank + n_new > self.d_text:
            raise NotSeparableError(
                f"{self.rank} of {self.d_text} directions of the text space are in use and "
                f"{n_new} more are asked for. Protect fewer prompts, or raise the tolerance."
            )

    def remove(self, name: str) -> None:
        """Lets a concept go, in one block update: its directions are free for the others."""
        gone = self._places.pop(name)
        keep = torch.ones(self.rank, dtype=torch.bool)
        keep[gone] = False
        a, b, c = self._inverse[keep][:, keep], self._inverse[keep][:, gone], self._inverse[gone]
        self._inverse = a - b @ torch.linalg.solve(c[:, gone], b.T)
        self._rows, self._whitened = self._rows[keep], self._whitened[keep]
        size = gone.stop - gone.start
        for key, place in self._places.items():
            if place.start >= gone.stop:
                self._places[key] = slice(place.start - size, place.stop - size)

    def dual(self, name: str) -> Tensor:
        """D_j with Q_i D_jᵀ = δ_ij I, `[rank_j, d_text]` float64."""
        return self._inverse[self._places[name]] @ self._whitened

    def left(self, name: str) -> Tensor:
        """The part of every own direction that no other concept sees, `[rank_j, d_text]`.

        With M = I the rows of Q_j projected off all others; their length is what survives.
        """
        place = self._places[name]
        return torch.linalg.solve(self._inverse[place, place], self.dual(name))

    def share(self, name: str) -> float:
        """How much of the most free of a concept's directions no other concept sees, in [0, 1].

        Measured before any direction is taken: where nothing is left, `left` is only rounding.
        """
        place = self._places[name]
        own = self._gram(self._whitened[place], self._rows[place])
        free = torch.linalg.inv(self._inverse[place, place])
        factor = torch.linalg.inv(torch.linalg.cholesky(own))
        return float(torch.linalg.eigvalsh(factor @ free @ factor.T).max())

    def in_the_way(self, name: str) -> tuple[str, float]:
        """The concept whose directions hold most of this one's strongest, and the cosine."""
        seen = (self._rows @ self.own(name)[0]).square().tolist()
        alike = {k: sum(seen[self._places[k]]) for k in self.names if k != name}
        if not alike:
            return COMMON, 0.0
        nearest = max(alike, key=alike.__getitem__)
        return nearest, alike[nearest] ** 0.5


def _orthonormal(rows: Tensor) -> Tensor:
    """The same span to the last digit; the leading rows stay the leading ones."""
    q, r = torch.linalg.qr(rows.T)
    return (q * r.diagonal().sign()).T
