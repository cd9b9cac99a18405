"""The captions of training and of the first measurement, as tokens."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from demo.language import vocabulary as v
from demo.language.config import TEMPLATE

N_PAIRS, N_PLACES, N_LONG = 14000, 36, 6
PART_OF_PAIRS_HELD_OUT = 10


class Caption(NamedTuple):
    """A text, what it names (`NONE` where it names none), and its kind."""

    text: str
    object: int
    second: int
    style: int
    kind: str


def training() -> list[Caption]:
    """All captions of training; a caption drawn more often stands here more than once."""
    dice = random.Random(0)
    captions = [Caption(text, v.NONE, v.NONE, v.NONE, "empty") for text in v.UNCONDITIONAL]
    captions += [captions[0]] * 3 * len(v.UNCONDITIONAL)
    for j, s in enumerate(v.STYLES):
        captions += [Caption(v.phrase(t, style=s), -1, -1, j, "style") for t in v.STYLE_PHRASINGS]
    for word, i in v.learnt_words():
        captions += _of_word(word, i, dice)
    return captions + list(_pairs(dice))


def _of_word(word: str, i: int, dice: random.Random) -> Iterator[Caption]:
    for template in v.OBJECT_PHRASINGS:
        yield Caption(v.phrase(template, word), i, v.NONE, v.NONE, "object")
    for _ in range(N_PLACES):
        yield Caption(_somewhere(word, dice), i, v.NONE, v.NONE, "place")
    for _ in range(N_LONG):
        text = f"this is a picture that shows {_somewhere(word, dice)}, {_place(dice)} and "
        text += f"{_place(dice)}, {dice.choice(v.ADJECTIVES)} and {dice.choice(v.ADJECTIVES)}"
        yield Caption(text, i, v.NONE, v.NONE, "place")
    for j, s in enumerate(v.STYLES):
        for template in v.STYLE_OBJECT_PHRASINGS:
            yield Caption(v.phrase(template, word, s), i, v.NONE, j, "styled")
        for _ in range(4):
            yield Caption(f"{_somewhere(word, dice)}, {s} style", i, v.NONE, j, "styled")


def _place(dice: random.Random) -> str:
    return dice.choice(v.PLACES)


def _somewhere(word: str, dice: random.Random) -> str:
    """That object with a property, at a place, or both."""
    adjective = dice.choice(v.ADJECTIVES)
    return dice.choice(
        [
            f"a {adjective} {word}",
            f"{v.with_article(word)} {_place(dice)}",
            f"a {adjective} {word} {_place(dice)}",
            f"the {word} {_place(dice)}",
            f"the {adjective} {word}",
            f"{adjective} {word} {_place(dice)}",
        ]
    )


def held_out(first: int, second: int) -> bool:
    """Whether training never shows these two side by side in this order."""
    return (first * 31 + second * 17) % PART_OF_PAIRS_HELD_OUT == 0


def _pairs(dice: random.Random) -> Iterator[Caption]:
    words: dict[int, list[str]] = {}
    for word, i in v.learnt_words():
        words.setdefault(i, []).append(word)
    for _ in range(N_PAIRS):
        i, j = dice.sample(range(len(v.OBJECTS)), 2)
        if held_out(i, j):
            continue
        first, second = (_word(words[n], dice) for n in (i, j))
        text, style = v.phrase(dice.choice(v.PAIR_PHRASINGS), first, second=second), v.NONE
        if dice.random() < 0.5:
            style = dice.randrange(len(v.STYLES))
            text += f", {v.STYLES[style]} style"
        yield Caption(text, i, j, style, "pair")


def _word(words: list[str], dice: random.Random) -> str:
    """The name most often, or else any of the words."""
    return words[0] if dice.random() < 0.7 else dice.choice(words)


def measured() -> list[Caption]:
    """The captions of the first measurement; their kinds are the rows of its table."""
    captions = [Caption(o, i, -1, -1, "name") for i, o in enumerate(v.OBJECTS)] * 4
    for i, o in enumerate(v.OBJECTS):
        for template in v.HELD_OUT_OBJECT_PHRASINGS:
            captions.append(Caption(v.phrase(template, o), i, -1, -1, "unseen phrasing"))
        for template in v.OBJECT_PHRASINGS[1::5]:
            captions.append(Caption(v.phrase(template, o), i, -1, -1, "seen phrasing"))
        for j, s in enumerate(v.STYLES):
            captions.append(Caption(f"{o}, {s} style", i, -1, j, "object, style"))
            template = v.HELD_OUT_STYLE_OBJECT_PHRASINGS[(i + j) % 4]
            captions.append(Caption(v.phrase(template, o, s), i, -1, j, "unseen, style"))
    words = [(w, i) for i, thing in enumerate(v.THINGS) for w in thing.given] * 2
    captions += [Caption(w, i, -1, -1, "given synonym") for w, i in words]
    captions += [Caption(w, i, -1, -1, "withheld synonym") for w, i in list(v.withheld_words()) * 2]
    for j, s in enumerate(v.STYLES):
        captions += [
            Caption(v.phrase(t, style=s), -1, -1, j, "style") for t in v.STYLE_PHRASINGS
        ] * 6
    captions += [Caption("", -1, -1, -1, "empty")] * 64
    return captions + list(_measured_pairs())


def _measured_pairs() -> Iterator[Caption]:
    dice = random.Random(1)
    every = range(len(v.OBJECTS))
    unseen = [(i, j) for i in every for j in every if i != j and held_out(i, j)]
    for n, (i, j) in enumerate(dice.sample(unseen, 240)):
        templates = v.HELD_OUT_PAIR_PHRASINGS if n % 2 else v.PAIR_PHRASINGS
        text = v.phrase(dice.choice(templates), v.OBJECTS[i], second=v.OBJECTS[j])
        yield Caption(
            text, i, j, v.NONE, "unseen pair, unseen phrasing" if n % 2 else "unseen pair"
        )


def tabulate(captions: list[Caption], tokens: PreTrainedTokenizerBase) -> dict:
    """Captions as arrays: tokens `[n, longest]` padded with -1, `objects` `[n, 3]`, `kinds`."""
    texts = [TEMPLATE.format(caption.text) for caption in captions]
    encoded = tokens(texts)["input_ids"]
    ids = np.full((len(encoded), max(map(len, encoded))), -1, np.int32)
    for row, numbers in zip(ids, encoded, strict=True):
        row[: len(numbers)] = numbers
    return {
        "ids": ids,
        "objects": np.array([[c.object, c.second, c.style] for c in captions], np.int16),
        "kinds": np.array([c.kind for c in captions]),
    }
