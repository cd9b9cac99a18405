"""Increment files in the host's `models/sepme` folder."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

import folder_paths

from ..sepme_core.concepts import name_key
from ..sepme_core.errors import IncrementFileError
from ..sepme_core.increment import Increment
from ..sepme_core.increment_file import read_hashed, read_label
from . import hashes, host
from .file_names import check_folder, file_stem, shortened, tidy
from .listing import CACHE, ENDING, NO_INCREMENTS, TRASH, forget, loadable

__all__ = [
    "ENDING",
    "NO_INCREMENTS",
    "TRASH",
    "all_stamps",
    "cache_folder",
    "file_hash",
    "file_stamp",
    "find_increment",
    "folder_stamp",
    "forget_list",
    "list_increments",
    "load_hashed",
    "load_increment",
    "refuse_existing",
    "register_folder",
    "roots",
    "same_content",
    "same_increment",
    "saved",
    "target_path",
    "writable",
]

FOLDER = "sepme"


def register_folder() -> None:
    """Makes the host list `models/sepme`; extra model paths of the user stay in force."""
    host.register_folder(FOLDER, {ENDING})


def list_increments() -> list[str]:
    """Names of all increment files, relative to the folder; not what is cached or thrown away."""
    return sorted(_listed())


def find_increment(sha256: str, name: str = "") -> str:
    """The name under which a file of that hash is listed; empty when there is none.

    Args:
        name: what it was called, which is where to look first.
    """
    return hashes.find(sha256, _listed(), name)


def _listed() -> dict[str, Path]:
    """Their paths; of two files of one name that of the first folder."""
    return {name: path for root in reversed(roots()) for name, path in loadable(root).items()}


def forget_list() -> None:
    """Lists anew, for the host as well: it only notices what changes a folder's time."""
    for root in roots():
        forget(root)
    folder_paths.filename_list_cache.pop(FOLDER, None)


def roots() -> list[Path]:
    """The folders that increments lie in, in the order in which they are looked into."""
    return [Path(root) for root in folder_paths.get_folder_paths(FOLDER)]


def cache_folder() -> Path:
    """Where results are kept that can be computed again."""
    # Never in a folder of extra model paths: that may be a network share, and others' as well.
    return host.own_folder(FOLDER) / CACHE


def load_increment(name: str) -> Increment:
    """Reads one file.

    Raises:
        IncrementFileError: missing, corrupt, foreign or newer.
    """
    return load_hashed(name)[0]


def load_hashed(name: str) -> tuple[Increment, str]:
    """Reads one file; also the SHA-256 of exactly the bytes that were read, in hex."""
    return read_hashed(_existing(name))


def file_hash(name: str) -> str:
    """SHA-256 of a file's bytes, in hex: the same on every machine."""
    return hashes.hash_of(_existing(name))


def saved(path: Path) -> dict[str, str]:
    """What a row needs to know of a file that has just been written: its name and hash."""
    root = next(root for root in roots() if path.is_relative_to(root))
    name = path.relative_to(root).as_posix()
    return {"file": name, "sha256": hashes.hash_of(path)}


def file_stamp(name: str) -> str:
    """Changes when the file does: path, size and time of the last change."""
    path = folder_paths.get_full_path(FOLDER, name)
    if path is None:
        return "missing"
    stat = os.stat(path)
    return f"{path}:{stat.st_size}:{stat.st_mtime_ns}"


def folder_stamp(folder: str | None, kind: str = FOLDER) -> str:
    """Changes when files that are saved into a folder come, go or change.

    Args:
        folder: inside the model folder; None where it is not known yet, as it comes through a link:
            then files of any folder count.
        kind: the host's name of the model folder.
    """
    try:
        start, pattern = target_path(folder or "", "any", kind).parent, f"*{ENDING}"
        found = sorted(start.rglob(pattern) if folder is None else start.glob(pattern))
        stats = [(path, path.stat()) for path in found]
    except (IncrementFileError, OSError) as error:  # which saving will say, too
        return str(error)
    return "\n".join(f"{path}:{s.st_size}:{s.st_mtime_ns}" for path, s in stats)


def all_stamps() -> str:
    """Changes when any of the files does."""
    return "\n".join(map(file_stamp, list_increments()))


def target_path(folder: str, name: str, kind: str = FOLDER) -> Path:
    """Where to save a file of that name, by default a concept's increment.

    It is the first of the host's folders that can be written to. A file of an earlier one stays in
    force: the host would go on loading that one.

    Args:
        folder: inside the model folder; empty for none. Linked ones are followed.
        name: of the concept, or whatever the file shall be called; see `file_stem`.
        kind: the host's name of the model folder.
    Raises:
        IncrementFileError: the folder would leave the model folder, or cannot hold the file.
    """
    inside = _inside(folder, kind)
    file = f"{file_stem(name)}{ENDING}"
    found = [Path(root) / inside for root in folder_paths.get_folder_paths(kind)]
    if not any(map(os.path.isdir, found)):
        check_folder(inside)
    paths = [path / file for path in found]
    can_write = [writable(Path(root)) for root in folder_paths.get_folder_paths(kind)]
    usable = (p for p, can in zip(paths, can_write, strict=True) if can or p.exists())
    return next(usable, paths[0])


def _inside(folder: str, kind: str) -> str:
    """A folder's name below the model folder, with slashes; empty for the model folder itself.

    Raises:
        IncrementFileError: it leads out, or is kept for something else.
    """
    inside = os.path.normpath(folder.strip().replace("\\", "/") or ".").replace("\\", "/")
    first = inside.split("/")[0]
    if first == ".." or os.path.isabs(inside) or re.match("[A-Za-z]:", inside):
        raise IncrementFileError(
            f"The folder {shortened(folder)!r} lies outside models/{kind}. Use a name such as "
            "'styles'."
        )
    if kind == FOLDER and first.casefold() in NO_INCREMENTS:
        raise IncrementFileError(
            f"The folder {shortened(folder)!r} is not for increments: what lies in models/{kind}/"
            f"{first.casefold()} is not listed. Use another name, such as 'styles'."
        )
    return "" if inside == "." else inside


def writable(root: Path) -> bool:
    """Whether a model folder can be written to; only the host's own is made if it is not there."""
    there = root if root.exists() or root != host.own_folder(root.name) else _nearest(root)
    return os.access(there, os.W_OK) and _takes_files(there)


def _takes_files(folder: Path) -> bool:
    """By trying: Windows calls nearly every folder writable, read-only shares too."""
    probe = folder / f".sepme-{secrets.token_hex(8)}.tmp"
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError:
        return False
    return True


def _nearest(path: Path) -> Path:
    return next(parent for parent in path.parents if parent.exists())


def _existing(name: str) -> Path:
    path = folder_paths.get_full_path(FOLDER, name)
    if path is None:
        raise IncrementFileError(
            f"{name!r} is not in models/{FOLDER} any more. Put it back, or choose another file."
        )
    return Path(path)


def same_content(data: bytes, path: Path) -> bool:
    """Whether the file already holds exactly this: saving again is then no conflict."""
    return path.exists() and path.read_bytes() == data


def same_increment(increment: Increment, path: Path) -> bool:
    """Whether the file holds an increment that acts as this one does, whatever else it tells."""
    try:
        return path.exists() and read_hashed(path)[0].digest == increment.digest
    except IncrementFileError:
        return False


def refuse_existing(path: Path, concept: str, *, overwrite: bool) -> None:
    """Refuses to replace what is there: another concept always, this one unless it was asked for.

    Raises:
        IncrementFileError: says what the file holds.
    """
    if not path.exists():
        return
    held = _concept_in(path)
    if held and name_key(tidy(held)) != name_key(tidy(concept)):
        raise IncrementFileError(
            f"{path.name} exists already in {path.parent} and holds {held!r}, not {concept!r}. "
            "Rename that file or delete it in the library, or save into another folder."
        )
    if not overwrite:
        raise IncrementFileError(
            f"{path.name} exists already with other content, in {path.parent}. Turn overwrite on "
            "to replace it, or save into another folder."
        )


def _concept_in(path: Path) -> str:
    """The concept that a file erases; empty when it is no increment."""
    try:
        return read_label(path).concept.name
    except IncrementFileError:
        return ""
