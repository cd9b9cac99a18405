"""Increment files in the host's `models/sepme` folder."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import folder_paths

from ..sepme_core.errors import IncrementFileError
from ..sepme_core.increment import Increment
from ..sepme_core.increment_file import read_hashed

__all__ = [
    "ENDING",
    "NO_INCREMENTS",
    "TRASH",
    "cache_folder",
    "file_hash",
    "file_stamp",
    "forget_list",
    "list_increments",
    "load_hashed",
    "load_increment",
    "refuse_existing",
    "register_folder",
    "roots",
    "same_content",
    "saved",
    "target_path",
]

FOLDER = "sepme"
CACHE, TRASH = "cache", "trash"
ENDING = ".safetensors"
NO_INCREMENTS = (CACHE, TRASH, "preserve")
"""Folders of the model folder that hold something else."""


def register_folder() -> None:
    """Makes the host list `models/sepme`; extra model paths of the user stay in force."""
    known = folder_paths.folder_names_and_paths.get(FOLDER)
    paths = list(known[0]) if known else []
    ours = os.path.join(folder_paths.models_dir, FOLDER)
    if ours not in paths:
        paths.append(ours)
    folder_paths.folder_names_and_paths[FOLDER] = (paths, {".safetensors"})


def list_increments() -> list[str]:
    """Names of all increment files, relative to the folder; not what is cached or thrown away."""
    names = (name.replace("\\", "/") for name in folder_paths.get_filename_list(FOLDER))
    return [name for name in names if name.split("/")[0] not in NO_INCREMENTS]


def forget_list() -> None:
    """Makes the host look anew: it only notices what changes a folder's time."""
    folder_paths.filename_list_cache.pop(FOLDER, None)


def roots() -> list[Path]:
    """The folders that increments lie in, in the order in which they are looked into."""
    return [Path(root) for root in folder_paths.get_folder_paths(FOLDER)]


def cache_folder() -> Path:
    """Where results are kept that can be computed again."""
    return roots()[0] / CACHE


def load_increment(name: str) -> Increment:
    """Reads one file.

    Raises:
        IncrementFileError: missing, corrupt, foreign or newer.
    """
    return load_hashed(name)[0]


def load_hashed(name: str) -> tuple[Increment, str]:
    """Reads one file, with the SHA-256 of exactly the bytes that were read; see `load_increment`."""
    return read_hashed(_existing(name))


def file_hash(name: str) -> str:
    """SHA-256 of a file's bytes, in hex: the same on every machine."""
    return hashlib.sha256(_existing(name).read_bytes()).hexdigest()


def saved(path: Path) -> dict[str, str]:
    """What a row needs to know of a file that has just been written: its name and hash."""
    name = path.relative_to(roots()[0].resolve()).as_posix()
    return {"file": name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def file_stamp(name: str) -> str:
    """Changes when the file does: path, size and time of the last change."""
    path = folder_paths.get_full_path(FOLDER, name)
    if path is None:
        return "missing"
    stat = os.stat(path)
    return f"{path}:{stat.st_size}:{stat.st_mtime_ns}"


def target_path(folder: str, name: str, kind: str = FOLDER) -> Path:
    """Where to save a file of that name, by default a concept's increment.

    Args:
        kind: the host's name of the model folder; the first one of that kind is used.
    Raises:
        IncrementFileError: the folder would leave the model folder.
    """
    root = Path(folder_paths.get_folder_paths(kind)[0]).resolve()
    name = re.sub(r"[^\w\- ]+", "_", name).strip() or "concept"
    path = (root / folder / f"{name}.safetensors").resolve()
    if not path.is_relative_to(root):
        raise IncrementFileError(
            f"The folder {folder!r} lies outside models/{kind}. Use a name such as 'styles'."
        )
    return path


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


def refuse_existing(path: Path) -> None:
    """Raises IncrementFileError when another file has the name."""
    if path.exists():
        raise IncrementFileError(
            f"{path.name} exists already with other content. Turn overwrite on, or save into "
            "another folder."
        )
