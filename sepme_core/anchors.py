"""What an erased concept falls back to, when the user leaves the choice to us."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .concepts import NEAREST, Concept, ConceptSet, name_key
from .embeddings import EncodedPrompt, TextEncoder, unit_rows
from .errors import ConceptError
from .spelling import NameFinder

__all__ = ["check_anchors_stay", "with_anchors"]


def with_anchors(
    concepts: ConceptSet,
    chosen: Sequence[Concept],
    encode: TextEncoder,
    beside: Sequence[Concept] = (),
) -> tuple[ConceptSet, list[Concept]]:
    """The same concepts with every `NEAREST` replaced by a name.

    Candidates are the protected names, and the concepts of the set that are not being erased.
    Nearest is the largest cosine between the mean embeddings of the names' words, after what all
    names have in common is taken off.

    Args:
        beside: what else is erased, or may be switched on: no candidates.
    Raises:
        ConceptError: nothing that stays could serve, or an anchor names what is erased beside it.
    """
    check_anchors_stay(chosen)
    if all(c.anchor != NEAREST for c in chosen):
        return concepts, list(chosen)
    gone = {name_key(n) for c in (*chosen, *beside) for n in c.names}
    known = [*(c.name for c in concepts.concepts), *concepts.protected_concepts]
    candidates = [name for name in known if name_key(name) not in gone]
    if not candidates:
        raise ConceptError(
            f"The anchor {NEAREST!r} needs a concept that stays: list one under "
            "protected_concepts, or name an anchor."
        )
    found = {c.name: _nearest(c, candidates, encode) for c in chosen if c.anchor == NEAREST}
    anchored = tuple(replace(c, anchor=found.get(c.name, c.anchor)) for c in concepts.concepts)
    by_name = {c.name: c for c in anchored}
    return replace(concepts, concepts=anchored), [by_name[c.name] for c in chosen]


def check_anchors_stay(erased: Sequence[Concept]) -> None:
    """An anchor that is erased as well would draw it again, under another name.

    Raises:
        ConceptError: names both concepts.
    """
    anyone = NameFinder(name for concept in erased for name in concept.names)
    for concept in erased:
        if concept.anchor != NEAREST and anyone.finds_one_in(concept.anchor):
            other = next(c for c in erased if NameFinder(c.names).finds_one_in(concept.anchor))
            raise ConceptError(
                f"{concept.name!r} falls back to {concept.anchor!r}, but {other.name!r} is erased, "
                f"too: it would be drawn again. Choose an anchor that stays, none, or {NEAREST!r}."
            )


def _nearest(concept: Concept, candidates: Sequence[str], encode: TextEncoder) -> str:
    own, *others = (_mean_word(p) for p in encode([concept.name, *candidates]))
    rows = torch.stack([own, *others])
    rows = torch.nn.functional.normalize(rows - rows.mean(0), dim=1)
    return candidates[int((rows[1:] @ rows[0]).argmax())]


def _mean_word(prompt: EncodedPrompt) -> Tensor:
    """Mean of the words between the marks, `[d_text]`."""
    return unit_rows(prompt.embeddings[1 : max(prompt.n_words - 1, 2)]).mean(0)
