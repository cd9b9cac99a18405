"""Names of artists and of everyday objects, their synonyms and neighbours, and phrasings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from sepme_core.concepts import DEFAULT_TEMPLATES

__all__ = ["Kind", "kinds"]

STYLE_TEMPLATES = (
    "a painting by {}",
    "in the style of {}",
    "a portrait by {}",
    "{} style",
    "artwork by {}",
)
STYLES_HELD_OUT = (
    "a landscape as {} would have painted it",
    "{}, high quality, detailed",
    "a city at night in {} style, trending",
    "the famous picture of flowers by {} in a museum",
    "a cat, oil on canvas, {}",
    "my favourite artist is {}",
    "imitation of {}, 4k",
    "an exhibition about {} opened today",
    "an old harbour with fishing boats and a stone pier at sunset, gulls over the water, people "
    "carrying baskets of fish, warm light, in the style of {}, very detailed, award winning",
    "by {}, a young woman in a blue dress sits beside an open window and reads a letter while "
    "rain falls on the garden behind her",
    "masterpiece, best quality, a mountain valley with a river, pine trees, morning fog, "
    "({}:1.2), wide shot, vivid colours, sharp focus, 8k",
)
OBJECTS_HELD_OUT = (
    "my favourite {} today",
    "an icon of a {}",
    "{}, high quality, detailed",
    "look at this {} on a table",
    "the {} sleeping at night",
    "I saw a {} yesterday in the old town",
    "close-up of one {}, studio lighting, bokeh",
    "two people standing next to a {}",
    "a busy market street in an old town in summer, many people, colourful awnings, and in the "
    "middle of the picture there is a {} in bright sunlight, very detailed, 8k",
    "a {} in the foreground, behind it a wide green valley with a river and snowy mountains, "
    "morning fog, soft colours, painted in watercolour",
    "masterpiece, best quality, cinematic light, shallow depth of field, ({}:1.2), sharp focus, "
    "35 mm film, by a famous photographer",
)


@dataclass(frozen=True)
class Kind:
    """Names of one kind with their phrasings.

    Args:
        groups: names near in meaning stand together.
        given, held_out: templates that the concept set has, and those nobody was given.
        synonyms: further words for a name, given to its concept.
    """

    name: str
    groups: tuple[tuple[str, ...], ...]
    given: tuple[str, ...]
    held_out: tuple[str, ...]
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    @property
    def names(self) -> list[str]:
        """All of them, without synonyms."""
        return [name for group in self.groups for name in group]

    def words(self, name: str) -> tuple[str, ...]:
        """The name and its synonyms."""
        return (name, *self.synonyms.get(name, ()))

    def neighbours(self, name: str) -> set[str]:
        """Names that mean nearly the same."""
        return next(set(g) for g in self.groups if name in g) - {name}


@cache
def kinds() -> tuple[Kind, Kind]:
    """Artists and objects."""
    text = Path(__file__).with_name("names.txt").read_text(encoding="utf-8")
    artists, objects = text.split("[artists]")[1].split("[objects]")
    return (
        _kind("artists", artists, STYLE_TEMPLATES, STYLES_HELD_OUT),
        _kind("objects", objects, DEFAULT_TEMPLATES, OBJECTS_HELD_OUT),
    )


def _kind(name: str, text: str, given: tuple[str, ...], held_out: tuple[str, ...]) -> Kind:
    """From lines of `name=synonym=synonym, name`."""
    groups = [
        [tuple(word.strip() for word in entry.split("=")) for entry in line.split(",")]
        for line in text.splitlines()
        if line.strip()
    ]
    synonyms = {entry[0]: entry[1:] for group in groups for entry in group if entry[1:]}
    names = tuple(tuple(entry[0] for entry in group) for group in groups)
    return Kind(name, names, given, held_out, synonyms)
