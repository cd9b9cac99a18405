"""How SepME Eraser's rows are before a run: what its page may ask, without any model.

The page knows the texts, not the model they will be used with. So every run notes in the cache
where the increments of its texts lie; whether they are there is looked up when the page asks.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..sepme_core.concepts import (
    ConceptSet,
)
from ..sepme_core.config import EraseConfig
from ..sepme_core.errors import IncrementFileError, SepMEError
from ..sepme_core.text_fields import parse_concepts, parse_protected, parse_templates
from . import cache, files
from . import preserve as lists
from .concept_rows import ConceptRow
from .kept import Kept, read_kept
from .rows import Row
from .task import Task

__all__ = ["known_rows", "note_run", "read_task"]

log = logging.getLogger(__name__)


def read_task(  # noqa: PLR0913
    concepts: str,
    protected_concepts: str,
    preserve: str,
    preserve_list: str,
    method: str,
    resolution: int,
    templates: str,
) -> Task:
    """What the widgets ask for.

    Raises:
        SepMEError: says which of them cannot be read.
    """
    together = ConceptSet(
        parse_concepts(concepts),
        parse_templates(templates),
        parse_protected(protected_concepts),
        preserve=lists.captions(preserve_list, preserve),
    )
    return Task.of(together, EraseConfig(method=method), resolution)


def note_run(task: Task, kept: Kept) -> None:
    """Writes down where each result of a task that was read is kept, or will be."""
    where = {c.name: kept.path(c).name for c in task.concepts.concepts}
    data, path = json.dumps(where).encode(), _path(task)
    try:
        if path.exists() and path.read_bytes() == data:
            cache.used(path)
        else:
            cache.write(path, data)
    except (IncrementFileError, OSError) as error:
        log.debug("SepME: the page will not know of this run: %s", error)


def _path(task: Task) -> Path:
    return files.cache_folder() / f"run-{task.digest}.json"


def _rows(task: Task) -> list[ConceptRow]:
    """The concepts of which the last run with these texts has left a result."""
    try:
        where = json.loads(_path(task).read_bytes())
        names = {c.name: Path(str(where[c.name])).name for c in task.concepts.concepts}
    except (OSError, ValueError, KeyError, TypeError):
        return []
    folder = files.cache_folder()
    found = (
        ConceptRow(c, Row(c.name), read_kept(folder / names[c.name], c))
        for c in task.concepts.concepts
    )
    return [row for row in found if row.result is not None]


def known_rows(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the page is told of the rows whose result is there, and the digest of their texts.

    Args:
        given: values of SepME Eraser's widgets by name.
    Raises:
        SepMEError: says which value cannot be read.
    """
    names = ("concepts", "protected_concepts", "preserve", "preserve_list", "method", "resolution")
    names = (*names, "templates", "mode")
    wrong = [n for n in names if not isinstance(given.get(n), int if n == "resolution" else str)]
    if wrong:
        raise SepMEError(f"Got no {wrong[0]}, expected all of the Eraser's.")
    task = read_task(*(given[name] for name in names[:-1]))
    merged, digest = given["mode"] == "merged", task.digest
    rows = [row.event(n, merged=merged, texts=digest) for n, row in enumerate(_rows(task))]
    return {"texts": digest, "rows": rows}
