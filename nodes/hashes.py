"""Files by what they hold: wherever one was moved to, and whatever it is called now.

A hash is worked out once for every file as it is, which path, size and time of the last change
tell.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from safetensors import SafetensorError

from ..sepme_core.safetensors_file import metadata_of, read_head

__all__ = ["find", "hash_of"]

_PART = 2**20  # bytes read at once
_KNOWN: dict[tuple[str, int, int], str] = {}


def hash_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex: the same on every machine.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        stat = os.fstat(file.fileno())
        key = (str(path), stat.st_size, stat.st_mtime_ns)
        if key not in _KNOWN:
            _KNOWN[key] = _digest(file)
        return _KNOWN[key]


def find(sha256: str, files: Mapping[str, Path], name: str = "") -> str:
    """The name of an increment with that hash; empty when none has it.

    Args:
        sha256: in hex.
        files: where to look, by name.
        name: what it was called: moved files mostly keep that, so these are looked into first.
    """
    last = PurePosixPath(name).name
    for other in sorted(files, key=lambda n: (PurePosixPath(n).name != last, n)):
        try:
            if _is_increment(files[other]) and hash_of(files[other]) == sha256.casefold():
                return other
        except OSError:  # gone meanwhile, or not ours to read
            continue
    return ""


def _digest(file: BinaryIO) -> str:
    found = hashlib.sha256()
    while part := file.read(_PART):
        found.update(part)
    return found.hexdigest()


def _is_increment(path: Path) -> bool:
    """From its beginning: a whole checkpoint in the wrong folder would take long to read."""
    try:
        with path.open("rb") as file:
            return "sepme.format" in metadata_of(read_head(file))
    except SafetensorError:
        return False
