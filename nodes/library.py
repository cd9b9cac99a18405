"""The increment library: what lies in `models/sepme`, told from the files' headers."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..sepme_core.errors import IncrementFileError
from ..sepme_core.increment_file import Label, read_label
from . import files

__all__ = ["PICTURES", "list_library"]

PICTURES = (".webp", ".jpg", ".jpeg", ".png")
"""Endings of a thumbnail beside its file; the first one found is shown."""
_ABSENT = {
    "concept": "",
    "synonyms": [],
    "anchor": "",
    "family": "",
    "text_encoder": "",
    "base": "",
    "method": "",
    "leak": None,
    "margin": None,
}
_KNOWN: dict[tuple[str, int, int], dict[str, Any]] = {}
"""What was read, by path, size and time of the last change."""


def list_library(roots: Sequence[Path]) -> list[dict[str, Any]]:
    """One entry for every increment file, by name; of two files of one name the host's choice.

    Args:
        roots: folders in the order in which the host looks into them.
    """
    found: dict[str, dict[str, Any]] = {}
    for root in roots:
        for entry, name, has_picture in _walk(root, ""):
            if name not in found:
                found[name] = _entry(entry, name) | {"thumbnail": has_picture}
    return [found[name] for name in sorted(found)]


def _walk(folder: Path, prefix: str) -> Iterator[tuple[os.DirEntry[str], str, bool]]:
    """Every increment file under a folder, its name, and whether there is a picture beside it."""
    try:
        entries = list(os.scandir(folder))
    except OSError:  # not there yet, or not ours to read
        return
    names = {entry.name for entry in entries}
    for entry in entries:
        name = prefix + entry.name
        if entry.is_dir(follow_symlinks=False):
            if name not in files.NO_INCREMENTS and not entry.name.startswith("."):
                yield from _walk(folder / entry.name, f"{name}/")
        elif entry.name.endswith(files.ENDING):
            stem = entry.name.removesuffix(files.ENDING)
            yield entry, name, any(stem + ending in names for ending in PICTURES)


def _entry(entry: os.DirEntry[str], name: str) -> dict[str, Any]:
    stat = entry.stat(follow_symlinks=False)
    own = {"file": name, "size": stat.st_size, "modified": stat.st_mtime}
    if entry.is_symlink():
        return _ABSENT | own | {"problem": "It is a link. It can be loaded, but not changed here."}
    key = (entry.path, stat.st_size, stat.st_mtime_ns)
    if key not in _KNOWN:
        _KNOWN[key] = _read(Path(entry.path))
    return _ABSENT | own | _KNOWN[key]


def _read(path: Path) -> dict[str, Any]:
    try:
        return _told(read_label(path)) | {"problem": ""}
    except IncrementFileError as error:
        return {"problem": str(error)}


def _told(label: Label) -> dict[str, Any]:
    concept, made = label.concept, label.provenance
    leak = {name: _number(made.leak.get(name)) for name in ("exact", "linear")}
    separable = bool(made.leak)  # unconstrained increments have no measured leak, nor a margin
    return {
        "concept": concept.name,
        "synonyms": list(concept.synonyms),
        "anchor": concept.anchor,
        "family": made.family,
        "text_encoder": made.text_encoder,
        "base": made.base,
        "method": str(made.method.get("name", "")),
        "leak": leak | {"prompt": str(made.leak.get("prompt", ""))} if separable else None,
        "margin": label.dead_zone.margin if separable else None,
    }


def _number(value: object) -> float | None:
    """What JSON can carry, and pages can read."""
    return value if isinstance(value, (int, float)) and math.isfinite(value) else None
