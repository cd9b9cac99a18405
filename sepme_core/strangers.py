"""Increments of one stack that know nothing of each other, told without any model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .concepts import name_key
from .increment import Increment, Stack

__all__ = ["same_concept", "strangers", "strangers_report", "unknown"]

_N_NAMED = 5


def strangers(stack: Stack) -> tuple[tuple[str, str], ...]:
    """Pairs (j, i) where increment j was computed without protecting every name of concept i.

    Told from what increments store, without any model. Unconstrained increments, which protect
    nothing and which nothing can separate, are not looked at.
    """
    increments = [entry.increment for entry in stack.entries]
    return tuple(
        (increments[j].concept.name, increments[i].concept.name)
        for j, i in unknown(increments).nonzero().tolist()
        if increments[j].separable
    )


def unknown(increments: Sequence[Increment]) -> Tensor:
    """Whether increment j knows nothing of concept i, or not all its names; bool `[n, n]`."""
    names = [set(i.concept.names) for i in increments]
    everyone = set[str]().union(*names)
    missing = [
        _missing(everyone - own, i.provenance.protected)
        for own, i in zip(names, increments, strict=True)
    ]
    return _square([[bool(gone & own) for own in names] for gone in missing]) & ~same_concept(
        increments
    )


def _missing(names: set[str], protected: Sequence[str]) -> set[str]:
    """The names that are not protected, whatever their capitals."""
    missing = names.difference(protected)
    if missing:  # seldom, and spelling takes time
        known = set(map(name_key, protected))
        missing = {name for name in missing if name_key(name) not in known}
    return missing


def same_concept(increments: Sequence[Increment]) -> Tensor:
    """Whether two increments erase the same concept: they share a name; bool `[n, n]`."""
    keys = [set(map(name_key, i.concept.names)) for i in increments]
    return _square([[bool(a & b) for b in keys] for a in keys])


def _square(rows: list[list[bool]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.bool).view(len(rows), len(rows))


def strangers_report(stack: Stack) -> str:
    """What to tell whoever uses such a stack; empty when everything knows everything."""
    pairs = strangers(stack)
    if not pairs:
        return ""
    named = "; ".join(f"{j!r} was computed without {i!r}" for j, i in pairs[:_N_NAMED])
    more = f"; and {len(pairs) - _N_NAMED} more" if len(pairs) > _N_NAMED else ""
    return (
        f"Not every increment of this stack protects the others, and may change them: {named}"
        f"{more}. SepME Separate makes them leave each other alone; SepME Certificate measures "
        "what they do."
    )
