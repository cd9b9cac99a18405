"""What the demo model can draw, and the prompts it has learnt it from."""

from __future__ import annotations

from typing import NamedTuple

OBJECTS = ["cat", "dog", "rose", "car", "pizza", "guitar", "house", "apple", "fish", "rocket"]
STYLES = ["noto", "twemoji", "openmoji", "outline"]
NONE = -1

OBJECT_TEMPLATES = [
    "{o}",
    "a {o}",
    "a picture of a {o}",
    "a drawing of a {o}",
    "a photo of a {o}",
    "{o} emoji",
    "a cute {o}",
    "an icon of a {o}",
    "{o}, high quality, detailed",
]
OBJECT_STYLE_TEMPLATES = [
    "{o}, {s} style",
    "{o} in {s} style",
    "a {o} in {s} style",
    "a drawing of a {o} in {s} style",
    "a picture of a {o}, {s} style",
    "{s} {o}",
    "{s} style {o}",
    "{o} {s}",
]
STYLE_TEMPLATES = ["{s} style", "{s}", "a drawing in {s} style", "a picture, {s} style"]
# The empty prompt four times over: guidance leans on it.
UNCONDITIONAL = [""] * 4 + [
    "a picture",
    "a drawing",
    "blurry, low quality",
    "text, watermark",
    "bad, ugly",
]


class Prompt(NamedTuple):
    """A training prompt with the indices of what it names (`NONE` where it names none)."""

    text: str
    object: int
    style: int


def training_prompts() -> list[Prompt]:
    """All prompts of the training set, the empty one included several times."""
    prompts = [Prompt(text, NONE, NONE) for text in UNCONDITIONAL]
    for j, s in enumerate(STYLES):
        prompts += [Prompt(t.format(s=s), NONE, j) for t in STYLE_TEMPLATES]
    for i, o in enumerate(OBJECTS):
        prompts += [Prompt(t.format(o=o), i, NONE) for t in OBJECT_TEMPLATES]
        for j, s in enumerate(STYLES):
            prompts += [Prompt(t.format(o=o, s=s), i, j) for t in OBJECT_STYLE_TEMPLATES]
    return prompts
