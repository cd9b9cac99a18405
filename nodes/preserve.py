"""Preserve lists: the pack's general one, and text files in `models/sepme/preserve`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ..sepme_core.errors import ConceptError
from ..sepme_core.preserve import general_captions, parse_preserve, read_preserve
from . import files, host
from .listing import is_twin

__all__ = [
    "GENERAL",
    "NONE",
    "captions",
    "every_list",
    "list_input",
    "list_preserve",
    "list_stamp",
    "refusal",
]

log = logging.getLogger(__name__)

GENERAL, NONE = "general", "none"
FOLDER = "preserve"


def list_preserve() -> list[str]:
    """What can be chosen: the general list, none, and every text file of the folder."""
    return [GENERAL, NONE, *sorted(_found())]


def list_input() -> io.Input:
    """The widget; optional, as there are workflows from before there were lists."""
    return io.Combo.Input(
        "preserve_list",
        options=host.harmless(list_preserve()),
        default=GENERAL,
        optional=True,
        tooltip="A list of captions added to those: the general one of this pack, none, or a text "
        "file in models/sepme/preserve.",
    )


def refusal(name: str) -> str | None:
    """Why a list cannot be used and what to do; None when it can."""
    if name in list_preserve():
        return None
    return (
        f"The preserve list {name!r} is not in models/{files.FOLDER}/{FOLDER}. Put the file there "
        f"and press R to refresh, or choose {GENERAL!r} or {NONE!r}."
    )


def list_stamp(name: str | None) -> str:
    """Changes when the list does; of all lists when the name is not known yet."""
    names = list_preserve() if name is None else [name]
    found = _found()
    return "\n".join(_stamp(found[n]) if n in found else n for n in names)


def captions(name: str, field: str) -> tuple[str, ...]:
    """The captions of a list, then those of the text field, each once.

    Raises:
        ConceptError: the list is not there any more or cannot be read; see `read_preserve`.
    """
    return tuple(dict.fromkeys([*_captions_of(name), *parse_preserve(field)]))


def every_list() -> Iterator[tuple[str, ...]]:
    """The captions of every file that can be read; the log names the others."""
    for name, path in _found().items():
        try:
            yield read_preserve(path)
        except (ConceptError, OSError) as error:
            log.warning("SepME: the preserve list %s is left out: %s", name, error)


def _captions_of(name: str) -> tuple[str, ...]:
    if name == GENERAL:
        return general_captions()
    if name == NONE:
        return ()
    if why := refusal(name):
        raise ConceptError(why)
    return read_preserve(_found()[name])


def _stamp(path: Path) -> str:
    stat = path.stat()
    return f"{path}:{stat.st_size}:{stat.st_mtime_ns}"


def _found() -> dict[str, Path]:
    """Files by name, those of the first folder first; looked up anew, as there are only a few."""
    roots = [Path(root) / FOLDER for root in folder_paths.get_folder_paths(files.FOLDER)]
    paths = [path for root in reversed(roots) for path in root.glob("*.txt") if path.is_file()]
    return {path.name: path for path in paths if not is_twin(path.name)}
