"""Plots of the speed half: how time and files grow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402  (after the choice of what draws)
from matplotlib.figure import Figure  # noqa: E402

__all__ = ["scaling"]

Pieces = Mapping[str, Any]


def scaling(pieces: Pieces) -> Figure | None:
    """Closed form by number of concepts, what applying adds, and the size of a file."""
    makers = {"speed/scale": _computing, "speed/overhead": _applying, "speed/size": _files}
    makers = {name: make for name, make in makers.items() if name in pieces}
    if not makers:
        return None
    size = (4.3 * len(makers), 3.6)
    figure, axes = plt.subplots(1, len(makers), figsize=size, layout="constrained", squeeze=False)
    for axis, (name, make) in zip(axes[0], makers.items(), strict=True):
        make(axis, pieces[name])
    return figure


def _computing(axis: Any, found: Mapping[str, Any]) -> None:
    """The counts that share all else; other settings and models are in the table."""
    before = "SD1.5, "
    counts = [k.removeprefix(before) for k in found if k.startswith(before)]
    counts = sorted(int(n) for n in counts if n.isdigit())
    seconds = [found[f"{before}{n}"]["seconds"] for n in counts]
    axis.loglog(counts, seconds, "o-")
    for n, s in zip(counts, seconds, strict=True):
        axis.annotate(f"{s:.2g} s", (n, s), xytext=(0, 6), textcoords="offset points", size=8)
    axis.set_xlabel("concepts")
    axis.set_title("computing, closed form, SD1.5")
    axis.grid(which="both", color="#e5e7eb")


def _applying(axis: Any, found: Mapping[str, Any]) -> None:
    exact = {int(k.removeprefix("exact ")): v for k, v in found.items() if k.startswith("exact ")}
    step = found["step_seconds"]
    for key, words in (("first_step_adds", "first step"), ("step_adds", "every later step")):
        added = [100 * max(v["all act"][key], 0) / step for v in exact.values()]
        axis.plot(list(exact), added, "o-", label=words)
    axis.set_xlabel("exact increments that act")
    axis.set_title("applying, % of a sampling step")
    axis.grid(color="#e5e7eb")
    axis.legend()


def _files(axis: Any, found: Mapping[str, Any]) -> None:
    bars = axis.bar(list(found), [v["bytes"] / 1e6 for v in found.values()])
    axis.bar_label(bars, fmt="%.2f MB")
    axis.set_title("an increment file")
