"""Language as the unit of geometry: mean and covariance of the tokens of ordinary captions.

Rows of trained encoders share a large common vector, a few of their dimensions are hundreds of
times larger than the rest, and their spread differs by orders between directions. Lengths and
angles of such rows measure these and not meaning. In whitened rows

    x = (C + αI)^(-1/2) (e - μ)

a component reads "how many standard deviations of ordinary language", whatever the encoder's units.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ConceptError, IncompatibleError, NonFiniteError

__all__ = ["Language", "LanguageFitter"]

SHRINK = 0.01
"""α as a share of the median variance: directions in which language hardly varies stay quiet."""


@dataclass(frozen=True, eq=False)
class Language:
    """What ordinary language looks like to one encoder, at one place in it.

    Args:
        mean: μ, `[d_text]` float64.
        whitening: (C + αI)^(-1/2), `[d_text, d_text]` float64, symmetric.
        n_tokens: tokens that it was measured on.
    """

    mean: Tensor
    whitening: Tensor
    n_tokens: int

    def whiten(self, rows: Tensor) -> Tensor:
        """Rows in units of language.

        Args:
            rows: `[..., d_text]`, of any dtype.
        Returns:
            `[..., d_text]` float32 on the CPU, mean 0 and variance about 1 over ordinary tokens.
        Raises:
            IncompatibleError: rows of another width.
        """
        _check_width(rows, len(self.mean))
        return ((rows.to("cpu", torch.float64) - self.mean) @ self.whitening).float()

    def to_raw(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """A linear function of whitened rows as one of raw rows: x·w = e·v + c.

        Args:
            weights: w, `[n, d_text]`.
        Returns:
            v, `[n, d_text]`, and c, `[n]`, both float64.
        """
        raw = weights.to("cpu", torch.float64) @ self.whitening
        return raw, -(raw @ self.mean)


class LanguageFitter:
    """Accumulates tokens batch by batch; memory does not grow with their number.

    Rows that are the same in every prompt (start mark, chat template) are constants and no
    language: the caller leaves them out, and padding as well.

    Args:
        d_text: width of the rows.
    """

    def __init__(self, d_text: int) -> None:
        self._n = 0
        self._mean = torch.zeros(d_text, dtype=torch.float64)
        self._scatter = torch.zeros(d_text, d_text, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        """Takes more tokens in.

        Args:
            rows: `[n_tokens, d_text]`.
        Raises:
            IncompatibleError: another width than before.
            NonFiniteError: NaN or infinity among them.
        """
        _check_width(rows, len(self._mean))
        if not bool(torch.isfinite(rows).all()):
            raise NonFiniteError(
                "The text encoder gives NaN or infinity for ordinary captions. Check the "
                "checkpoint, or run the text encoder in another precision."
            )
        if not len(rows):
            return
        # Merged about the means: a common vector hundreds of times the spread would drown it.
        e = rows.to("cpu", torch.float64)
        n, mean = len(e), e.mean(0)
        away = mean - self._mean
        total = self._n + n
        self._scatter += (e - mean).T @ (e - mean) + torch.outer(away, away) * self._n * n / total
        self._mean = self._mean + away * (n / total)
        self._n = total

    def language(self, shrink: float = SHRINK) -> Language:
        """The statistics of all tokens so far.

        Args:
            shrink: α as a share of the median variance, above 0. Larger trusts directions of
                little variance less.
        Raises:
            ConceptError: fewer than two different tokens.
        """
        values, vectors = torch.linalg.eigh(self._scatter / max(self._n, 1))
        seen = values[values > values[-1] * 1e-12]
        if self._n < 2 or not len(seen):
            raise ConceptError(
                f"Got {self._n} tokens of ordinary captions, all alike; expected hundreds. Give "
                "more captions: they say what ordinary language looks like to the text encoder."
            )
        scale = (values.clamp_min(0) + shrink * seen.median()).rsqrt()
        return Language(self._mean.clone(), (vectors * scale) @ vectors.T, self._n)


def _check_width(rows: Tensor, d_text: int) -> None:
    if rows.shape[-1] != d_text:
        raise IncompatibleError(
            f"Got rows {rows.shape[-1]} wide, expected {d_text}: they come from another text "
            "encoder, or from another place in it."
        )
