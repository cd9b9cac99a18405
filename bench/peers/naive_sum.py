"""Naive sum: each concept erased alone, told of no other; the increments of a set are added.

The same solver as ours without what makes increments separable. It shows what separation is worth.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.peers import Fitted, Peer
from bench.peers.ours import increments
from bench.studio import Studio
from bench.tasks import State, Task

__all__ = ["PEER"]


def _fit(studio: Studio, task: Task) -> Fitted:
    alone = {
        name: increments(studio, replace(task, erasable=(name,), protected=()))
        for name in task.erasable
    }

    def without(erased: State) -> Any:
        model = studio.model
        for name in task.erasable:
            if name in erased:
                model = studio.host.apply_merged(model, alone[name], studio.host.Window())
        return model

    return without


PEER = Peer("naive sum", "closed form of this pack for one concept at a time, summed", _fit)
