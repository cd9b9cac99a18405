"""Rows that are increment files: read, and compared with each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from ..sepme_core.doubles import acting, doubles, doubles_report
from ..sepme_core.errors import IncrementFileError
from ..sepme_core.increment import Increment, Stack, StackEntry
from ..sepme_core.strangers import unknown
from ..sepme_core.text_fields import line_name
from . import files
from .rows import Row, parse_rows, row_event
from .telling import Remark, counted

__all__ = [
    "LoadedRow",
    "concept_line",
    "concept_name",
    "joined",
    "load_rows",
    "read_file_rows",
    "refuse_bad",
    "row_remarks",
    "row_stamp",
    "rows_report",
]

BAD = ("missing", "corrupt", "mismatch", "refused")
"""States of rows that would silently not be erased if they were left out."""
HARMLESS = ("computed", "moved")
"""States of rows that do what was meant, by another way."""
_MOST = 20  # rows named in an error
_N_NAMED = 5
_AGAIN = "The same increment stands in an earlier place too: it counts once, as set here."


@dataclass(frozen=True, eq=False)
class LoadedRow:
    """A row and what was found.

    Args:
        state: ready, off, one of `BAD`, or what to be warned of: computed, moved, replaced,
            doubled, leaking.
        text: for a person; empty when all is well.
    """

    row: Row
    state: str
    text: str = ""
    increment: Increment | None = None

    @property
    def entry(self) -> StackEntry | None:
        """For a stack; None where nothing was loaded."""
        row = self.row
        return self.increment and StackEntry(
            self.increment, row.strength, row.on, row.start, row.end
        )

    def but(self, state: str, text: str) -> LoadedRow:
        """With something else to say; what was found first decides the state."""
        state = state if self.state == "ready" else self.state
        return replace(self, state=state, text=f"{self.text} {text}".strip())

    def event(self, number: int) -> dict[str, Any]:
        """What the page is told."""
        concept = self.increment.concept.name if self.increment else ""
        return row_event(number, self.state, self.text, concept=concept, file=self.row.key)


def read_file_rows(text: str) -> tuple[Row, ...]:
    """The rows of a widget, their files as they are listed.

    Raises:
        ConceptError: see `parse_rows`.
    """
    return tuple(replace(row, key=_listed(row.key)) for row in parse_rows(text))


def _listed(name: str) -> str:
    name = name.replace("\\", "/")
    return name if name.casefold().endswith(files.ENDING) else name + files.ENDING


def concept_line(row: Row) -> str:
    """The line of a concept set that a row's file came from, as far as it is known."""
    return row.erases or PurePosixPath(row.key).stem


def concept_name(row: Row) -> str:
    """The name of the concept that a row's file erases, as far as it is known."""
    return line_name(concept_line(row))


def load_rows(
    rows: Sequence[Row],
    stack: Stack,
    restore: Callable[[list[LoadedRow]], list[LoadedRow]] | None = None,
) -> list[LoadedRow]:
    """Every row with its increment and its flaws; rows that are off are not opened.

    Args:
        stack: what the rows will be added to.
        restore: finds another way to rows whose file is missing.
    """
    known = set(files.list_increments())
    loaded = [_open(row, known) for row in rows]
    loaded = restore(loaded) if restore else loaded
    loaded = _compare_origins(loaded, [entry.increment for entry in stack.entries])
    return _compare_concepts(loaded, stack)


def row_stamp(row: Row) -> str:
    """Changes when the file does that a row would load."""
    stamp = files.file_stamp(row.key)
    if stamp != "missing" or not row.sha256:
        return stamp
    return files.file_stamp(files.find_increment(row.sha256, row.key))


def _open(row: Row, known: set[str]) -> LoadedRow:
    if not row.on:
        return LoadedRow(row, "off")
    if row.key in known:
        return _loaded(row, row.key)
    place = files.find_increment(row.sha256, row.key) if row.sha256 else ""
    if place:
        return _loaded(row, place)
    return LoadedRow(
        row,
        "missing",
        f"It is not in models/{files.FOLDER}. Put the file there, switch the row off, or have it "
        "computed again: connect model, clip, and SepME Concepts with the line "
        f"{concept_line(row)!r} to this node.",
    )


def _loaded(row: Row, place: str) -> LoadedRow:
    """A row with the increment of the file that is there, or that was found for it."""
    try:
        increment, found = files.load_hashed(place)
    except (IncrementFileError, OSError) as error:
        return LoadedRow(row, "corrupt", str(error))
    loaded = LoadedRow(row, "ready", "", increment)
    if row.sha256 not in ("", found):
        return loaded.but("replaced", _replaced(row, found))
    if place != row.key:
        return loaded.but(
            "moved",
            f"It is not in its place any more; {place!r}, which is the same to the bit, was loaded "
            "instead. Let the row name that file.",
        )
    return loaded


def _replaced(row: Row, found: str) -> str:
    right = files.find_increment(row.sha256, row.key)
    todo = "Get the right file, or choose this one anew."
    if right:
        todo = f"The right one is here as {right!r}: choose that, or this one anew."
    return (
        f"It is another file than the workflow was saved with (sha256 {found[:12]}…, expected "
        f"{row.sha256[:12]}…): pictures may differ. {todo}"
    )


def _compare_origins(loaded: list[LoadedRow], others: Sequence[Increment]) -> list[LoadedRow]:
    """Only what was computed in one text space can be used together: that of the first one."""
    increments = [*others, *(row.increment for row in loaded if row.increment)]
    return [_compare_origin(row, increments[0]) if row.increment else row for row in loaded]


def _compare_origin(loaded: LoadedRow, first: Increment) -> LoadedRow:
    assert loaded.increment is not None
    ours, theirs = loaded.increment.provenance, first.provenance
    if ours.family != theirs.family:
        why = f"It is for {ours.family or 'an unknown family'}, but {first.concept.name!r} for "
        why += theirs.family or "an unknown family"
    elif ours.text_encoder != theirs.text_encoder:
        why = "It was computed with another text encoder, precision of it or clip-skip than "
        why += repr(first.concept.name)
    else:
        return loaded
    return replace(
        loaded,
        state="mismatch",
        text=f"{why}: they cannot be used together. Switch one of them off, or compute it again.",
    )


def joined(stack: Stack, loaded: Sequence[LoadedRow]) -> Stack:
    """The rows added to a stack: what stands in two places counts once, as set in the last."""
    entries = {row.increment.digest: row.entry for row in loaded if row.increment}
    return stack + Stack(tuple(e for e in entries.values() if e))


def _compare_concepts(loaded: list[LoadedRow], stack: Stack) -> list[LoadedRow]:
    """What else acts on a row's concept while it does, and whom it may change."""
    usable = [row for row in loaded if row.increment and row.state not in BAD]
    together = joined(stack, usable)
    order = [e.increment.digest for e in together.entries]
    found = doubles(sorted(acting(together), key=lambda a: order.index(a.increment.digest)))
    later = {double.other.increment.digest: double for double in reversed(found)}
    increments = [*(e.increment for e in stack.entries), *(row.increment for row in usable)]
    digests, leaking = [i.digest for i in increments], unknown(increments)
    compared = {row: row for row in loaded}
    for at, row in enumerate(usable, start=len(stack.entries)):
        names = [increments[i].concept.name for i in leaking[at].nonzero().flatten().tolist()]
        if digests[at] in digests[:at]:
            compared[row] = compared[row].but("doubled", _AGAIN)
        if digests[at] in later:
            compared[row] = compared[row].but("doubled", doubles_report([later[digests[at]]]))
        if names and row.increment.separable:
            compared[row] = compared[row].but("leaking", _leaking(names))
    return list(compared.values())


def _leaking(names: Sequence[str]) -> str:
    more = f" and {len(names) - _N_NAMED} more" if len(names) > _N_NAMED else ""
    named = ", ".join(map(repr, names[:_N_NAMED]))
    return (
        f"It was computed without {named}{more}, and may change that. SepME Separate makes them "
        "leave each other alone."
    )


def refuse_bad(loaded: Sequence[LoadedRow]) -> None:
    """Raises IncrementFileError that lists all rows which cannot be used, if there are any."""
    bad = [f"- {_named(n, row)}: {row.text}" for n, row in _numbered(loaded) if row.state in BAD]
    if bad:
        more = f"\n- and {len(bad) - _MOST} more" if len(bad) > _MOST else ""
        raise IncrementFileError(
            f"{len(bad)} of {len(loaded)} rows cannot be used:\n" + "\n".join(bad[:_MOST]) + more
        )


def rows_report(loaded: Sequence[LoadedRow]) -> str:
    """One line a row."""
    n_on = sum(row.row.on for row in loaded)
    head = f"{counted(len(loaded), 'row')}: {n_on} on, {len(loaded) - n_on} off."
    return "\n".join([head, "", *(f"- {_line(n, row)}" for n, row in _numbered(loaded))]).strip()


def row_remarks(loaded: Sequence[LoadedRow]) -> list[Remark]:
    """What to look at in the report, most serious first."""
    told = [row for row in loaded if row.increment and row.state not in ("ready", "off")]
    worst_first = sorted(told, key=lambda row: row.state in HARMLESS)
    return [
        Remark(
            f"{row.increment.concept.name}: {row.state}",
            level="note" if row.state in HARMLESS else "warning",
        )
        for row in worst_first
    ]


def _numbered(loaded: Sequence[LoadedRow]) -> list[tuple[int, LoadedRow]]:
    return list(enumerate(loaded, start=1))


def _named(number: int, loaded: LoadedRow) -> str:
    return f"row {number}, {loaded.row.key!r}"


def _line(number: int, loaded: LoadedRow) -> str:
    if loaded.increment is None:
        return f"{_named(number, loaded)}: {loaded.state}"
    told = f"; {loaded.state.upper()}: {loaded.text}" if loaded.text else ""
    name = loaded.increment.concept.name
    return f"{_named(number, loaded)}: {name}, {loaded.row.settings}{told}"
