"""Increments kept in `models/sepme/cache`: what was computed once is read from then on.

Named after everything that they depend on, so that nothing outdated can be found. Concepts that
were refused are kept as well: finding that out takes as long.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from ..sepme_core.concepts import NEAREST, Concept, name_key
from ..sepme_core.erase import Erasure
from ..sepme_core.errors import IncrementFileError
from ..sepme_core.increment import Increment
from ..sepme_core.increment_file import read_increment, to_bytes
from ..sepme_core.report import report
from ..sepme_core.safetensors_file import metadata_of, read_head
from . import cache, files, host
from .task import Task

__all__ = ["Account", "Kept", "Refusal", "account_of", "forget", "read_kept"]

log = logging.getLogger(__name__)

_MOST_IN_MEMORY = 64  # 25 MB on SD1
_IN_MEMORY: OrderedDict[Path, tuple[Increment, Account] | Refusal] = OrderedDict()
"""What could not be written: a read-only folder shall not make every switch compute again."""
_ACCOUNT = "account"


@dataclass(frozen=True)
class Refusal:
    """Why a concept cannot be erased."""

    reason: str


@dataclass(frozen=True)
class Account:
    """What is said of an increment where it was computed.

    Args:
        text: its part of the report.
        statistics: stopping statistic after every step of training.
    """

    text: str
    statistics: tuple[float, ...] = ()


class Kept:
    """Results of one task with one model and text encoder.

    Args:
        model: without the increments that are on it.
        erased: all concepts that are erased together or may be: where a concept leaves the choice
            of its anchor to us, it falls back to none of them.
    """

    def __init__(self, task: Task, model: Any, clip: Any, erased: Iterable[Concept]) -> None:
        self.task, self.erased = task, tuple(erased)
        plain = host.without_increments(model)
        self._solved_on = host.solved_on(plain, clip, draws=task.config.draws)
        self.unwritten = ""
        """Why results could not be written; empty when they could."""

    def find(self, concept: Concept) -> Increment | Refusal | None:
        """What is known of a concept; None when it has not been computed, or is damaged."""
        return read_kept(self.path(concept), concept)

    def account(self, concept: Concept) -> Account:
        """What is said of an increment that was found."""
        path = self.path(concept)
        known = _IN_MEMORY.get(path)
        return known[1] if isinstance(known, tuple) else _read_account(path)

    def keep(self, concept: Concept, result: Erasure | Refusal) -> None:
        """Writes a result; it is kept in memory where that is not possible.

        Where there is no saying what it was solved on, it would never be found again.
        """
        if not host.is_told(self._solved_on):
            return
        path = self.path(concept)
        try:
            if isinstance(result, Refusal):
                cache.write(path.with_suffix(".json"), json.dumps(asdict(result)).encode())
            else:
                beside = {_ACCOUNT: json.dumps(asdict(account_of(result)))}
                cache.write(path, to_bytes(result.increment, beside))
        except IncrementFileError as error:
            self.unwritten = str(error)
            log.warning("SepME: %r is kept until ComfyUI ends: %s", concept.name, error)
            refused = isinstance(result, Refusal)
            _IN_MEMORY[path] = result if refused else (result.increment, account_of(result))
            while len(_IN_MEMORY) > _MOST_IN_MEMORY:
                _IN_MEMORY.popitem(last=False)

    def path(self, concept: Concept) -> Path:
        """Where its result is, or will be."""
        given = [self._task_of(concept).digest, self._solved_on, asdict(concept)]
        if concept.anchor == NEAREST:
            given.append(sorted({name_key(n) for c in self.erased for n in c.names}))
        if self.task.config.method == "paper joint":
            given.append([c.name for c in self.erased])
        name = hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:32]
        return files.cache_folder() / f"increment-{name}.safetensors"

    def _task_of(self, concept: Concept) -> Task:
        """What others fall back to is none of its business."""
        all_ = self.task.concepts
        bare = tuple(c if c == concept else replace(c, anchor="") for c in all_.concepts)
        return replace(self.task, concepts=replace(all_, concepts=bare))


def read_kept(path: Path, concept: Concept) -> Increment | Refusal | None:
    """What lies there of a concept; see `Kept.find`."""
    known = _IN_MEMORY.get(path) or _read_refusal(path) or _read_increment(path, concept)
    return known[0] if isinstance(known, tuple) else known


def forget() -> None:
    """Forgets what is in memory."""
    _IN_MEMORY.clear()


def _read_increment(path: Path, concept: Concept) -> Increment | None:
    if not path.exists():
        return None
    try:
        increment = read_increment(path)
    except (IncrementFileError, OSError) as error:
        log.warning("SepME: %r is computed again: %s", concept.name, error)
        return None
    cache.used(path)
    return increment if increment.concept.names == concept.names else None


def _read_refusal(path: Path) -> Refusal | None:
    path = path.with_suffix(".json")
    try:
        refusal = Refusal(str(json.loads(path.read_bytes())["reason"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    cache.used(path)
    return refusal


def account_of(erasure: Erasure) -> Account:
    """What is said of an increment that has just been computed."""
    return Account(report([erasure]), tuple(erasure.statistics))


def _read_account(path: Path) -> Account:
    try:
        with path.open("rb") as file:
            told = json.loads(metadata_of(read_head(file))[_ACCOUNT])
        return Account(str(told["text"]), tuple(map(float, told["statistics"])))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return Account("")
