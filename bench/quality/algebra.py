"""What can be said of increments without drawing: leaks, order, room, and what shift is reached."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from bench.tasks import FAMILIES, Task
from bench.vocabulary import kinds
from sepme_core.application import StackBranch
from sepme_core.certificate import LeakMatrix, certify
from sepme_core.closed_form import AnchoredPrompt
from sepme_core.concepts import Concept, ConceptSet
from sepme_core.config import BasisConfig, EraseConfig, Protection
from sepme_core.embeddings import TextEncoder
from sepme_core.erase import erase
from sepme_core.errors import NotSeparableError
from sepme_core.increment import Increment, Stack
from sepme_core.planning import make_plans
from sepme_core.reseparate import reseparate

__all__ = ["capacity", "leaks", "margins", "order", "restore", "shift"]

Weights = Mapping[str, Tensor]


def leaks(task: Task, encode: TextEncoder, weights: Weights) -> dict[str, Any]:
    """Who moves whom, through the dead zone (exact) and merged into the weights (linear).

    Returns:
        `names`, and for `given` and `held_out` prompts the matrices `exact` and `linear` of
        leak(j→i), `protected` likewise per increment, and `reached`, the share of a concept's own
        prompts that its increment acts on.
    """
    certificate = certify(_increments(task, encode, weights), encode, weights)
    return {
        "names": list(certificate.names),
        "given": _told(certificate.constraint),
        "held_out": _told(certificate.held_out),
    }


def margins(task: Task, encode: TextEncoder, weights: Weights) -> dict[str, dict[str, float]]:
    """Per concept its dead zone: threshold, and the components between which it lies."""
    zones = {i.concept.name: i.dead_zone for i in _increments(task, encode, weights)}
    return {name: asdict(zone) | {"margin": zone.margin} for name, zone in zones.items()}


def restore(task: Task, encode: TextEncoder, weights: Weights) -> dict[str, float]:
    """What is still added for a concept that is given back, in any state and phrasing.

    Returns:
        `restored`, and `erased` for those that are erased in the same states, beside which it is
        to be seen: the largest entry of what is added, relative to the layer's largest output.
    """
    increments = {i.concept.name: i for i in _increments(task, encode, weights)}
    largest = {"restored": 0.0, "erased": 0.0}
    for state in task.states():
        branch = StackBranch(Stack.of(increments[name] for name in sorted(state)))
        for name in task.erasable:
            texts = [p for family in FAMILIES for p in task.prompts(name, family)]
            rows = torch.stack([p.embeddings for p in encode(texts)])
            branch.begin()
            added = max(_relative(branch(m, rows), rows @ w.T) for m, w in weights.items())
            role = task.role(name, state)
            largest[role] = max(largest[role], added)
    return largest


def _relative(added: Tensor | None, output: Tensor) -> float:
    return 0.0 if added is None else float(added.abs().max() / output.abs().max())


def order(task: Task, encode: TextEncoder, weights: Weights) -> dict[str, Any]:
    """Five concepts, or all there are, added one by one in every order, then separated.

    Returns:
        The number of orders and the largest difference of ΔW relative to its largest entry.
    """
    names = task.erasable[:5]
    orders = list(itertools.permutations(names))
    expected: dict[str, Increment] = {}
    worst = 0.0
    for names in orders:
        known: list[Increment] = []
        for name in names:
            alone = replace(task, erasable=(name,))
            known += _increments(alone, encode, weights, known)
        for result in reseparate(known, encode, weights):
            first = expected.setdefault(result.after.concept.name, result.after)
            worst = max(worst, _difference(first, result.after))
    return {"orders": len(orders), "largest_difference": worst}


def capacity(encode: TextEncoder, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """How much of a concept is left when more and more everyday objects are protected from it.

    Until refusal, for the exact protection of every row and for the truncated default. Bare names
    only: phrasings alone fill the room of the exact one.
    """
    names = kinds()[1].names
    found: list[dict[str, Any]] = []
    protections: tuple[Protection, ...] = ("reduced", "truncated")
    for protection in protections:
        for n in (n for n in sizes if n < len(names)):
            concept = Concept(names[0])
            known = ConceptSet((concept,), (), protected_concepts=tuple(names[1 : n + 1]))
            config = BasisConfig(protection)
            try:
                (plan,) = make_plans(known, [concept], encode, config, torch.float32)
            except NotSeparableError as error:
                found.append({"protection": protection, "n": n, "refused": str(error)})
                break
            found.append(
                {
                    "protection": protection,
                    "n": n,
                    "used": plan.directions.capacity.used,
                    "width": plan.directions.capacity.width,
                    "surviving": plan.directions.surviving,
                    "margin": plan.dead_zone.margin,
                }
            )
    return found


def shift(task: Task, encode: TextEncoder, weights: Weights) -> dict[str, dict[str, float]]:
    """Which share of the way to the anchor's tokens a concept's tokens go, by phrasings.

    Per concept the mean over tokens that it acts on, weighted by the length of the way.
    """
    found: dict[str, dict[str, float]] = {}
    for increment in _increments(task, encode, weights):
        name = increment.concept.name
        found[name] = {
            family: _share(increment, _anchored(task, name, family, encode), weights)
            for family in ("bare", "seen", "held-out")
        }
    return found


def _increments(
    task: Task, encode: TextEncoder, weights: Weights, known: Sequence[Increment] = ()
) -> list[Increment]:
    concepts = task.concept_set().also_protecting([i.concept for i in known])
    erasures = erase(concepts, concepts.concepts, encode, weights, EraseConfig())
    return [e.increment for e in erasures]


def _told(matrix: LeakMatrix) -> dict[str, Any]:
    return {
        "exact": matrix.exact.tolist(),
        "linear": matrix.linear.tolist(),
        "protected_exact": [leak.exact for leak in matrix.protected],
        "protected_linear": [leak.linear for leak in matrix.protected],
        "reached": list(matrix.reached),
    }


def _difference(a: Increment, b: Increment) -> float:
    return max(
        float((a.delta_weight(m) - b.delta_weight(m)).abs().max() / a.delta_weight(m).abs().max())
        for m in a.target_modules
    )


def _anchored(task: Task, name: str, family: str, encode: TextEncoder) -> list[AnchoredPrompt]:
    texts, anchors = task.prompts(name, family), task.anchored(name, family)
    return [AnchoredPrompt(*pair) for pair in zip(encode(texts), encode(anchors), strict=True)]


def _share(increment: Increment, prompts: Sequence[AnchoredPrompt], weights: Weights) -> float:
    along = length = 0.0
    basis = increment.basis.double()
    for prompt in prompts:
        tokens = torch.arange(len(prompt.concept.embeddings))
        wanted, e = prompt.shift(tokens), prompt.concept.embeddings.double()
        acted = (e @ basis.T).norm(dim=1) > increment.dead_zone.largest_protected * e.norm(dim=1)
        for module, weight in weights.items():
            goal = wanted[acted] @ weight.double().T
            got = e[acted] @ basis.T @ increment.coef[module].double().T
            along += float((goal * got).sum())
            length += float(goal.square().sum())
    return round(along / max(length, 1e-30), 4)
