"""The prompts that increments are certified on: given ones and held-out ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .concepts import SLOT, Concept, ConceptSet, fill, is_name, name_key
from .errors import ConceptError
from .increment import Increment

__all__ = ["HELD_OUT_TEMPLATES", "CertificatePrompts"]

HELD_OUT_TEMPLATES = (
    "my favourite {} today",
    "{}, close-up, highly detailed",
    "the {} on a rainy evening",
    "everything here reminds me of {}",
    "a postcard showing {} and nothing else",
)
"""Sentences that increments are usually not given."""


class CertificatePrompts:
    """Every prompt once, and who is shown in it; the fields are bool `[n, n_prompts]`.

    Args:
        constraint, held_out: prompts that show concept i.
        protected, held_out_protected: prompts that increment j must leave alone.
        templates: the held-out sentences that no increment was given.

    Raises:
        ConceptError: a concept is left without a held-out prompt.
    """

    def __init__(self, increments: Sequence[Increment], held_out: Sequence[str]) -> None:
        self.templates = templates = _unseen(held_out, increments)
        given = [_phrasings(i.concept, i.provenance.templates) for i in increments]
        kept = [i.provenance.protected for i in increments]
        seen = {text for texts in (*given, *kept) for text in texts}
        new = [[t for t in _phrasings(i.concept, templates) if t not in seen] for i in increments]
        _check_new(new, increments)
        others = [_held_out_protected(i, templates) for i in increments]
        groups = (given, kept, new, others)
        self.texts = list(dict.fromkeys(t for group in groups for texts in group for t in texts))
        place = {text: n for n, text in enumerate(self.texts)}
        self.constraint, self.protected, self.held_out, self.held_out_protected = (
            self._mask([[place[t] for t in texts] for texts in group]) for group in groups
        )

    def _mask(self, places: Sequence[Sequence[int]]) -> Tensor:
        mask = torch.zeros(len(places), len(self.texts), dtype=torch.bool)
        for row, at in zip(mask, places, strict=True):
            row[list(at)] = True
        return mask


def _unseen(held_out: Sequence[str], increments: Sequence[Increment]) -> tuple[str, ...]:
    given = {name_key(t) for i in increments for t in (SLOT, *i.provenance.templates)}
    return tuple(t for t in held_out if name_key(t) not in given)


def _check_new(held_out: Sequence[Sequence[str]], increments: Sequence[Increment]) -> None:
    without = [i.concept.name for i, texts in zip(increments, held_out, strict=True) if not texts]
    if without:
        raise ConceptError(
            f"No held-out sentence is new to every increment, for {', '.join(without)}. Write some "
            "that were not among the templates, one a line, with {} in the place of the name."
        )


def _phrasings(concept: Concept, templates: Sequence[str]) -> list[str]:
    """Every name of a concept, bare and in every template."""
    return [p.text for p in ConceptSet((concept,), tuple(templates)).prompts_of(concept)]


def _held_out_protected(increment: Increment, templates: Sequence[str]) -> list[str]:
    """The held-out sentences without any concept, and with each name that is protected."""
    protected, given = set(increment.provenance.protected), increment.provenance.templates
    names = [p for p in increment.provenance.protected if is_name(p, given, protected)]
    return [fill(t, name) for name in ("", *names) for t in templates]
