"""What is most like a concept in a text encoder: what to protect when it is erased."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from .concepts import Concept, fill
from .denoiser import OnStep, Progress
from .embeddings import EncodedPrompt, TextEncoder, unit_rows
from .spelling import NameFinder
from .text_fields import parse_concepts

__all__ = ["PHRASE", "Neighbour", "VectorsOf", "name_vectors", "neighbours", "things"]

_THINGS = Path(__file__).with_name("data") / "things.txt"
_BATCH = 16  # names between two reports of progress
PHRASE = "a photo of a {}"
"""In a sentence, as language models hardly tell bare words apart: they look for what follows."""
VectorsOf = Callable[[Sequence[str]], Tensor]
"""Names -> one vector each, `[n, d_text]`; a host may keep the results."""


@dataclass(frozen=True)
class Neighbour:
    """A name that is like an erased concept.

    Args:
        similarity: cosine in [-1, 1] after what all names have in common is taken off; 0 is as
            far as two names that have nothing to do with each other.
    """

    name: str
    similarity: float


@cache
def things() -> tuple[Concept, ...]:
    """What models are often asked for, each with its other words."""
    return parse_concepts(_THINGS.read_text(encoding="utf-8"))


def neighbours(
    erased: Sequence[Concept], vectors_of: VectorsOf, count: int
) -> dict[str, tuple[Neighbour, ...]]:
    """The names that are most like each concept, nearest first, by the concept's name.

    Never among them: what is erased, under any of its names, and what stands in its place.

    Args:
        vectors_of: see `name_vectors`.
        count: how many for each concept.
    """
    taken = [name for c in erased for name in (*c.names, c.anchor) if name]
    candidates = _others(taken)
    both = vectors_of([*candidates, *(c.name for c in erased)])
    known, own = _whitened(both, len(candidates)).split([len(candidates), len(erased)])
    found = (own @ known.T).topk(min(count, len(candidates)))
    return {
        concept.name: tuple(
            Neighbour(candidates[place], value)
            for value, place in zip(values.tolist(), places.tolist(), strict=True)
        )
        for concept, values, places in zip(erased, *found, strict=True)
    }


def _others(taken: Sequence[str]) -> list[str]:
    """The names of things that do not mean what is taken, as far as spelling tells.

    Neither is part of the other: a black cat is a cat, and Van Gogh is Vincent van Gogh.
    """
    finder = NameFinder(taken)
    return [
        thing.name
        for thing in things()
        if not any(map(finder.finds_one_in, thing.names)) and not _named(thing, taken)
    ]


def _named(thing: Concept, texts: Sequence[str]) -> bool:
    return any(map(_finder(thing).finds_one_in, texts))


@cache
def _finder(thing: Concept) -> NameFinder:
    return NameFinder(thing.names)


def name_vectors(
    names: Sequence[str],
    encode: TextEncoder,
    kept: dict[str, Tensor],
    on_step: OnStep = lambda _: None,
) -> Tensor:
    """One vector a name, `[n, d_text]` float32: the end of a phrase that shows it.

    Args:
        kept: vectors that are known; those that are not are added as soon as they are there.
        on_step: called after every batch; raising from it cancels.
    """
    once: TextEncoder = getattr(encode, "once", encode)
    missing = [name for name in dict.fromkeys(names) if name not in kept]
    for start in range(0, len(missing), _BATCH):
        part = missing[start : start + _BATCH]
        prompts = once([fill(PHRASE, name) for name in part])
        kept.update(zip(part, map(_vector, prompts), strict=True))
        on_step(Progress("neighbours", start + len(part), len(missing), unit="names"))
    return torch.stack([kept[name] for name in names])


def _vector(prompt: EncodedPrompt) -> Tensor:
    """Its last word and its end mark, which have seen all of the name in every encoder."""
    return unit_rows(prompt.embeddings[max(prompt.n_words - 2, 0) : prompt.n_words]).mean(0).float()


def _whitened(vectors: Tensor, n_known: int) -> Tensor:
    """Unit rows in which every direction of the known ones counts alike, `[n, d_text]`.

    In raw embeddings all names are alike, and what tells them apart lies in a few directions
    that have little to do with meaning. Directions in which the known names hardly differ are
    held back by the ridge: the median variance, which a few loud directions do not move.

    Args:
        n_known: leading vectors that say what names have in common.
    """
    rows = vectors.double()
    rows = rows - rows[:n_known].mean(0)
    _, spread, directions = torch.linalg.svd(rows[:n_known], full_matrices=False)
    variance = spread.square()
    ridge = variance.median().clamp_min(torch.finfo(torch.float32).tiny)
    gain = (1 + variance / ridge).rsqrt() - 1
    rows = rows + (rows @ directions.T * gain) @ directions
    return torch.nn.functional.normalize(rows, dim=1)
