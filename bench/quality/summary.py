"""Accuracies and harmonic means of a state, from the counts of its pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.tasks import FAMILIES, State, Task

__all__ = ["ROLES", "Summary", "harmonic_mean", "summarise"]

ROLES = ("erased", "restored", "protected", "unlisted")
Counts = Mapping[str, Mapping[str, list[int]]]


@dataclass(frozen=True)
class Summary:
    """A method in a state, all figures in per cent.

    Args:
        seen: (role, family) -> share of pictures on which the concept is seen: ACC_e, ACC_r,
            ACC_s and ACC_g of the literature. Roles that nothing has in the state are missing.
        floor: family -> share of the untouched model's pictures of the erased prompts without the
            name that are taken for the concept all the same.
        identical: (role, family) -> share of pictures equal to the untouched model's to the bit.
        drift: role -> mean absolute difference of pixels.
        distance: role -> distance in the judge's features, in units of the mean between two
            pictures.
        mixed: share of mixed prompts' pictures with the erased concept, and with the other one.
        mixed_before: the same of the untouched model.
    """

    seen: dict[tuple[str, str], float]
    floor: dict[str, float]
    identical: dict[tuple[str, str], float]
    drift: dict[str, float]
    distance: dict[str, float]
    mixed: tuple[float, float] | None
    mixed_before: tuple[float, float] | None

    def above_floor(self, family: str) -> float:
        """How much more often the erased concepts are seen than their anchors show them."""
        return max(0.0, self.seen["erased", family] - self.floor[family])

    def h_o(self, family: str, above_floor: bool = True) -> float:
        """Harmonic mean of what is gone, what is protected and what nobody listed."""
        left = self.above_floor(family) if above_floor else self.seen["erased", family]
        kept = (self.seen[role, family] for role in ("protected", "unlisted"))
        return harmonic_mean((100 - left, *kept))


def summarise(task: Task, state: State, drawn: Any, original: Any) -> Summary:
    """From the pieces of a state and of the untouched model."""
    roles = {role: [n for n in task.watched if task.role(n, state) == role] for role in ROLES}
    roles = {role: names for role, names in roles.items() if names}
    return Summary(
        _shares(drawn["seen"], roles),
        {f: _share(original["floor"], roles["erased"], f) for f in FAMILIES},
        _shares(drawn["identical"], roles),
        {r: 100 * _mean(drawn["drift"][n] for n in names) for r, names in roles.items()},
        {r: 100 * _mean(drawn["distance"][n] for n in names) for r, names in roles.items()},
        _mixed(drawn["mixed"], roles["erased"]),
        _mixed(original["mixed"], roles["erased"]),
    )


def harmonic_mean(values: Iterable[float]) -> float:
    """0 where one of them is."""
    found = list(values)
    return len(found) / sum(1 / v for v in found) if min(found) > 0 else 0.0


def _shares(counts: Counts, roles: Mapping[str, list[str]]) -> dict[tuple[str, str], float]:
    return {
        (role, family): _share(counts, names, family)
        for role, names in roles.items()
        for family in FAMILIES
        if any(family in counts[n] for n in names)
    }


def _share(counts: Counts, names: list[str], family: str) -> float:
    hits, total = (sum(counts[n].get(family, [0, 0])[i] for n in names) for i in (0, 1))
    return 100 * hits / total if total else 0.0


def _mixed(counts: Mapping[str, list[int]], names: list[str]) -> tuple[float, float] | None:
    own, other, total = (sum(counts[n][i] for n in names if n in counts) for i in range(3))
    return (100 * own / total, 100 * other / total) if total else None


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)
