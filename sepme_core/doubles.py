"""Increments that erase the same concept and act at the same time: together they do too much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from .concepts import name_key
from .increment import Increment, Stack

__all__ = ["Acting", "Double", "acting", "doubles", "doubles_report"]

_N_NAMED = 5


@dataclass(frozen=True, eq=False)
class Acting:
    """An increment at work.

    Args:
        start, end: the part of the sampling in which it acts, from 0 to 1.
        how: exact or merged; empty where that is not known yet.
    """

    increment: Increment
    start: float = 0.0
    end: float = 1.0
    how: str = ""


@dataclass(frozen=True, eq=False)
class Double:
    """Two increments that act on one concept at the same time.

    Args:
        start, end: the part of the sampling that they share.
    """

    one: Acting
    other: Acting

    @property
    def start(self) -> float:
        """Where the later of the two begins."""
        return max(self.one.start, self.other.start)

    @property
    def end(self) -> float:
        """Where the earlier of the two ends."""
        return min(self.one.end, self.other.end)

    @property
    def name(self) -> str:
        """The name that both erase."""
        keys = set(map(name_key, self.one.increment.concept.names))
        return next(n for n in self.other.increment.concept.names if name_key(n) in keys)


def acting(stack: Stack) -> tuple[Acting, ...]:
    """What of a stack acts, and when."""
    return tuple(Acting(e.increment, e.start, e.end) for e in stack.active())


def doubles(at_work: Sequence[Acting]) -> tuple[Double, ...]:
    """All pairs that erase one name in one part of the sampling, in the order given."""
    keys = [frozenset(map(name_key, a.increment.concept.names)) for a in at_work]
    numbered = combinations(range(len(at_work)), 2)
    shared = (Double(at_work[i], at_work[j]) for i, j in numbered if keys[i] & keys[j])
    return tuple(double for double in shared if _overlap(double))


def _overlap(double: Double) -> bool:
    """Windows that only touch take turns."""
    return double.start < double.end


def doubles_report(found: Sequence[Double]) -> str:
    """What to tell whoever uses them together; empty when there are none."""
    if not found:
        return ""
    more = f"; and {len(found) - _N_NAMED} more" if len(found) > _N_NAMED else ""
    return (
        f"{'; '.join(map(_told, found[:_N_NAMED]))}{more}. Both push, and together they push too "
        "far: what is near the concept may change. Switch one of them off, or use only one."
    )


def _told(double: Double) -> str:
    both = (double.other.increment.concept.name, double.one.increment.concept.name)
    names = {name_key(name): name for name in both}
    who = " and ".join(sorted(map(repr, names.values())))
    through = f" (both hold {double.name!r})" if len(names) > 1 else ""
    hows = sorted({double.one.how, double.other.how} - {""})
    how = f", {' and '.join(hows)}" if len(hows) > 1 else ""
    whole = (double.start, double.end) == (0, 1)
    when = "" if whole else f", from {double.start:g} to {double.end:g} of the sampling"
    return f"{who} {'act' if len(names) > 1 else 'acts'} twice{through}{how}{when}"
