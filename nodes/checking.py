"""Prompts checked as they are typed: which of them name something that is erased."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..sepme_core.concepts import ConceptSet, named_in
from ..sepme_core.errors import SepMEError
from ..sepme_core.text_fields import parse_concepts, parse_lines
from .concept_rows import concept_rows
from .rows import parse_rows

__all__ = ["checked_prompts"]

_MOST = 200_000  # letters of a text: more than a thousand lines


def checked_prompts(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every prompt with the erased concepts that it names; nothing is computed or encoded.

    Args:
        given: `concepts`, `rows` and `prompts`, as they stand in the widgets; one prompt a line.
    Raises:
        SepMEError: says which text cannot be read.
    """
    texts = {name: _text(given, name) for name in ("concepts", "rows", "prompts")}
    concepts = ConceptSet(parse_concepts(texts["concepts"])).concepts
    rows = concept_rows(concepts, parse_rows(texts["rows"]))
    prompts = parse_lines(texts["prompts"])
    found = named_in(prompts, [row.concept for row in rows if row.acts])
    return [
        {"prompt": prompt, "names": list(names)}
        for prompt, names in zip(prompts, found, strict=True)
    ]


def _text(given: Mapping[str, Any], name: str) -> str:
    text = given.get(name)
    if not isinstance(text, str):
        raise SepMEError(f"Got no {name}, expected the texts 'concepts', 'rows' and 'prompts'.")
    if len(text) > _MOST:
        raise SepMEError(f"{name} has {len(text)} letters, expected up to {_MOST}. Check fewer.")
    return text
