"""The library's trash: what was deleted there, until somebody empties the folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from .file_names import shortened
from .library_changes import (
    LibraryError,
    changing,
    is_there,
    locate_own,
    move,
    parts_of,
    refuse_links,
    with_pictures,
)
from .listing import TRASH, Listed, walk

__all__ = ["list_trash", "restore", "throw_away"]

_NUMBER = re.compile(r" \(deleted \d+\)$")
"""Behind the names of files that came after another one of the same name."""


def throw_away(roots: Sequence[Path], file: str) -> str:
    """Moves a file and its thumbnail to the trash; where it is now, relative to the model folder.

    Raises:
        LibraryError: see `locate_own`; also a trash that leads elsewhere.
    """
    root, path = locate_own(roots, file)
    target = root / TRASH / path.relative_to(root)
    if _leads_away(root, target.parent):
        raise LibraryError(f"The folder {TRASH!r} is a link. Remove the link first.", 403)
    number = 1
    while any(os.path.lexists(moved) for _, moved in with_pictures(path, target)):
        number += 1
        target = target.with_name(f"{path.stem} (deleted {number}){path.suffix}")
    with changing(path):
        target.parent.mkdir(parents=True, exist_ok=True)
    move(with_pictures(path, target))
    return target.relative_to(root).as_posix()


def list_trash(roots: Sequence[Path]) -> list[dict[str, Any]]:
    """What could be restored, by name: where it is, what it was called, its time and size."""
    found: dict[str, dict[str, Any]] = {}
    for root in roots:
        for listed in _walk(root):
            stat = listed.entry.stat()
            trash = f"{TRASH}/{listed.name}"
            told = {"file": _original(listed.name), "modified": stat.st_mtime, "size": stat.st_size}
            found.setdefault(trash, {"trash": trash} | told)
    return [found[name] for name in sorted(found)]


def restore(roots: Sequence[Path], trash: str) -> str:
    """Moves a file and its thumbnail back to where they came from; the name it is listed under.

    Args:
        trash: as it is listed in the trash.
    Raises:
        LibraryError: it is not there any more, or another file has its name by now.
    """
    root, path = _thrown_away(roots, trash)
    file = _original(path.relative_to(root / TRASH).as_posix())
    target = root / file
    moves = with_pictures(path, target)
    if any(is_there(other / file) for other in roots) or any(
        os.path.lexists(new) for _, new in moves
    ):
        raise LibraryError(
            f"{file!r} exists already, or a picture of that name. Rename or delete that one first, "
            "then restore this one.",
            409,
        )
    if _leads_away(root, target.parent):
        raise LibraryError(
            f"{file!r} was in a folder that is a link by now. Move the file by hand.", 403
        )
    with changing(path):
        target.parent.mkdir(parents=True, exist_ok=True)
    move(moves)
    return file


def _walk(root: Path) -> Iterator[Listed]:
    if not _leads_away(root, root / TRASH):
        yield from (found for found in walk(root / TRASH) if found.there and not found.linked)


def _thrown_away(roots: Sequence[Path], trash: str) -> tuple[Path, Path]:
    parts = parts_of(trash)
    if parts[0] != TRASH or len(parts) < 2:
        raise LibraryError(
            f"{shortened(trash)!r} is not in the trash. Expected a file that is listed there, such "
            "as 'trash/cat.safetensors'."
        )
    for root in roots:
        path = root.joinpath(*parts)
        if is_there(path):
            refuse_links(root, path)
            return root, path
    raise LibraryError(f"{shortened(trash)!r} is not there any more. Refresh the trash.", 404)


def _original(name: str) -> str:
    """What a file in the trash was called in the library."""
    path = PurePosixPath(name)
    return path.with_name(_NUMBER.sub("", path.stem) + path.suffix).as_posix()


def _leads_away(root: Path, folder: Path) -> bool:
    return folder.resolve() != root.resolve() / folder.relative_to(root)
