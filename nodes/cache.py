"""`models/sepme/cache`: what was computed once, and can be again. Bounded, and never needed.

Whatever goes wrong here costs time and nothing else, so nothing here raises for it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..sepme_core.safetensors_file import write_file

__all__ = ["LIMIT", "clear", "state", "used", "write"]

log = logging.getLogger(__name__)

LIMIT = 10**9
"""Bytes. 2000 increments of SD1, or 350 of SDXL; what was used longest ago goes first."""
_KINDS = ("increment-*", "captions-*", "names-*", "run-*")
_OURS = (*_KINDS, ".sepme-*.tmp", *(f".{name}" for name in _KINDS))  # half-written, now and before
_since_looked: dict[Path, int] = {}
"""Bytes that may be in a folder, by what was written since it was last looked into."""


def write(path: Path, data: bytes) -> None:
    """Writes an entry, and makes room where that is too much.

    Raises:
        IncrementFileError: it cannot be written.
    """
    write_file(path, data, overwrite=True)
    folder = path.parent
    there = _since_looked.get(folder, LIMIT) + len(data)  # asked once: another thread may clear it
    _since_looked[folder] = _trim(folder) if there > LIMIT else there


def used(path: Path) -> None:
    """Notes that an entry is still wanted; when it was written stays as it is."""
    with suppress(OSError):  # on a disk that is read-only nothing is thrown away either
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


def state(folder: Path) -> dict[str, Any]:
    """How much is there, for the page."""
    sizes = [size for _, size, _ in _entries(folder)]
    return {"bytes": sum(sizes), "limit": LIMIT, "entries": len(sizes), "folder": str(folder)}


def clear(folder: Path) -> int:
    """Throws all entries away; the bytes that this has freed."""
    _since_looked.pop(folder, None)
    return sum(size for path, size, _ in _entries(folder) if _gone(path))


def _trim(folder: Path) -> int:
    """Throws away what was used longest ago until the rest is within the limit; its bytes."""
    entries = sorted(_entries(folder), key=lambda entry: entry[2])
    left = sum(size for _, size, _ in entries)
    for path, size, _ in entries:
        if left <= LIMIT:
            break
        if _gone(path):
            left -= size
    return left


def _gone(path: Path) -> bool:
    try:
        path.unlink()
    except OSError as error:  # in use, or not ours to delete
        log.debug("SepME: %s stays in the cache: %s", path.name, error)
        return False
    return True


def _entries(folder: Path) -> Iterator[tuple[Path, int, float]]:
    """Every file of ours with its bytes and when it was last used; half-written ones as well."""
    for path in (path for pattern in _OURS for path in folder.glob(pattern)):
        with suppress(OSError):  # gone in the meantime
            if path.is_file() and not path.is_symlink():
                stat = path.stat()
                yield path, stat.st_size, stat.st_atime
