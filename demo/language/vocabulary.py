"""What the world with language can draw, and the words it has and has not learnt it from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).parent / "objects.txt"
STYLES = ["noto", "twemoji", "openmoji", "outline"]
NONE = -1
WITHOUT_ARTICLE = ("scissors", "skis", "cherries", "traffic lights", "drums", "luggage", "baggage")
WITHOUT_ARTICLE += ("cattle", "swine", "shears", "king of beasts")


class Thing(NamedTuple):
    """An object: its name, its emoji's code point, other words for it, and its neighbours."""

    name: str
    code: str
    given: tuple[str, ...]
    withheld: tuple[str, ...]
    group: int


def read(path: Path = FILE) -> list[Thing]:
    """All objects, in the order of the file; those of one group are neighbours."""
    things: list[Thing] = []
    paragraphs = path.read_text(encoding="utf-8").split("\n\n")
    for group, lines in enumerate(paragraphs):
        for line in lines.splitlines():
            if line and not line.startswith("#"):
                name, rest = (part.strip() for part in line.split("="))
                code, given, withheld = (part.strip() for part in rest.split("|"))
                things.append(Thing(name, code, _words(given), _words(withheld), group))
    return things


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


THINGS = read()
OBJECTS = [thing.name for thing in THINGS]


def neighbours(name: str) -> list[str]:
    """The other objects of that one's group."""
    group = THINGS[OBJECTS.index(name)].group
    return [thing.name for thing in THINGS if thing.group == group and thing.name != name]


# `{an}` is the word with its article, `{o}` the bare word, `{s}` a style.
OBJECT_PHRASINGS = [
    "{o}",
    "{an}",
    "the {o}",
    "a picture of {an}",
    "a photo of {an}",
    "a drawing of {an}",
    "a painting of {an}",
    "an illustration of {an}",
    "a cute {o}",
    "a small {o}",
    "a big {o}",
    "{o} emoji",
    "{o} on a white background",
    "{an} in the garden",
    "this is {an}",
    "I want {an}",
    "show me {an}",
    "draw {an}",
    "a close-up of {an}",
    "a sketch of the {o}",
    "a simple {o}",
    "{an}, colourful",
    "a beautiful {o}",
    "a cartoon {o}",
    "a photograph of the {o} at home",
    "there is {an} here",
    "a nice picture with {an} in the middle",
    "{an} and nothing else",
    "a portrait of {an}",
    "{an} for my friend",
    "a logo with {an}",
    "clip art of {an}",
]
STYLE_OBJECT_PHRASINGS = [
    "{o}, {s} style",
    "{o} in {s} style",
    "{an} in {s} style",
    "a drawing of {an} in {s} style",
    "a picture of {an}, {s} style",
    "{s} {o}",
    "{s} style {o}",
    "{o} {s}",
    "a photo of {an}, {s}",
    "a cute {o} in {s} style",
    "{s} emoji of {an}",
    "show me {an} in {s} style",
]
STYLE_PHRASINGS = [
    "{s} style",
    "{s}",
    "a drawing in {s} style",
    "a picture, {s} style",
    "something in {s} style",
    "{s} emoji",
]
PAIR_PHRASINGS = [
    "{an} and {an2}",
    "{o} and {o2}",
    "a picture of {an} and {an2}",
    "a drawing of {an} and {an2}",
    "{an} next to {an2}",
    "{an} on the left and {an2} on the right",
    "{an}, {an2}",
    "show me {an} and {an2}",
]
# Never trained on: what generalises to these has learnt the words and not the sentences.
HELD_OUT_OBJECT_PHRASINGS = [
    "my favourite {o} today",
    "an icon of {an}",
    "{o}, high quality, detailed",
    "look at this {o} on a table",
    "the {o} sleeping at night",
    "an image of the {o}",
    "could you please make {an} for us?",
    "here we see {an} from the side",
    "{an} as a sticker for children",
    "one more {o}, please",
    "an old postcard with {an} on it",
]
HELD_OUT_STYLE_OBJECT_PHRASINGS = [
    "my favourite {o} today, in {s} style",
    "an icon of {an}, {s}",
    "the {s} version of {an}",
    "an image of the {o} in {s} style",
]
HELD_OUT_PAIR_PHRASINGS = [
    "{an} beside {an2}",
    "an image of {an} together with {an2}",
]
ADJECTIVES = (
    "red blue green little large old young happy funny lovely shiny wooden tiny huge strange "
    "friendly bright dark golden modern"
).split()
PLACES = [
    "in the forest",
    "on the beach",
    "at home",
    "in the snow",
    "under a tree",
    "in the city",
    "on a hill",
    "by the river",
    "in the kitchen",
    "at sunset",
    "on the floor",
    "in a box",
    "in the morning",
    "with a blue sky",
    "in front of a wall",
    "at the market",
    "on a sunny day",
    "behind a fence",
    "during the holidays",
    "in summer",
]
# The empty prompt, which guidance leans on, and what people write as negative prompts.
UNCONDITIONAL = [
    "",
    "a picture",
    "a drawing",
    "something",
    "blurry, low quality",
    "text, watermark",
    "bad, ugly",
    "worst quality, deformed",
]


def with_article(word: str) -> str:
    """The word as it stands in a sentence: "an apple", "a cat", "scissors"."""
    if word in WITHOUT_ARTICLE:
        return word
    return ("an " if word[0] in "aeiou" and not word.startswith(("ewe", "urn ")) else "a ") + word


def phrase(template: str, word: str = "", style: str = "", second: str = "") -> str:
    """A phrasing filled in with one or two words for objects and a style's name."""
    return template.format(
        o=word,
        an=with_article(word) if word else "",
        o2=second,
        an2=with_article(second) if second else "",
        s=style,
    )


def learnt_words() -> Iterator[tuple[str, int]]:
    """Every word that training uses, with the index of its object: names and given synonyms."""
    for index, thing in enumerate(THINGS):
        for word in (thing.name, *thing.given):
            yield word, index


def withheld_words() -> Iterator[tuple[str, int]]:
    """Every synonym that training never uses, with the index of its object."""
    for index, thing in enumerate(THINGS):
        for word in thing.withheld:
            yield word, index
