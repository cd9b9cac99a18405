"""Increments as files in `models/sepme`, one a concept: all of a stack, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..sepme_core.errors import ConceptError
from ..sepme_core.increment import Increment
from ..sepme_core.increment_file import to_bytes, write_increment
from . import files, host
from .telling import counted

__all__ = ["Saved", "save"]


@dataclass(frozen=True)
class Saved:
    """Where increments are now.

    Args:
        paths: one for each increment.
        told: what the page is told of each.
        n_written: how many of them were not there already.
    """

    paths: tuple[Path, ...]
    told: list[dict[str, str]]
    n_written: int

    @property
    def headline(self) -> str:
        """In a few words."""
        n_there = len(self.paths) - self.n_written
        there = f", {n_there} there already" if n_there else ""
        return f"{counted(self.n_written, 'file')} written{there}"


def save(increments: Sequence[Increment], folder: str, *, overwrite: bool) -> Saved:
    """Checks all names before writing the first file; what is there already is left as it is.

    Args:
        folder: inside `models/sepme`; empty for none.
        overwrite: replace files of the same concepts that hold something else.
    Raises:
        ConceptError: two increments would share a file.
        IncrementFileError: the folder or a file cannot be used.
    """
    targets = [(i, files.target_path(folder, i.concept.name)) for i in increments]
    names = [path.name.casefold() for _, path in targets]
    if len(set(names)) < len(names):
        raise ConceptError(
            "Two increments of the stack would share a file: "
            f"{', '.join(i.concept.name for i in increments)}. Save them into different folders."
        )
    fresh = [(i, p) for i, p in targets if not files.same_content(to_bytes(i), p)]
    if not overwrite:
        fresh = [(i, p) for i, p in fresh if not files.same_increment(i, p)]
    for increment, path in fresh:
        files.refuse_existing(path, increment.concept.name, overwrite=overwrite)
    for increment, path in fresh:
        write_increment(increment, path, overwrite=overwrite)
    files.forget_list()
    host.send("sepme.library", {})
    told = [files.saved(path) | {"concept": i.concept.name} for i, path in targets]
    return Saved(tuple(path for _, path in targets), told, len(fresh))
