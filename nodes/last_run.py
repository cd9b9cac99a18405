"""How SepME Eraser's rows are before a run: what its page may ask, without any model.

The page knows the texts, not the model they will be used with. So every run notes in the cache
where the increments of its texts lie; whether they are there is looked up when the page asks.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..sepme_core.concepts import (
    ConceptSet,
    name_key,
)
from ..sepme_core.config import EraseConfig
from ..sepme_core.errors import IncrementFileError, SepMEError
from ..sepme_core.safetensors_file import write_file
from ..sepme_core.text_fields import parse_concepts, parse_protected, parse_templates
from . import files
from . import preserve as lists
from .concept_rows import ConceptRow
from .kept import RECIPE, Kept, read_kept
from .rows import Row

__all__ = ["Task", "known_rows"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """What is to be computed, as the texts have it.

    Args:
        concepts: all that are known together, in an order that does not depend on the lines'.
        resolution: of drawn pictures; what draws none does not depend on it.
    """

    concepts: ConceptSet
    config: EraseConfig
    resolution: int

    @classmethod
    def of(  # noqa: PLR0913
        cls,
        concepts: str,
        protected_concepts: str,
        preserve: str,
        preserve_list: str,
        method: str,
        resolution: int,
        templates: str,
    ) -> Task:
        """Reads the widgets.

        Raises:
            SepMEError: says which of them cannot be read.
        """
        together = ConceptSet(
            tuple(sorted(parse_concepts(concepts), key=lambda c: name_key(c.name))),
            parse_templates(templates),
            parse_protected(protected_concepts),
            preserve=lists.captions(preserve_list, preserve),
        )
        return cls(together, EraseConfig(method=method), resolution)

    def note(self, kept: Kept) -> None:
        """Writes down where each concept's result is kept, or will be."""
        where = {c.name: kept.path(c).name for c in self.concepts.concepts}
        data = json.dumps(where).encode()
        try:
            if not (self._path.exists() and self._path.read_bytes() == data):
                write_file(self._path, data, overwrite=True)
        except (IncrementFileError, OSError) as error:
            log.debug("SepME: the page will not know of this run: %s", error)

    def rows(self) -> list[ConceptRow]:
        """The concepts of which the last run with these texts has left a result."""
        try:
            where = json.loads(self._path.read_bytes())
            names = {c.name: Path(str(where[c.name])).name for c in self.concepts.concepts}
        except (OSError, ValueError, KeyError, TypeError):
            return []
        folder = files.cache_folder()
        found = (
            ConceptRow(c, Row(c.name), read_kept(folder / names[c.name], c))
            for c in self.concepts.concepts
        )
        return [row for row in found if row.result is not None]

    @property
    def digest(self) -> str:
        """The same for all spellings of one task; the page compares it with what it shows."""
        size = 0 if self.config.method == "closed form" else self.resolution
        given = [RECIPE, asdict(self.concepts), asdict(self.config), size]
        return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def _path(self) -> Path:
        return files.cache_folder() / f"run-{self.digest}.json"


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
    task = Task.of(*(given[name] for name in names[:-1]))
    merged = given["mode"] == "merged"
    texts = task.digest
    rows = [row.event(n, merged=merged, texts=texts) for n, row in enumerate(task.rows())]
    return {"texts": texts, "rows": rows}
