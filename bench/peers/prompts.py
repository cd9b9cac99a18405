"""What every peer is told of a concept: its name bare and in the seen templates, nothing else."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from bench.studio import Studio
from bench.tasks import State, Task

__all__ = ["Phrasing", "anchor_rows", "kept_names", "name_places", "phrasings"]


class Phrasing(NamedTuple):
    """A prompt that shows a concept, and the same without the name; bare, that is nothing."""

    name: str
    text: str
    anchored: str


def phrasings(task: Task, name: str) -> list[Phrasing]:
    """Every prompt of a concept that methods are given."""
    return [
        Phrasing(name, text, anchored)
        for family in ("bare", "seen")
        for text, anchored in zip(
            task.prompts(name, family), task.anchored(name, family), strict=True
        )
    ]


def kept_names(task: Task, erased: State) -> list[str]:
    """What methods that are recomputed for a set shall preserve: all they know of but the set."""
    return [n for n in (*task.erasable, *task.protected) if n not in erased]


def name_places(studio: Studio, prompt: Phrasing) -> list[int]:
    """Where the tokens of the name stand in the prompt.

    Raises:
        ValueError: they do not.
    """
    ids, own = (_ids(studio, text) for text in (prompt.text, prompt.name))
    own = own[1 : studio.encode([prompt.name])[0].n_words - 1]
    for start in range(len(ids) - len(own) + 1):
        if ids[start : start + len(own)] == own:
            return list(range(start, start + len(own)))
    raise ValueError(f"the tokens of {prompt.name!r} do not stand in {prompt.text!r}")


def anchor_rows(studio: Studio, prompt: Phrasing) -> tuple[Tensor, Tensor]:
    """Embeddings from the name's last token to the end, and those that they shall become.

    Padding is included: it tells of the words before it. The anchored prompt is shorter by the
    name, so the name's last token falls on the word before it, or on the start mark.

    Returns:
        two times `[n, d_text]` float64.
    """
    concept, anchor = (p.embeddings.double() for p in studio.encode([prompt.text, prompt.anchored]))
    places = name_places(studio, prompt)
    last = places[-1]
    start = last - len(places)
    return concept[last:], anchor[start : start + len(concept) - last]


def _ids(studio: Studio, text: str) -> list[int]:
    sections = next(iter(studio.clip.tokenize(text).values()))
    return [token[0] for token in sections[0]]
