"""All plots by file name, each from pieces and tasks; None where there are no figures for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from bench.quality import plots as quality
from bench.speed import plots as speed
from bench.tasks import Task

__all__ = ["PLOTS"]

PLOTS: dict[str, Callable[[Mapping[str, Any], Sequence[Task]], Figure | None]] = {
    "accuracy": quality.accuracy,
    "leaks": quality.leaks,
    "capacity": quality.capacity,
    "scaling": lambda pieces, _: speed.scaling(pieces),
}
