"""What is drawn in a state, and how it compares with the untouched model's pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.judge import Judge, Verdict
from bench.studio import Request, Studio
from bench.tasks import FAMILIES, Task

__all__ = ["Amount", "Gallery", "Wanted", "measure"]


@dataclass(frozen=True)
class Amount:
    """How many pictures per concept: of each family, and of mixed prompts."""

    bare: int = 16
    seen: int = 4
    held_out: int = 16
    mixed: int = 4
    steps: int = 20

    def of(self, family: str) -> int:
        """Pictures of a family; its phrasings take turns."""
        return {"bare": self.bare, "seen": self.seen, "held-out": self.held_out}[family]


class Wanted(NamedTuple):
    """A picture to draw and what to look for on it."""

    concept: str
    family: str
    request: Request
    other: str = ""


class Gallery:
    """The untouched model's pictures of a task, drawn once for all methods.

    Args:
        amount: pictures per concept.
    """

    def __init__(self, studio: Studio, task: Task, judge: Judge, amount: Amount) -> None:
        self.studio, self.task, self.judge, self.amount = studio, task, judge, amount
        self.wanted = [*_plain(task, amount), *_mixed(task, amount)]
        self._drawn: tuple[np.ndarray, Verdict] | None = None

    def original(self, on_batch: Callable[[int], None]) -> tuple[np.ndarray, Verdict]:
        """The untouched model's pictures; drawn when they are first asked for."""
        if self._drawn is None:
            pictures = self.draw(self.studio.model, on_batch)
            self._drawn = pictures, self.judge(pictures)
        return self._drawn

    def floors(self, on_batch: Callable[[int], None]) -> dict[str, Any]:
        """What the untouched model draws, and what it draws of the prompts without the name.

        Returns:
            `original` and `floor`: concept -> family -> [pictures on which it is seen, pictures];
            `mixed`: concept -> [it, the other, pictures].
        """
        _, verdict = self.original(on_batch)
        floor = _floor(self.task, self.amount)
        requests, steps = [w.request for w in floor], self.amount.steps
        drawn = self.studio.draw(self.studio.model, requests, steps=steps, on_batch=on_batch)
        return {
            "original": _seen(self.wanted, verdict),
            "floor": _seen(floor, self.judge(drawn)),
            "mixed": _both(self.wanted, verdict),
        }

    def strip(self, pictures: np.ndarray) -> np.ndarray:
        """One picture of every concept's name side by side, `[height, n·width, 3]`."""
        first = {
            w.concept: i for i, w in reversed(list(enumerate(self.wanted))) if w.family == "bare"
        }
        return np.concatenate([pictures[first[name]] for name in self.task.watched], axis=1)

    def draw(self, model: Any, on_batch: Callable[[int], None]) -> np.ndarray:
        """All wanted pictures with a model."""
        requests = [w.request for w in self.wanted]
        return self.studio.draw(model, requests, steps=self.amount.steps, on_batch=on_batch)


def measure(
    gallery: Gallery, model: Any, on_batch: Callable[[int], None]
) -> tuple[dict[str, Any], np.ndarray]:
    """What a method draws, beside the untouched model's pictures of the same seeds.

    Returns:
        `seen`: concept -> family -> [pictures on which it is seen, pictures]; `identical`: the
        same with pictures equal to the bit; `drift`: concept -> mean absolute difference of
        pixels, 0 to 1; `distance`: concept -> mean distance of the judge's features, in units of
        the mean distance between two of the untouched model's pictures; `mixed`.
        And the gallery's strip of that model.
    """
    pictures = gallery.draw(model, on_batch)
    verdict, wanted = gallery.judge(pictures), gallery.wanted
    before, known = gallery.original(on_batch)
    same = [np.array_equal(a, b) for a, b in zip(pictures, before, strict=True)]
    moved = (
        np.abs(a.astype(np.int16) - b).mean() / 255 for a, b in zip(pictures, before, strict=True)
    )
    features = (verdict.features - known.features).norm(dim=1)
    features = features / _spread(known.features)
    found = {
        "seen": _seen(wanted, verdict),
        "identical": _count(wanted, same),
        "drift": _means(wanted, [float(m) for m in moved]),
        "distance": _means(wanted, features.tolist()),
        "mixed": _both(wanted, verdict),
        "kid": _kid(known.features, verdict.features, wanted, gallery.task),
    }
    return found, gallery.strip(pictures)


def _plain(task: Task, amount: Amount) -> list[Wanted]:
    return [
        Wanted(concept, family, Request(prompts[i % len(prompts)], i))
        for concept in task.watched
        for family in FAMILIES
        for prompts in [task.prompts(concept, family)]
        for i in range(amount.of(family))
    ]


def _floor(task: Task, amount: Amount) -> list[Wanted]:
    return [
        Wanted(concept, family, Request(prompts[i % len(prompts)], i))
        for concept in task.erasable
        for family in FAMILIES
        for prompts in [task.anchored(concept, family)]
        for i in range(amount.of(family))
    ]


def _mixed(task: Task, amount: Amount) -> list[Wanted]:
    return [
        Wanted(concept, "mixed", Request(template.format(concept), seed), other)
        for concept in task.erasable
        for template, other in task.mixed
        for seed in range(-(-amount.mixed // len(task.mixed)))
    ]


def _seen(wanted: Sequence[Wanted], verdict: Verdict) -> dict[str, Any]:
    return _count(wanted, [w.concept in s for w, s in zip(wanted, verdict.seen, strict=True)])


def _count(wanted: Sequence[Wanted], hits: Sequence[bool]) -> dict[str, dict[str, list[int]]]:
    """Concept -> family -> [hits, pictures]."""
    found: dict[str, dict[str, list[int]]] = {}
    for w, hit in zip(wanted, hits, strict=True):
        entry = found.setdefault(w.concept, {}).setdefault(w.family, [0, 0])
        entry[0] += hit
        entry[1] += 1
    return found


def _both(wanted: Sequence[Wanted], verdict: Verdict) -> dict[str, list[int]]:
    """Concept -> [pictures that show it, that show the other, pictures] of mixed prompts."""
    found: dict[str, list[int]] = {}
    for w, seen in zip(wanted, verdict.seen, strict=True):
        if w.other:
            entry = found.setdefault(w.concept, [0, 0, 0])
            entry[0] += w.concept in seen
            entry[1] += w.other in seen
            entry[2] += 1
    return found


def _means(wanted: Sequence[Wanted], values: Sequence[float]) -> dict[str, float]:
    sums: Counter[str] = Counter()
    for w, value in zip(wanted, values, strict=True):
        sums[w.concept] += value
    sizes = Counter(w.concept for w in wanted)
    return {concept: round(sums[concept] / n, 4) for concept, n in sizes.items()}


def _spread(features: Tensor) -> float:
    distances = torch.cdist(features, features)
    n = len(features)
    return float(distances.sum() / (n * (n - 1)))


def _kid(before: Tensor, after: Tensor, wanted: Sequence[Wanted], task: Task) -> dict[str, float]:
    """Kernel inception distance of what is never erased, in the judge's features, ×1000."""
    found = {}
    for role, names in (("protected", task.protected), ("unlisted", task.unlisted)):
        rows = [i for i, w in enumerate(wanted) if w.concept in names]
        if len(rows) >= 16:
            found[role] = round(1000 * _mmd(before[rows], after[rows]), 3)
    return found


def _mmd(x: Tensor, y: Tensor) -> float:
    """Squared MMD with the cubic polynomial kernel (Bińkowski et al. 2018, Eq. 4).

    The form for pairs, of which no picture meets its own partner (Gretton et al. 2012, Eq. 4):
    unbiased, and 0 where nothing has changed.
    """
    # In units in which products are of order one: the cube must not rest on few entries.
    scale = x.std()
    x, y = (x / scale).double(), (y / scale).double()

    def between(a: Tensor, b: Tensor) -> Tensor:
        products = (a @ b.T / a.shape[1] + 1) ** 3
        return (products.sum() - products.trace()) / (len(a) * (len(a) - 1))

    return float(between(x, x) + between(y, y) - 2 * between(x, y))
