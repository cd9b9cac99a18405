"""The increment library: what lies in `models/sepme`, told from the files' headers."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..sepme_core.errors import IncrementFileError
from ..sepme_core.increment_file import Label, read_label
from .listing import Listed, walk

__all__ = ["list_library"]

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
    "problem": "",
}
_KNOWN: dict[tuple[str, int, int], dict[str, Any]] = {}
"""What was read, by path, size and time of the last change."""


def list_library(roots: Sequence[Path]) -> list[dict[str, Any]]:
    """One entry for every increment file, by name; of two files of one name the host's choice.

    Args:
        roots: folders in the order in which the host looks into them.
    """
    found: dict[str, Listed] = {}
    for listed in (listed for root in roots for listed in walk(root)):
        known = found.setdefault(listed.name, listed)
        if not known.there and listed.there:  # the host passes over links that lead nowhere
            found[listed.name] = listed
    return [_entry(found[name]) for name in sorted(found)]


def _entry(listed: Listed) -> dict[str, Any]:
    told = {
        "file": listed.name,
        "thumbnail": listed.picture is not None,
        "picture": listed.picture,
        "linked": listed.linked,
    }
    try:
        stat = listed.entry.stat()
    except OSError as error:
        return _ABSENT | told | {"size": 0, "modified": 0, "problem": _gone(listed, error)}
    told |= {"size": stat.st_size, "modified": stat.st_mtime}
    if not listed.there:
        return _ABSENT | told | {"problem": "This is no file, so it cannot be read. Remove it."}
    key = (listed.entry.path, stat.st_size, stat.st_mtime_ns)
    if key not in _KNOWN:
        _KNOWN[key] = _read(Path(listed.entry.path))
    return _ABSENT | told | _KNOWN[key]


def _gone(listed: Listed, error: OSError) -> str:
    if not listed.entry.is_symlink():
        return f"It cannot be read: {error.strerror or error}. Check the folder's permissions."
    return (
        f"It is a link to {os.readlink(listed.entry.path)}, which is not there. Bring that file "
        "back, or remove the link."
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return _told(read_label(path))
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
