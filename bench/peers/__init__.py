"""Methods that are compared, one file each, behind one interface.

A peer is fitted once to what it is told (`Task.concept_set`, or the fields of the task), and then
gives a model for any set of erased concepts. Those that cannot take a single concept out again
compute the smaller set anew, which is the best they can do; the bench counts what that takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.studio import Studio
from bench.tasks import State, Task

__all__ = ["Fitted", "Peer", "peers"]

Fitted = Callable[[State], Any]
"""Gives a host MODEL without these concepts."""


@dataclass(frozen=True)
class Peer:
    """A method.

    Args:
        name: as in the tables.
        source: paper and equations it follows.
        fit: prepares for a task; nothing of the studio's model is changed for good.
        takes_minutes: whether preparing or a set takes minutes. Quick runs leave such a method out.
    """

    name: str
    source: str
    fit: Callable[[Studio, Task], Fitted]
    takes_minutes: bool = False


def peers() -> dict[str, Peer]:
    """All of them by name, ours first."""
    from bench.peers import (  # noqa: PLC0415  (they import this)
        concept_ablation,
        esd,
        fmn,
        naive_sum,
        ours,
        sepme_reference,
        speed,
        uce,
    )

    others = (naive_sum, uce, speed, sepme_reference, esd, concept_ablation, fmn)
    found = [ours.EXACT, ours.MERGED, *(module.PEER for module in others)]
    return {peer.name: peer for peer in found}
