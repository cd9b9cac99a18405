"""Settings of the closed form and of refine compared by what is still drawn of the concept.

What an increment leaves alone is decided by its dead zone; so here only the erased concepts' own
prompts are drawn, all of them erased at once, applied exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bench.judge import Judge
from bench.peers.ours import concepts_of, erasures, increments, stack_of
from bench.studio import Request, Studio
from bench.tasks import Task

__all__ = ["VARIANTS", "measure"]

FAMILIES = ("bare", "held-out")
N_PICTURES = 4


def _only(suffix: str, stack: Any) -> Any:
    """Of keys or of values alone."""
    entries = []
    for entry in stack.entries:
        coef = {k: v for k, v in entry.increment.coef.items() if k.endswith(suffix)}
        entries.append(replace(entry, increment=replace(entry.increment, coef=coef)))
    return replace(stack, entries=tuple(entries))


def _refined(studio: Studio, task: Task) -> Any:
    from sepme_pack.sepme_core.config import EraseConfig  # noqa: PLC0415  (there by now)

    config = EraseConfig("closed form + refine")
    return stack_of(erasures(studio, concepts_of(task), config))


VARIANTS: Mapping[str, Callable[[Studio, Task], Any]] = {
    "default": increments,
    "keys alone": lambda s, t: _only("to_k", increments(s, t)),
    "values alone": lambda s, t: _only("to_v", increments(s, t)),
    "push 1.0": lambda s, t: increments(s, t, push=1.0),
    "push 1.5": lambda s, t: increments(s, t, push=1.5),
    "ridge 1e-5": lambda s, t: increments(s, t, ridge=1e-5),
    "ridge 0.1": lambda s, t: increments(s, t, ridge=0.1),
    "energy 0.9": lambda s, t: increments(s, t, energy=0.9),
    "tolerance 0.3": lambda s, t: increments(s, t, tolerance=0.3),
    "one direction": lambda s, t: increments(s, t, max_basis=1),
    "capacity 0.25": lambda s, t: increments(s, t, capacity=0.25),
    "no templates": lambda s, t: increments(s, replace(t, seen=())),
    "anchor: the protected one": lambda s, t: increments(s, t, anchor=t.protected[0]),
    "closed form + refine": _refined,
}


def measure(studio: Studio, task: Task, judge: Judge, variant: str) -> dict[str, Any]:
    """How often the erased concepts are still seen.

    Returns:
        family -> [pictures on which the concept is seen, pictures].
    """
    stack = VARIANTS[variant](studio, task)
    model = studio.host.apply_exact(studio.model, stack, studio.host.Window())
    found = {}
    for family in FAMILIES:
        wanted = [
            (name, Request(prompts[seed % len(prompts)], seed))
            for name in task.erasable
            for prompts in [task.prompts(name, family)]
            for seed in range(N_PICTURES)
        ]
        seen = judge(studio.draw(model, [r for _, r in wanted])).seen
        hits = sum(name in s for (name, _), s in zip(wanted, seen, strict=True))
        found[family] = [hits, len(wanted)]
    return found
