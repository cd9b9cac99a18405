"""What is typed into text fields, as the concepts, names, templates and prompts that it means."""

from __future__ import annotations

import re

from .concepts import NEAREST, SLOT, Concept
from .errors import ConceptError
from .spelling import (
    ARROW,
    BAR,
    COMMA,
    clean,
    foreign_sign,
    is_quoted,
    listed_lines,
    name_key,
    noted_lines,
    plain_name,
    split_outside,
)

__all__ = [
    "line_name",
    "parse_concepts",
    "parse_lines",
    "parse_names",
    "parse_protected",
    "parse_templates",
]

_GRAMMAR = "Expected: name | synonym, synonym -> anchor"
_BETWEEN = f"(?:{COMMA}|{BAR})"
_FOREIGN = {
    "tag": "it holds a tag such as <lora:…>, which loads something elsewhere and names nothing "
    "here. Write the name alone.",
    "choice": "it holds a choice such as {cat|dog}. Write every name on a line of its own; or, if "
    "all of them mean one thing, cat | dog.",
    "wildcard": "it holds a wildcard such as __animals__, which another node fills in. Write the "
    "names themselves.",
}
_SLOTS = re.compile(r"｛\s*｝|\{\s+\}|\[\s*(?:name|concept)\s*\]|\{\s*(?:name|concept)\s*\}")


def parse_lines(text: str) -> tuple[str, ...]:
    """The prompts of a text field as they stand, one a line; `#` starts a comment line."""
    return tuple(line for _, line in noted_lines(text))


def parse_templates(text: str) -> tuple[str, ...]:
    """Sentences with a place for a name, one a line.

    `[name]`, which no other node takes as its own, is understood like `{}`.
    """
    return tuple(_SLOTS.sub(SLOT, line) for line in parse_lines(text))


def parse_names(text: str) -> tuple[str, ...]:
    """Names separated by line ends, commas or `|`."""
    names = (plain_name(part) for _, line in _clean_lines(text) for part in _parts(line))
    return tuple(name for name in names if name)


def parse_protected(text: str) -> tuple[str, ...]:
    """The same, each once, and nothing but names.

    Raises:
        ConceptError: names the line, what is wrong with it, and what to write.
    """
    found: dict[str, str] = {}
    for number, line in _clean_lines(text):
        for part in _parts(line):
            name = _name(part, f"Line {number} of the protected concepts, {line!r}")
            if name:
                found.setdefault(name_key(name), name)
    return tuple(found.values())


def _clean_lines(text: str) -> list[tuple[int, str]]:
    return [(number, clean(line)) for number, line in listed_lines(text)]


def _parts(line: str) -> list[str]:
    """The names of a list, also of one in brackets: `(cat, dog:1.2)`, `{cat|dog}`."""
    inner = plain_name(line) if line[:1] in tuple("([（") else line
    inner = inner[1:-1] if re.fullmatch(r"\{[^{}]*\}", inner) else inner
    parts = split_outside(inner, _BETWEEN)
    return parts if len(parts) > 1 else [line]


def parse_concepts(text: str) -> tuple[Concept, ...]:
    """Concepts from plain text, one a line: `name | synonym, synonym -> anchor`.

    Raises:
        ConceptError: names the line and what is wrong with it.
    """
    return tuple(_parse_concept(line, number) for number, line in _clean_lines(text))


def line_name(line: str) -> str:
    """The name in a line of concepts, whatever else is wrong with it."""
    return plain_name(split_outside(split_outside(clean(line), ARROW)[0], BAR)[0])


def _parse_concept(line: str, number: int) -> Concept:
    where = f"Concept line {number}, {line!r}"
    left, *anchors = split_outside(line, ARROW)
    name, *synonyms = split_outside(left, BAR)
    if len(anchors) > 1 or len(synonyms) > 1:
        raise ConceptError(f"{where}: more than one '->' or '|'. {_GRAMMAR}")
    if len(split_outside("".join(anchors), BAR)) > 1:
        raise ConceptError(f"{where}: '|' stands behind '->'. {_GRAMMAR}")
    listed = [part for each in synonyms for part in split_outside(each, COMMA)]
    name, *words = (_name(part, where) for part in (name, *listed))
    if not name:
        raise ConceptError(f"{where}: the name is empty. {_GRAMMAR}")
    return Concept(name, tuple(filter(None, words)), _anchor("".join(anchors), where))


def _name(text: str, where: str) -> str:
    """One name, plain; ConceptError where it is several, or something else."""
    name = plain_name(text)
    if is_quoted(text):
        return name
    _refuse_foreign(name, where)
    if len(split_outside(name, ARROW)) > 1:
        raise ConceptError(
            f"{where}: an arrow stands within a name. Write what is erased as name -> anchor, and "
            "what is protected without an anchor."
        )
    if len(split_outside(name, r"\s[=>]\s")) > 1:
        raise ConceptError(f"{where}: the name holds '=' or '>'. {_GRAMMAR}")
    if len(split_outside(name, COMMA)) > 1:
        raise ConceptError(
            f"{where}: the name holds a comma, which separates names. Write one concept a line, "
            "and further words for it behind '|'; a name that holds a comma goes in quotes."
        )
    return name


def _anchor(text: str, where: str) -> str:
    """What stands behind the arrow: a phrase, taken as it is."""
    _refuse_foreign(text, where)
    if name_key(text) == NEAREST:
        return NEAREST
    return plain_name(text) if is_quoted(text) else text


def _refuse_foreign(text: str, where: str) -> None:
    if sign := foreign_sign(text):
        raise ConceptError(f"{where}: {_FOREIGN[sign]}")
