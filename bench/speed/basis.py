"""Our basis against the reference's: `sympy`'s symbolic null space of all protected rows.

The authors stack 77 rows for the empty prompt and for each protected concept, and call
`Matrix(rows).nullspace()` on float32 numbers (SRS-ME, `train-scripts/SRSME_Solution.py`). At the
text width of SD1, 768, that takes many minutes, so it is measured on narrower rows in the same
proportion, and the time at 768 is what its growth from there says: an extrapolation, marked as
such. Ours is measured at every width, 768 included: the same space in orthonormal rows. Times are
the processor's.
"""

from __future__ import annotations

from typing import Any

import torch

from bench.speed.timing import cpu_seconds, slope
from sepme_core.nullspace import null_space

__all__ = ["measure"]

N_TOKENS, D_TEXT = 77, 768
WIDTHS, QUICK_WIDTHS = (96, 128, 192, 256), (48, 64, 96)


def measure(quick: bool) -> dict[str, Any]:
    """By number of protected concepts: seconds by width, and the ratio at each."""
    widths = QUICK_WIDTHS if quick else WIDTHS
    return {f"{n} protected": _compared(n, widths) for n in (1, 2, 3)}


def _compared(n_protected: int, widths: tuple[int, ...]) -> dict[str, Any]:
    theirs = {d: _theirs(_rows(n_protected, d)) for d in widths}
    ours = {d: _ours(_rows(n_protected, d)) for d in (*widths, D_TEXT)}
    growth = slope(widths, list(theirs.values()))
    at_768 = theirs[widths[-1]] * (D_TEXT / widths[-1]) ** growth
    return {
        "symbolic_seconds": theirs,
        "seconds": ours,
        "ratio": {d: theirs[d] / ours[d] for d in widths},
        "symbolic_growth": growth,
        "symbolic_seconds_at_768_extrapolated": at_768,
        "ratio_at_768_extrapolated": at_768 / ours[D_TEXT],
    }


def _rows(n_protected: int, d_text: int) -> torch.Tensor:
    """As many rows to a width as SD1 has."""
    n_rows = (1 + n_protected) * N_TOKENS * d_text // D_TEXT
    return torch.randn(n_rows, d_text, generator=torch.Generator().manual_seed(0))


def _theirs(rows: torch.Tensor) -> float:
    """As `generate_bases.py` and `SRSME_Solution.py` do it, scaling to unit length aside."""
    from sympy import Matrix

    return cpu_seconds(lambda: Matrix(rows.numpy()).nullspace())


def _ours(rows: torch.Tensor) -> float:
    null_space(rows.double())
    return min(cpu_seconds(lambda: null_space(rows.double())) for _ in range(3))
