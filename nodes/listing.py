"""Which files are increments: the same answer for nodes, rows and the library.

It is the host's answer, links followed and whatever the capitals of the ending, without what is
kept for other purposes, the twins that macOS leaves on foreign disks, and ways that lead back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import time_ns

__all__ = [
    "CACHE",
    "ENDING",
    "NO_INCREMENTS",
    "PICTURES",
    "TRASH",
    "Listed",
    "forget",
    "is_apart",
    "is_twin",
    "loadable",
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
_SETTLED = 3 * 10**9  # ns: a change just after another one may leave a folder's time as it is
_KNOWN: dict[Path, tuple[dict[Path, int], dict[str, Listed]]] = {}
"""Files of a model folder, and the time of every folder in it."""


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
    return _walk(root, "", linked=False, above=(), times={})


def loadable(root: Path) -> dict[str, Path]:
    """Paths of the files below a model folder by name, without links that lead nowhere.

    Every node that offers them asks whenever the host wants to know its widgets: folders are read
    again only when they have changed.
    """
    times, found = _KNOWN.get(root, ({}, {}))
    if not times or any(_time_of(folder) != time for folder, time in times.items()):
        forget(root)
        now, times = time_ns(), {}
        every = _walk(root, "", linked=False, above=(), times=times)
        found = {f.name: f for f in every if f.there or f.entry.is_symlink()}
        if max(times.values(), default=now) < now - _SETTLED:
            _KNOWN[root] = (times, found)
    return {name: Path(f.entry.path) for name, f in found.items() if _leads_somewhere(f)}


def _leads_somewhere(listed: Listed) -> bool:
    """Whatever a link leads to comes and goes without a change to the link's folder."""
    return not listed.entry.is_symlink() or os.path.isfile(listed.entry.path)


def forget(root: Path) -> None:
    """Reads a model folder anew the next time."""
    _KNOWN.pop(root, None)


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
    folder: Path,
    prefix: str,
    *,
    linked: bool,
    above: tuple[tuple[int, int], ...],
    times: dict[Path, int],
) -> Iterator[Listed]:
    try:
        stat, entries = os.stat(folder), list(os.scandir(folder))
    except OSError:  # not there yet, or not ours to read
        return
    here = (stat.st_dev, stat.st_ino)
    if here in above:  # a link to a folder that it lies in
        return
    times[folder] = stat.st_mtime_ns
    pictures = {entry.name: entry for entry in entries if entry.name.endswith(PICTURES)}
    for entry in entries:
        name, by_link = prefix + entry.name, linked or _is_link(entry)
        if _is_folder(entry):
            if entry.name not in _UNLISTED and (prefix or not is_apart(folder, name)):
                yield from _walk(
                    folder / entry.name,
                    f"{name}/",
                    linked=by_link,
                    above=(*above, here),
                    times=times,
                )
        elif entry.name.lower().endswith(ENDING) and not is_twin(entry.name):
            stem = without_ending(entry.name)
            beside = [pictures[stem + e] for e in PICTURES if stem + e in pictures]
            yield Listed(entry, name, by_link, _changed(beside[0]) if beside else None)


def _time_of(folder: Path) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


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
