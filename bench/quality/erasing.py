"""Does it erase, and does it leave everything else alone? Every object in turn, through the server.

Protocol: closed form with all defaults, ten objects known together, one erased at a time. Pictures
of the bare name and of five phrasings that were never given, euler, 20 steps, cfg 4, scored by the
demo classifier. The floor of an erased prompt is what the anchored prompt (the same sentence
without the name) draws on the untouched model: that is where it falls back to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from demo.graphs import HELD_OUT, OBJECTS, Graph, objects_on, run
from launch.server import Server
from sepme_core.concepts import fill

__all__ = ["N_PICTURES", "PROMPTS", "Drawn", "Result", "accuracy", "floors", "identity", "one_each"]

Result = dict[str, Any]
Drawn = dict[tuple[str, str], np.ndarray]  # (object, template) -> its picture
PROMPTS = ("{}", *HELD_OUT)
N_PICTURES = 16  # a prompt, whatever the other pieces draw


def erasing(graph: Graph, name: str) -> tuple[str, int]:
    """A model with one of the ten objects erased."""
    stack = (graph.compute(graph.concepts(*OBJECTS)), 0)
    return graph.apply(stack, off=", ".join(o for o in OBJECTS if o != name))


def floors(server: Server) -> Result:
    """Counts of objects per anchored prompt on the untouched model."""
    graph = Graph()
    nodes = [graph.draw(graph.model, fill(t, ""), n=N_PICTURES) for t in PROMPTS]
    seen = [objects_on(p) for p in run(server, graph, *nodes)]
    return {t: {o: found.count(o) for o in OBJECTS} for t, found in zip(PROMPTS, seen, strict=True)}


def accuracy(server: Server, name: str) -> Result:
    """How often an erased object is still seen, per prompt."""
    graph = Graph()
    model = erasing(graph, name)
    nodes = [graph.draw(model, t.format(name), n=N_PICTURES) for t in PROMPTS]
    drawn = run(server, graph, *nodes, timeout=3600)
    return {t: objects_on(p).count(name) for t, p in zip(PROMPTS, drawn, strict=True)}


def one_each(server: Server, objects: Sequence[str], known: Sequence[str] = ()) -> Drawn:
    """One picture of every phrasing of the objects, one seed, 8 steps.

    Args:
        known: concepts known together, of which the first is erased; none for the untouched model.
    """
    graph = Graph()
    model = graph.model
    if known:
        model = graph.apply((graph.compute(graph.concepts(*known), erase=known[0]), 0))
    wanted = [(o, t) for o in objects for t in PROMPTS]
    nodes = [graph.draw(model, t.format(o), n=1, steps=8) for o, t in wanted]
    return dict(zip(wanted, run(server, graph, *nodes, timeout=3600), strict=True))


def identity(server: Server, name: str, untouched: Drawn, protected: int = 9) -> Result:
    """Which prompts of the other nine objects give bit-identical pictures.

    What decides is the prompt alone: either no token of it is acted on, or every seed changes.

    Args:
        name: what is erased.
        untouched: `one_each` of all objects.
        protected: how many others the concept set knows.
    """
    number = OBJECTS.index(name)
    others = [OBJECTS[(number + 1 + i) % 10] for i in range(9)]
    listed, unlisted = others[:protected], others[protected:]
    drawn = one_each(server, others, (name, *listed))
    same = {key: np.array_equal(untouched[key], picture) for key, picture in drawn.items()}
    return {
        "listed": _count(same, listed),
        "unlisted": _count(same, unlisted),
        "changed": [t.format(o) for (o, t), equal in same.items() if not equal],
    }


def _count(same: dict[tuple[str, str], bool], objects: list[str]) -> list[int]:
    found = [equal for (o, _), equal in same.items() if o in objects]
    return [sum(found), len(found)]
