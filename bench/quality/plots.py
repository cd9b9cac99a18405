"""Pictures and plots of the quality half, from the pieces of the JSON file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image

mpl.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402  (after the choice of what draws)
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.patches import Rectangle  # noqa: E402

from bench.quality.method_tables import methods  # noqa: E402
from bench.quality.scenes import in_passing, named  # noqa: E402
from bench.quality.summary import Summary  # noqa: E402
from bench.tasks import Task  # noqa: E402

__all__ = ["accuracy", "capacity", "courses", "grid", "leaks"]

Pieces = Mapping[str, Any]
INK, PALE, GONE, SAME = "#1f2937", "#e5e7eb", "#c02626", "#16a34a"
BARS = "#2563eb", "#93c5fd", SAME


def grid(pieces: Pieces, strips: Path, task: Task) -> Figure | None:
    """Every method's pictures: all concepts erased, and some given back, one column a concept.

    A state that few methods were drawn in is left out. Frames are around pictures that are the
    untouched model's to the bit.
    """
    states = [task.scenes["1"][0], task.scenes["1"][-1]]
    drawn = {s: [n for n in methods(pieces, task, s) if _path(strips, task, s, n)] for s in states}
    names = list(dict.fromkeys(n for found in drawn.values() for n in found))
    states = [s for s in states if 2 * len(drawn[s]) > len(names)]
    if not states:
        return None
    size = (6.5 * len(states), 0.62 * (len(names) + 1) + 1.2)
    figure, axes = plt.subplots(
        len(names) + 1, len(states), figsize=size, layout="constrained", squeeze=False
    )
    untouched = np.asarray(Image.open(strips / f"{task.name} - original.png"))
    for column, state in enumerate(states):
        _show(axes[0, column], untouched)
        _label(axes[0, column], task, state)
        for row, name in enumerate(names, 1):
            path = _path(strips, task, state, name)
            if path is None:
                _say(axes[row, column], untouched, "not drawn")
                continue
            _show(axes[row, column], np.asarray(Image.open(path)))
            _frame_identical(axes[row, column], untouched, len(task.watched))
    for axis, name in zip(axes[:, 0], ["untouched", *names], strict=True):
        axis.set_ylabel(name, rotation=0, ha="right", va="center", color=INK)
    figure.supxlabel(
        "red: erased      green frame: identical to the untouched picture to the bit", size=9
    )
    return figure


def _path(strips: Path, task: Task, state: frozenset[str], name: str) -> Path | None:
    path = strips / f"{task.name} - {named(state, task)} - {name}.png"
    return path if path.exists() else None


def _show(axis: Any, strip: Any) -> None:
    axis.imshow(strip, interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)


def _say(axis: Any, strip: Any, words: str) -> None:
    """Words in the place of a strip."""
    _show(axis, np.full_like(strip, 255))
    axis.text(0.5, 0.5, words, transform=axis.transAxes, ha="center", va="center", color="#6b7280")


def _frame_identical(axis: Any, untouched: Any, n_columns: int) -> None:
    strip = axis.images[0].get_array()
    height, width = strip.shape[0], strip.shape[1] // n_columns
    for i in range(n_columns):
        part = np.s_[:, i * width : (i + 1) * width]
        if np.array_equal(strip[part], untouched[part]):
            frame = Rectangle(
                (i * width + 1, 1), width - 3, height - 3, fill=False, ec=SAME, lw=1.6
            )
            axis.add_patch(frame)


def _label(axis: Any, task: Task, state: frozenset[str]) -> None:
    width = axis.images[0].get_array().shape[1] / len(task.watched)
    axis.xaxis.tick_top()
    axis.set_xticks([width * (i + 0.5) for i in range(len(task.watched))], task.watched, size=8)
    for label, name in zip(axis.get_xticklabels(), task.watched, strict=True):
        label.set_color(GONE if name in state else INK)
    axis.tick_params(length=0)
    back = ", ".join(n for n in task.erasable if n not in state)
    axis.set_title(f"{back} given back" if back else "all erased", size=11, color=INK)


def accuracy(pieces: Pieces, tasks: Sequence[Task]) -> Figure | None:
    """Harmonic means of all methods beside what they leave identical, for objects and styles."""
    told = {t.name: methods(pieces, t, t.scenes["1"][-1]) for t in tasks}
    told = {name: found for name, found in told.items() if found}
    if not told:
        return None
    size = (6 * len(told), 4.8)
    figure, axes = plt.subplots(1, len(told), figsize=size, layout="constrained", squeeze=False)
    for axis, (name, found) in zip(axes[0], told.items(), strict=True):
        ordered = sorted(reversed(found.items()), key=lambda item: item[1].h_o("held-out"))
        bars = {
            "H_o, unseen phrasings": [s.h_o("held-out") for _, s in ordered],
            "H_o, the name": [s.h_o("bare") for _, s in ordered],
            "pictures that shall stay and are identical": [_identical(s) for _, s in ordered],
        }
        for (label, values), offset, colour in zip(
            bars.items(), (0.27, 0, -0.27), BARS, strict=True
        ):
            places = [i + offset for i in range(len(values))]
            drawn = axis.barh(places, values, 0.25, label=label, color=colour)
            axis.bar_label(drawn, fmt="%.0f", padding=2, size=7)
        axis.set_yticks(range(len(ordered)), [method for method, _ in ordered])
        axis.set_xlim(0, 108)
        axis.set_title(f"{name}, %")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9)
    return figure


def _identical(s: Summary) -> float:
    """Of what was given back, is protected or nowhere listed."""
    found = [v for (role, _), v in s.identical.items() if role != "erased"]
    return sum(found) / len(found)


ROWS = (
    ("erased", "bare", "erased, name"),
    ("erased", "held-out", "erased, unseen"),
    ("restored", "held-out", "given back, unseen"),
    ("protected", "held-out", "protected, unseen"),
    ("unlisted", "held-out", "unlisted, unseen"),
)


def courses(pieces: Pieces, task: Task) -> Figure | None:
    """Accuracies through the four scenes of every method, and the floors of what is erased."""
    found = {
        scene: [methods(pieces, task, state) for state in states]
        for scene, states in task.scenes.items()
    }
    names = list(dict.fromkeys(n for times in found.values() for time in times for n in time))
    if not any(sum(bool(time) for time in times) > 1 for times in found.values()):
        return None
    figure, axes = plt.subplots(
        len(ROWS), len(found), figsize=(13, 2.1 * len(ROWS) + 1), sharey=True, layout="constrained"
    )
    for column, (scene, times) in enumerate(found.items()):
        solid = [t for t, s in enumerate(task.scenes[scene]) if not in_passing(s, task)]
        for axis, (role, family, words) in zip(axes[:, column], ROWS, strict=True):
            _through(axis, times, names, (role, family), solid)
            axis.set_ylim(-5, 105)
            axis.grid(color=PALE)
            axis.set_xticks(range(len(times)), [f"t{t}" for t in range(len(times))])
            axis.set_xlim(-0.4, len(times) - 0.6)
            axes[0, column].set_title(f"scene {scene}")
            if column == 0:
                axis.set_ylabel(f"{words}, %", size=9)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8)
    figure.suptitle(f"{task.name}; hollow: two pictures a concept and family", size=10)
    return figure


def _through(
    axis: Any, times: Sequence[Any], names: list[str], key: tuple[str, str], solid: Sequence[int]
) -> None:
    """One line a method, side by side; hollow where a time is drawn with few pictures."""
    role, family = key
    floors = [(t, next(iter(s.values())).floor[family]) for t, s in enumerate(times) if s]
    if role == "erased":
        axis.plot(*zip(*floors, strict=True), "_--", color="#9ca3af", ms=14, label="floor")
    for number, name in enumerate(names):
        aside = 0.05 * (number - (len(names) - 1) / 2)
        points = [
            (t + aside, s[name].seen[key]) for t, s in enumerate(times) if key in _of(s, name)
        ]
        if points:
            style = {"ms": 4, "lw": 1, "color": f"C{number}", "mfc": "white"}
            axis.plot(*zip(*points, strict=True), "o-", label=name, **style)
        full = [point for point in points if round(point[0] - aside) in solid]
        axis.plot([x for x, _ in full], [y for _, y in full], "o", ms=4, color=f"C{number}")


def _of(time: Mapping[str, Summary], name: str) -> Mapping[tuple[str, str], float]:
    return time[name].seen if name in time else {}


def leaks(pieces: Pieces, tasks: Sequence[Task]) -> Figure | None:
    """Leak matrices, exact and linear, on prompts that nobody was given."""
    told = [(t.name, pieces[f"{t.name}/leaks"]) for t in tasks if f"{t.name}/leaks" in pieces]
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


def capacity(pieces: Pieces, _: Sequence[Task]) -> Figure | None:
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
