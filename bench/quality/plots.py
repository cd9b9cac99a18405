"""Pictures and plots of the quality half, from the pieces of the JSON file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image

mpl.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402  (after the choice of what draws)
from matplotlib.figure import Figure  # noqa: E402

from bench.quality.scenes import named  # noqa: E402
from bench.quality.tables import TASKS, methods  # noqa: E402
from bench.tasks import Task  # noqa: E402

__all__ = ["PLOTS", "grid"]

Pieces = Mapping[str, Any]
INK, PALE = "#1f2937", "#e5e7eb"


def grid(pieces: Pieces, strips: Path, task: Task) -> Figure | None:
    """Every method's pictures: all concepts erased, and some given back, one column a concept."""
    states = [task.scenes["1"][0], task.scenes["1"][-1]]
    drawn = dict.fromkeys(n for state in states for n in methods(pieces, task, state))
    names = [n for n in drawn if any(_strip(strips, task, s, n) is not None for s in states)]
    if not names:
        return None
    height = 0.62 * (len(names) + 1) + 0.9
    figure, axes = plt.subplots(len(names) + 1, 2, figsize=(13, height), layout="constrained")
    untouched = np.asarray(Image.open(strips / f"{task.name} - original.png"))
    given_back = [n for n in task.erasable if n not in states[1]]
    titles = ("all six erased" if len(task.erasable) == 6 else "all three erased",)
    titles = (*titles, f"{', '.join(given_back)} given back")
    for column, (state, title) in enumerate(zip(states, titles, strict=True)):
        _show(axes[0, column], untouched, "untouched" if column == 0 else "")
        _label(axes[0, column], task, title)
        for row, name in enumerate(names, 1):
            picture = _strip(strips, task, state, name)
            blank = np.full_like(untouched, 255)  # a method that was not drawn in this state
            label = name if column == 0 else ""
            _show(axes[row, column], blank if picture is None else picture, label)
    return figure


def _strip(strips: Path, task: Task, state: frozenset[str], name: str) -> Any:
    path = strips / f"{task.name} - {named(state, task)} - {name}.png"
    return np.asarray(Image.open(path)) if path.exists() else None


def _show(axis: Any, strip: Any, label: str) -> None:
    axis.imshow(strip, interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    axis.set_ylabel(label, rotation=0, ha="right", va="center", color=INK)


def _label(axis: Any, task: Task, title: str) -> None:
    width = axis.images[0].get_array().shape[1] / len(task.watched)
    axis.xaxis.tick_top()
    axis.set_xticks([width * (i + 0.5) for i in range(len(task.watched))], task.watched, size=8)
    axis.tick_params(length=0)
    axis.set_title(title, size=11, color=INK)


def accuracy(pieces: Pieces) -> Figure | None:
    """Harmonic means of all methods, for objects and for styles."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
    for axis, task in zip(axes, TASKS, strict=True):
        found = methods(pieces, task, task.scenes["1"][-1])
        if not found:
            return None
        ordered = sorted(found.items(), key=lambda item: item[1].h_o("held-out"))
        names = [name for name, _ in ordered]
        for offset, family in ((-0.2, "held-out"), (0.2, "bare")):
            values = [s.h_o(family) for _, s in ordered]
            places = [i - offset for i in range(len(names))]
            bars = axis.barh(
                places, values, 0.38, label={"held-out": "unseen phrasings"}.get(family, "the name")
            )
            axis.bar_label(bars, fmt="%.0f", padding=2, size=8)
        axis.set_yticks(range(len(names)), names)
        axis.set_xlim(0, 108)
        axis.set_title(f"{task.name}: H_o, above the floor")
        axis.legend(loc="lower left", fontsize=8)
    return figure


def courses(pieces: Pieces) -> Figure | None:
    """Accuracies through the four scenes, for every method that was followed through them."""
    task = TASKS[0]
    roles = (("erased", "erased"), ("restored", "given back"), ("unlisted", "unlisted"))
    figure, axes = plt.subplots(
        len(roles), 4, figsize=(13, 7), sharey=True, layout="constrained", squeeze=False
    )
    drawn = False
    for column, (scene, states) in enumerate(task.scenes.items()):
        found = [methods(pieces, task, state) for state in states]
        for row, (role, words) in enumerate(roles):
            axis = axes[row, column]
            for name in dict.fromkeys(n for state in found for n in state):
                points = [
                    (t, s[name].seen[role, "bare"])
                    for t, s in enumerate(found)
                    if name in s and (role, "bare") in s[name].seen
                ]
                if len(points) > 1:
                    drawn = True
                    axis.plot(*zip(*points, strict=True), "o-", ms=3.5, lw=1.4, label=name)
            axis.set_xticks(range(len(states)), [f"t{t}" for t in range(len(states))])
            axis.set_ylim(-5, 105)
            axis.grid(color=PALE)
            if row == 0:
                axis.set_title(f"scene {scene}")
            if column == 0:
                axis.set_ylabel(f"{words}: seen, %")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8)
    return figure if drawn else None


def leaks(pieces: Pieces) -> Figure | None:
    """Leak matrices, exact and linear, on prompts that nobody was given."""
    told = [(t.name, pieces[f"{t.name}/leaks"]) for t in TASKS if f"{t.name}/leaks" in pieces]
    if not told:
        return None
    figure, axes = plt.subplots(
        len(told), 2, figsize=(10, 4.4 * len(told)), layout="constrained", squeeze=False
    )
    for row, (task, found) in enumerate(told):
        for axis, (mode, words) in zip(
            axes[row], (("exact", "exact"), ("linear", "merged, LoRA")), strict=True
        ):
            _matrix(axis, np.array(found["held_out"][mode]), found["names"])
            axis.set_title(f"{task}, {words}: unseen phrasings")
    return figure


def _matrix(axis: Any, values: Any, names: list[str]) -> None:
    axis.imshow(np.log10(np.maximum(values, 1e-4)), cmap="Blues", vmin=-4, vmax=0.3)
    for (j, i), value in np.ndenumerate(values):
        axis.text(
            i,
            j,
            "0" if value == 0 else f"{value:.2g}",
            ha="center",
            va="center",
            size=8,
            color="white" if value > 0.05 else INK,
        )
    axis.set_xticks(range(len(names)), names, rotation=40, ha="right")
    axis.set_yticks(range(len(names)), names)
    axis.set_xlabel("what is seen")
    axis.set_ylabel("what erases")


def capacity(pieces: Pieces) -> Figure | None:
    """How much of a concept is left as more are protected from it."""
    found = pieces.get("capacity")
    if not found:
        return None
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for protection, words in (("reduced", "every row exactly"), ("truncated", "default")):
        rows = [r for r in found if r["protection"] == protection]
        held = [r for r in rows if "refused" not in r]
        for axis, key in zip(axes, ("surviving", "margin"), strict=True):
            (line,) = axis.plot([r["n"] for r in held], [r[key] for r in held], "o-", label=words)
            for r in rows:
                if "refused" in r:
                    axis.axvline(r["n"], ls=":", color=line.get_color())
                    axis.text(r["n"], 0.02, " refused", color=line.get_color(), size=8)
    for axis, title in zip(
        axes, ("share of the concept that is left", "margin of the dead zone"), strict=True
    ):
        axis.set_xscale("log", base=2)
        axis.set_ylim(0, 1)
        axis.set_xlabel("everyday objects protected from one")
        axis.set_title(title)
        axis.grid(color=PALE)
    axes[0].legend()
    return figure


PLOTS: dict[str, Callable[[Pieces], Figure | None]] = {
    "accuracy": accuracy,
    "scenes": courses,
    "leaks": leaks,
    "capacity": capacity,
}
