"""Times of two ways of doing the same, side by side on a machine that others use as well."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["cpu_seconds", "paired", "seconds", "slope"]


def seconds(run: Callable[[], Any]) -> float:
    """Wall time of one run."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def cpu_seconds(run: Callable[[], Any]) -> float:
    """Time that the process itself was computing, over all its threads."""
    started = time.process_time()
    run()
    return time.process_time() - started


def paired(
    plain: Callable[[], float], other: Callable[[], float], n_pairs: int
) -> dict[str, float | int]:
    """How much longer the other takes: quartiles of the ratios of runs that follow each other.

    Each pair the other way round than the one before, so that neither always comes second.

    Args:
        plain, other: run once and give the seconds that count.
    """
    plain(), other()
    pairs: list[tuple[float, float]] = []
    for i in range(n_pairs):
        if i % 2:
            b, a = other(), plain()
        else:
            a, b = plain(), other()
        pairs.append((a, b))
    ratios = sorted(b / a for a, b in pairs)
    return {
        "ratio": statistics.median(ratios),
        "lower": ratios[n_pairs // 4],
        "upper": ratios[-1 - n_pairs // 4],
        "seconds": statistics.median(a for a, _ in pairs),
        "added_seconds": statistics.median(b - a for a, b in pairs),
        "pairs": n_pairs,
    }


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Exponent of growth: least squares through the logarithms."""
    x, y = [math.log(s) for s in sizes], [math.log(v) for v in values]
    return statistics.linear_regression(x, y).slope
