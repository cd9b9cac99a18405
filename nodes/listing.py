"""Which files are increments: the same answer for nodes, rows and the library.

It is the host's answer, links followed and whatever the capitals of the ending, without what is
kept for other purposes, the twins that macOS leaves on foreign disks, and ways that lead back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "CACHE",
    "ENDING",
    "NO_INCREMENTS",
    "PICTURES",
    "TRASH",
    "Listed",
    "is_apart",
    "is_twin",
    "walk",
    "without_ending",
]

ENDING = ".safetensors"
CACHE, TRASH = "cache", "trash"
NO_INCREMENTS = (CACHE, TRASH, "preserve")
"""Folders of the model folder that hold something else."""
PICTURES = (".webp", ".jpg", ".jpeg", ".png")
"""Endings of a thumbnail beside its file; the first one found is shown."""
_UNLISTED = (".git",)  # by the host


@dataclass(frozen=True)
class Listed:
    """A file that has the name of an increment.

    Args:
        name: relative to the model folder, with slashes.
        linked: whether it is a link, or in a linked folder.
        picture: when the thumbnail beside it was changed, in seconds since 1970; None without one.
    """

    entry: os.DirEntry[str]
    name: str
    linked: bool
    picture: float | None

    @property
    def there(self) -> bool:
        """Whether there is a file, and no link that leads nowhere."""
        try:
            return self.entry.is_file()
        except OSError:
            return False


def walk(root: Path) -> Iterator[Listed]:
    """Every file below a model folder that has the name of an increment, in no certain order."""
    return _walk(root, "", linked=False, above=())


def without_ending(name: str) -> str:
    """A file's name as people say it, whatever the capitals of its ending."""
    return name[: -len(ENDING)] if name.lower().endswith(ENDING) else name


def is_apart(root: Path, folder: str) -> bool:
    """Whether a folder of a model folder is one of those that hold something else.

    On some systems that is so whatever its capitals, on others it is then another folder.
    """
    usual = folder.casefold()
    if usual not in NO_INCREMENTS or folder == usual:
        return usual in NO_INCREMENTS
    try:
        return os.path.samefile(root / folder, root / usual)
    except OSError:
        return False


def is_twin(name: str) -> bool:
    """Whether a file holds what macOS has to say of another one, and no more."""
    return name.startswith("._")


def _walk(
    folder: Path, prefix: str, *, linked: bool, above: tuple[tuple[int, int], ...]
) -> Iterator[Listed]:
    try:
        stat, entries = os.stat(folder), list(os.scandir(folder))
    except OSError:  # not there yet, or not ours to read
        return
    here = (stat.st_dev, stat.st_ino)
    if here in above:  # a link to a folder that it lies in
        return
    pictures = {entry.name: entry for entry in entries if entry.name.endswith(PICTURES)}
    for entry in entries:
        name, by_link = prefix + entry.name, linked or _is_link(entry)
        if _is_folder(entry):
            if entry.name not in _UNLISTED and (prefix or not is_apart(folder, name)):
                below = folder / entry.name
                yield from _walk(below, f"{name}/", linked=by_link, above=(*above, here))
        elif entry.name.lower().endswith(ENDING) and not is_twin(entry.name):
            stem = without_ending(entry.name)
            beside = [pictures[stem + e] for e in PICTURES if stem + e in pictures]
            yield Listed(entry, name, by_link, _changed(beside[0]) if beside else None)


def _is_link(entry: os.DirEntry[str]) -> bool:
    is_junction = getattr(entry, "is_junction", bool)  # of Windows; Python 3.12
    return entry.is_symlink() or is_junction()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _changed(entry: os.DirEntry[str]) -> float | None:
    try:
        return entry.stat().st_mtime
    except OSError:
        return None
