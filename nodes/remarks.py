"""What may go wrong with increments that are used together, and with what a graph makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..sepme_core.concepts import ConceptSet
from ..sepme_core.doubles import Acting, acting, doubles, doubles_report
from ..sepme_core.increment import Stack
from ..sepme_core.strangers import strangers, strangers_report
from . import host
from .telling import Remark

__all__ = ["on_concepts", "on_graph", "on_model", "on_stack"]

_UNPROTECTED = (
    "Nothing is protected beside the concepts themselves: whatever the model finds most like them "
    "may change too. SepME Neighbours suggests names for protected_concepts."
)


def on_concepts(concepts: ConceptSet) -> list[Remark]:
    """What it risks where nobody said what must not change."""
    if concepts.protected_concepts:
        return []
    return [Remark("Nothing is protected", _UNPROTECTED, "note")]


def on_stack(stack: Stack) -> list[Remark]:
    """Increments of a stack that act on one concept together, or may move each other's."""
    return _doubled(acting(stack)) + _strangers(stack)


def on_model(before: Any, model: Any, stack: Stack) -> list[Remark]:
    """What to know of a model that a node has just applied a stack to.

    Args:
        before: the model that came in.
        stack: what it had to apply, switched off rows included.
    """
    at_work = host.at_work(model)
    told = on_graph(model) + _doubled(at_work) + _strangers(sum(host.applied(model), stack))
    return told + _foreign(before, stack) + _again(host.at_work(before), stack, at_work)


def on_graph(model: Any) -> list[Remark]:
    """What nodes behind the one that runs make of the model that it gives."""
    at_work = host.at_work(model)
    return [r for writer in host.weight_writers() for r in _written(writer, at_work)]


def _foreign(model: Any, stack: Stack) -> list[Remark]:
    """What of a stack was computed on another checkpoint than the model's."""
    names = host.from_other_checkpoints(model, [e.increment for e in stack.entries])
    if not names:
        return []
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return [
        Remark(
            f"{names[0]!r}{more}: of another checkpoint",
            f"{', '.join(names)} was computed on another checkpoint of the family. Protection "
            "holds as long as the text encoder is the same; how well it erases was not measured "
            "here.",
        )
    ]


def _written(writer: host.Writer, at_work: Sequence[Acting]) -> list[Remark]:
    """What is lost of the erasures where a node reads the weights."""
    exact = [a for a in at_work if a.how == "exact"]
    lost = at_work if writer.mixes else exact
    if not lost:
        return []
    where = f"{writer.title} (node {writer.node_id})"
    names = sorted({repr(a.increment.concept.name) for a in lost})
    concepts = ", ".join(names)
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    if not writer.mixes:
        return [
            Remark(
                f"{writer.title} saves a model that still draws {names[0]}{more}",
                f"{where} writes the model's weights, which exact mode leaves as they are: what it "
                f"saves still draws {concepts}. {host.WAY_OUT}",
            )
        ]
    why = "which exact mode leaves as they are" if exact else "and keeps a share of each"
    return [
        Remark(
            f"{writer.title} brings {names[0]}{more} back",
            f"{where} mixes this model's weights with another's, {why}: what comes out may draw "
            f"{concepts} again. Apply the stack behind it instead.",
        )
    ]


def _again(before: Sequence[Acting], stack: Stack, now: Sequence[Acting]) -> list[Remark]:
    """What was on the model already, and does not act twice."""
    there = {a.increment.digest for a in before}
    digests = [a.increment.digest for a in now]
    once = {d for d in there if digests.count(d) == 1}
    names = [e.name for e in stack.active() if e.increment.digest in once]
    if not names:
        return []
    said = f"{', '.join(map(repr, names))} is on the model already, and counts once, as set here."
    return [Remark(f"{names[0]!r} was erased already", said, "note")]


def _doubled(at_work: Sequence[Acting]) -> list[Remark]:
    found = doubles(at_work)
    if not found:
        return []
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return [Remark(f"{found[0].name!r} acts twice{more}", doubles_report(found))]


def _strangers(stack: Stack) -> list[Remark]:
    """Which increments may move each other's concepts."""
    pairs = strangers(stack)
    if not pairs:
        return []
    more = f" and {len(pairs) - 1} more" if len(pairs) > 1 else ""
    headline = f"{pairs[0][0]!r} does not protect {pairs[0][1]!r}{more}"
    return [Remark(headline, strangers_report(stack))]
