"""Increments kept in `models/sepme/cache`: what was computed once is read from then on.

Named after everything that they depend on, so that nothing outdated can be found. Concepts that
were refused are kept as well: finding that out takes as long.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from ..sepme_core.concepts import Concept, ConceptSet
from ..sepme_core.config import EraseConfig
from ..sepme_core.errors import IncrementFileError
from ..sepme_core.increment import Increment, Provenance
from ..sepme_core.increment_file import read_increment, to_bytes
from ..sepme_core.safetensors_file import write_file
from . import files

__all__ = ["RECIPE", "Kept", "Refusal", "read_kept"]

log = logging.getLogger(__name__)

RECIPE = 2
"""To be raised when the same settings give other increments than before."""
_MOST_IN_MEMORY = 64  # 25 MB on SD1
_IN_MEMORY: OrderedDict[Path, Increment | Refusal] = OrderedDict()
"""What could not be written: a read-only folder shall not make every switch compute again."""


@dataclass(frozen=True)
class Refusal:
    """Why a concept cannot be erased."""

    reason: str


class Kept:
    """Results of one concept set with one model, text encoder and settings.

    Args:
        dtype: in which the model receives prompts.
        resolution: of drawn pictures; what draws none does not depend on it.
    """

    def __init__(
        self,
        concepts: ConceptSet,
        config: EraseConfig,
        provenance: Provenance,
        dtype: torch.dtype,
        resolution: int,
    ) -> None:
        self.concepts, self.config = concepts, config
        size = 0 if config.method == "closed form" else resolution
        given = [RECIPE, asdict(concepts), asdict(config), asdict(provenance), str(dtype), size]
        self._key = json.dumps(given, sort_keys=True)
        self.unwritten = ""
        """Why results could not be written; empty when they could."""

    def find(self, concept: Concept) -> Increment | Refusal | None:
        """What is known of a concept; None when it has not been computed, or is damaged."""
        return read_kept(self.path(concept), concept)

    def keep(self, concept: Concept, result: Increment | Refusal) -> None:
        """Writes a result; it is kept in memory where that is not possible."""
        path = self.path(concept)
        try:
            if isinstance(result, Refusal):
                data = json.dumps(asdict(result)).encode()
                write_file(path.with_suffix(".json"), data, overwrite=True)
            else:
                write_file(path, to_bytes(result), overwrite=True)
        except IncrementFileError as error:
            self.unwritten = str(error)
            log.warning("SepME: %r is kept until ComfyUI ends: %s", concept.name, error)
            _IN_MEMORY[path] = result
            while len(_IN_MEMORY) > _MOST_IN_MEMORY:
                _IN_MEMORY.popitem(last=False)

    def path(self, concept: Concept) -> Path:
        """Where its result is, or will be."""
        name = hashlib.sha256(f"{self._key}{asdict(concept)}".encode()).hexdigest()[:32]
        return files.cache_folder() / f"increment-{name}.safetensors"


def read_kept(path: Path, concept: Concept) -> Increment | Refusal | None:
    """What lies there of a concept; see `Kept.find`."""
    return _IN_MEMORY.get(path) or _read_refusal(path) or _read_increment(path, concept)


def _read_increment(path: Path, concept: Concept) -> Increment | None:
    if not path.exists():
        return None
    try:
        increment = read_increment(path)
    except (IncrementFileError, OSError) as error:
        log.warning("SepME: %r is computed again: %s", concept.name, error)
        return None
    return increment if increment.concept.names == concept.names else None


def _read_refusal(path: Path) -> Refusal | None:
    try:
        return Refusal(str(json.loads(path.with_suffix(".json").read_bytes())["reason"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
