"""Rows whose files are missing, computed again from the concept set in the workflow."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..sepme_core.concepts import Concept, ConceptSet, name_key
from ..sepme_core.config import EraseConfig
from ..sepme_core.increment import Increment, Stack
from ..sepme_core.increment_file import to_bytes
from . import host
from .concept_rows import compute_missing, concept_rows
from .file_rows import LoadedRow, concept_line, concept_name
from .kept import Kept, Refusal
from .task import Task

__all__ = ["restored"]


def restored(
    loaded: Sequence[LoadedRow], model: Any, clip: Any, concepts: ConceptSet, stack: Stack
) -> list[LoadedRow]:
    """The rows, those without a file with an increment of their own if the set names them.

    Nothing is written into the library: the file that was meant may still come.

    Args:
        stack: increments that will be used with them, which they have to leave alone.
    """
    missing = {row.row.key: _named(row, concepts) for row in loaded if row.state == "missing"}
    chosen = list({c.name: c for c in missing.values() if c}.values())
    known = stack + sum(host.applied(model), Stack())
    results = _computed(model, clip, concepts, chosen, known) if chosen else {}
    named = {key: c and results[c.name] for key, c in missing.items()}
    return [_restored(row, named[row.row.key]) if row.state == "missing" else row for row in loaded]


def _computed(
    model: Any, clip: Any, concepts: ConceptSet, chosen: Sequence[Concept], known: Stack
) -> dict[str, Increment | Refusal]:
    """Results by name, in closed form; what is kept already is not computed."""
    task = Task.of(concepts, EraseConfig()).protecting(known)
    kept = Kept(task, model, clip, (*chosen, *known.concepts))
    rows = concept_rows(chosen, ())
    found = compute_missing(model, clip, kept, rows, known, merged=False)
    return {row.concept.name: row.result for row in found if row.result}


def _named(loaded: LoadedRow, concepts: ConceptSet) -> Concept | None:
    wanted = name_key(concept_name(loaded.row))
    return next((c for c in concepts.concepts if wanted in map(name_key, c.names)), None)


def _restored(loaded: LoadedRow, result: Increment | Refusal | None) -> LoadedRow:
    if result is None:
        return replace(
            loaded,
            text="Its file is missing, and the concept set does not name it. Put the file into "
            f"models/sepme, switch the row off, or add the line {concept_line(loaded.row)!r} to "
            "SepME Concepts.",
        )
    if isinstance(result, Refusal):
        return replace(loaded, state="refused", text=f"Its file is missing, and {result.reason}")
    said = "Its file is missing: computed again from the concept set"
    return replace(
        loaded, increment=result, state="computed", text=f"{said}{_compared(loaded, result)}"
    )


def _compared(loaded: LoadedRow, increment: Increment) -> str:
    if not loaded.row.sha256:
        return ". SepME Save keeps it."
    if hashlib.sha256(to_bytes(increment)).hexdigest() == loaded.row.sha256:
        return ", the same to the bit as the file that the workflow was saved with."
    return (
        ". It is not the same to the bit as the file that the workflow was saved with, or that one "
        "is of another version of SepME: pictures may differ. SepME Save keeps it."
    )
