"""SepME as shipped: closed form with all defaults, exact application and merged into weights."""

from __future__ import annotations

from functools import partial
from typing import Any

from bench.peers import Fitted, Peer
from bench.studio import Studio
from bench.tasks import State, Task

__all__ = ["EXACT", "MERGED", "increments"]


def increments(
    studio: Studio, task: Task, method: str = "closed form", anchor: str = "", **settings: Any
) -> Any:
    """The stack of all erasable concepts, computed once.

    Args:
        anchor: what all of them fall back to.
        settings: of `BasisConfig`.
    """
    from sepme_pack.sepme_core.config import BasisConfig, EraseConfig  # noqa: PLC0415
    from sepme_pack.sepme_core.erase import erase  # noqa: PLC0415
    from sepme_pack.sepme_core.increment import Stack  # noqa: PLC0415

    concepts = _of_the_pack(task, anchor)
    config = EraseConfig(method, basis=BasisConfig(**settings))
    with studio.host.computing():
        found = erase(
            concepts,
            concepts.concepts,
            studio.encode,
            studio.weights,
            config,
            dtype=studio.dtype,
            denoiser=studio.denoiser() if method != "closed form" else None,
        )
    return Stack.of(e.increment for e in found)


def _of_the_pack(task: Task, anchor: str) -> Any:
    """In the classes of the pack as the host has loaded it, which are not those of `sepme_core`."""
    from sepme_pack.sepme_core.concepts import Concept, ConceptSet  # noqa: PLC0415

    told = task.concept_set()
    return ConceptSet(
        tuple(Concept(c.name, anchor=anchor) for c in told.concepts),
        templates=told.templates,
        protected_concepts=told.protected_concepts,
        protected_prompts=told.protected_prompts,
    )


def _fit(mode: str, studio: Studio, task: Task) -> Fitted:
    stack = increments(studio, task)

    def without(erased: State) -> Any:
        chosen = stack.without(n for n in task.erasable if n not in erased)
        apply = studio.host.apply_merged if mode == "merged" else studio.host.apply_exact
        return apply(studio.model, chosen, studio.host.Window())

    return without


EXACT = Peer("SepME (exact)", "this pack, closed form", partial(_fit, "exact"))
MERGED = Peer("SepME (merged)", "this pack, closed form, as exported LoRA", partial(_fit, "merged"))
