"""SepME as shipped: closed form with all defaults, exact application and merged into weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bench.peers import Fitted, Peer
from bench.studio import Studio
from bench.tasks import State, Task

__all__ = [
    "EXACT",
    "MERGED",
    "concepts_of",
    "erasures",
    "increments",
    "stack_of",
    "subsets",
]


def increments(studio: Studio, task: Task, anchor: str = "", **settings: Any) -> Any:
    """The stack of all erasable concepts in closed form.

    Args:
        anchor: what all of them fall back to.
        settings: of `BasisConfig`.
    """
    from sepme_pack.sepme_core.config import BasisConfig, EraseConfig  # noqa: PLC0415

    config = EraseConfig(basis=BasisConfig(**settings))
    return stack_of(erasures(studio, concepts_of(task, anchor), config))


def erasures(studio: Studio, concepts: Any, config: Any, names: Sequence[str] = ()) -> list[Any]:
    """What the pack computes on the studio's model.

    Args:
        concepts, config: in the pack's own classes.
        names: which concepts; all when empty.
    """
    from sepme_pack.sepme_core.erase import erase  # noqa: PLC0415

    with studio.host.computing():
        return erase(
            concepts,
            concepts.choose(tuple(names)),
            studio.encode,
            studio.weights,
            config,
            dtype=studio.dtype,
            denoiser=None if config.method == "closed form" else studio.denoiser(),
        )


def stack_of(found: Sequence[Any]) -> Any:
    """The increments of erasures."""
    from sepme_pack.sepme_core.increment import Stack  # noqa: PLC0415

    return Stack.of(e.increment for e in found)


def concepts_of(task: Task, anchor: str = "", *, templates: bool = True) -> Any:
    """What methods are told, in the classes of the pack as the host has loaded it.

    They are not those of `sepme_core`, though they come from the same files.
    """
    from sepme_pack.sepme_core.concepts import Concept, ConceptSet  # noqa: PLC0415

    told = task.concept_set()
    return ConceptSet(
        tuple(Concept(c.name, anchor=anchor) for c in told.concepts),
        templates=told.templates if templates else (),
        protected_concepts=told.protected_concepts,
        protected_prompts=told.protected_prompts,
    )


def subsets(studio: Studio, task: Task, stack: Any, apply: Callable[..., Any]) -> Fitted:
    """A model for any set of concepts, from increments that are known already."""

    def without(erased: State) -> Any:
        chosen = stack.without(n for n in task.erasable if n not in erased)
        return apply(studio.model, chosen, studio.host.Window())

    return without


def _exact(studio: Studio, task: Task) -> Fitted:
    return subsets(studio, task, increments(studio, task), studio.host.apply_exact)


def _merged(studio: Studio, task: Task) -> Fitted:
    return subsets(studio, task, increments(studio, task), studio.host.apply_merged)


EXACT = Peer("SepME (exact)", "this pack, closed form", _exact)
MERGED = Peer("SepME (merged)", "this pack, closed form, as exported LoRA", _merged)
