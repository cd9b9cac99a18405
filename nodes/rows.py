"""The rows of a text widget: JSON as the page writes it, or plain lines for whoever has no page.

What the page writes: `{"version": 1, "rows": …, "presets": …}`. Everything simpler that says the
same is read as well, so that no value of an older workflow is lost: a bare list, names alone,
numbers for strengths, booleans for switches, other spellings of the keys.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from ..sepme_core.errors import ConceptError
from ..sepme_core.spelling import is_quoted, listed_lines, plain_signs
from .file_names import shortened

__all__ = ["VERSION", "Row", "parse_rows", "row_event"]

VERSION = 1
STRONGEST = 4.0
_LONGEST = 40  # letters of a number; more are no strength
_FILE = ".safetensors"
_NUMBER = r"-?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)"  # in one way only, so that it is read in one go
_OPTION = re.compile(
    rf"on|off|(?P<strength>{_NUMBER})|(?P<start>{_NUMBER})-(?P<end>{_NUMBER})", re.IGNORECASE
)
_KEYS = {
    **dict.fromkeys(("increment", "name", "concept", "file"), "key"),
    **dict.fromkeys(("enabled", "on"), "on"),
    "strength": "strength",
    **dict.fromkeys(("start_percent", "start"), "start"),
    **dict.fromkeys(("end_percent", "end"), "end"),
    "sha256": "sha256",
    "erases": "erases",
}


@dataclass(frozen=True)
class Row:
    """One row.

    Args:
        key: the file or the concept that it is about.
        on: off rows have no effect at all.
        strength: 1 erases as computed.
        start, end: the part of the sampling in which it acts, 0 to 1.
        sha256: of the file that was meant, in hex; empty when any will do.
        erases: the line of a concept set that the file came from, if that is known.

    Raises:
        ConceptError: a value out of its range.
    """

    key: str
    on: bool = True
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    sha256: str = ""
    erases: str = ""

    def __post_init__(self) -> None:
        if not self.key.strip():
            raise ConceptError("it names nothing. Give it a name, or remove it.")
        if not -STRONGEST <= self.strength <= STRONGEST:
            raise ConceptError(
                f"strength is {self.strength:g}, expected between {-STRONGEST:g} and {STRONGEST:g}."
                " If the number belongs to the name, put the name in quotes: "
                f'"{shortened(self.key)} …".'
            )
        if not 0 <= self.start <= self.end <= 1:
            raise ConceptError(
                f"start is {self.start:g} and end {self.end:g}, expected 0 <= start <= end <= 1."
            )

    @property
    def settings(self) -> str:
        """How it acts, for reports."""
        window = "" if (self.start, self.end) == (0, 1) else f" from {self.start:g} to {self.end:g}"
        return f"strength {self.strength:g}{window}"


def row_event(  # noqa: PLR0913
    number: int,
    state: str,
    text: str = "",
    *,
    concept: str = "",
    file: str = "",
    step: int = 0,
    max_steps: int = 0,
    texts: str = "",
) -> dict[str, Any]:
    """What the page is told of a row.

    Args:
        number: its place, from 0.
        state: one word for it.
        text: what a person should know; empty when all is well.
        step, max_steps: how far it is while it is computed.
        texts: digest of the texts that it is about; empty where the page has nothing to compare.
    """
    return {
        "row": number,
        "file": file,
        "concept": concept,
        "state": state,
        "text": text,
        "step": step,
        "max_steps": max_steps,
        "texts": texts,
    }


def parse_rows(text: str) -> tuple[Row, ...]:
    """The rows of a widget, in order.

    Raises:
        ConceptError: says which row or line cannot be read, and what was expected.
    """
    if text.removeprefix("\ufeff").lstrip()[:1] in ("{", "["):
        return _of_json(text.removeprefix("\ufeff"))
    lines = listed_lines(text, numbered=_FILE not in text.casefold())
    return tuple(_of_line(line, number) for number, line in lines)


def _of_json(text: str) -> tuple[Row, ...]:
    try:
        state = json.loads(text, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise ConceptError(
            f"The rows are no valid JSON: {error}. Correct that place, or write plain lines such "
            "as 'name 0.8'."
        ) from error
    rows = _rows_of(state)
    items = rows.items() if isinstance(rows, dict) else ((None, value) for value in rows)
    return tuple(_row(key, value, n) for n, (key, value) in enumerate(items, start=1))


def _whole(digits: str) -> float:
    """A whole number; what is longer than any that is meant is out of every range."""
    return int(digits) if len(digits) <= _LONGEST else math.copysign(math.inf, float(digits[:2]))


def _rows_of(state: Any) -> dict[str, Any] | list[Any]:
    """The list or table of rows, out of the object around it if there is one."""
    if isinstance(state, list):
        return state
    version = state.get("version", VERSION)
    if isinstance(version, int) and not isinstance(version, bool) and version > VERSION:
        raise ConceptError(
            f"The rows have version {version}; this version of SepME reads up to {VERSION}. Update "
            "the SepME nodes to open them; until then they stay as they are."
        )
    inner = state.get("rows")
    if isinstance(inner, (list, dict)):
        return inner
    return {} if state.keys() <= {"version", "presets"} else state


def _row(key: str | None, value: Any, number: int) -> Row:
    """One row from its name, if it stands before it, and what says how it is set."""
    where = f"Row {number}{f', {shortened(key)!r}' if key else ''}"
    if isinstance(value, list) and len(value) == 2:
        key, value = value
    elif isinstance(value, str) and key is None:
        key, value = value, {}
    if isinstance(value, bool):
        value = {"on": value}
    elif isinstance(value, (int, float)):
        value = {"strength": value}
    if not isinstance(value, dict):
        got = shortened(repr(value))
        raise ConceptError(f"{where}: got {got}, expected a switch, a strength or a whole row.")
    given = {_KEYS[k]: v for k, v in value.items() if k in _KEYS}
    return _checked(given | ({} if key is None else {"key": key}), where)


def _of_line(line: str, number: int) -> Row:
    """A name, then what stands behind it and is a setting; the first word never is."""
    words = list(re.finditer(r"\S+", plain_signs(line)))
    settings = (_OPTION.fullmatch(word[0].rstrip(",;")) for word in reversed(words[1:]))
    options = list(takewhile(bool, settings))[::-1]
    key = line[: words[-1 - len(options)].end()]
    given: dict[str, Any] = {}
    for option in filter(None, options):
        _check_length(option[0], number)
        if option["strength"]:
            given["strength"] = _decimal(option["strength"])
        elif option["start"]:
            given |= {name: _decimal(option[name]) for name in ("start", "end")}
        else:
            given["on"] = option[0].casefold() == "on"
    key = re.sub(r"[\s:：=＝,，;；]+$" if given else r"[\s,，;；]+$", "", key)
    given["key"] = key[1:-1] if is_quoted(key) else key
    return _checked(given, f"Line {number}, {shortened(line)!r}")


def _check_length(option: str, number: int) -> None:
    if len(option) > 2 * _LONGEST:
        raise ConceptError(
            f"Line {number}: {shortened(option)} has {len(option)} letters, expected an ordinary "
            f"number of up to {_LONGEST}."
        )


def _decimal(number: str) -> float:
    return float(number.replace(",", "."))


def _checked(given: Mapping[str, Any], where: str) -> Row:
    try:
        return Row(
            key=_of_type(given, "key", str, "").strip(),
            on=bool(_of_type(given, "on", int, True)),
            strength=_number(given, "strength", 1.0),
            start=_number(given, "start", 0.0),
            end=_number(given, "end", 1.0),
            sha256=_of_type(given, "sha256", str, "").casefold(),
            erases=_of_type(given, "erases", str, "").strip(),
        )
    except ConceptError as error:
        raise ConceptError(f"{where}: {error}") from error


def _number(given: Mapping[str, Any], name: str, default: float) -> float:
    value = _of_type(given, name, (int, float), default)
    if not -1e9 < value < 1e9:  # nor NaN, nor an integer that no float holds
        raise ConceptError(f"{name} is {value}, expected an ordinary number.")
    return float(value)


def _of_type(given: Mapping[str, Any], name: str, kind: Any, default: Any) -> Any:
    value = given.get(name, default)
    if value is None:
        return default
    if not isinstance(value, kind):
        got = shortened(repr(value))
        raise ConceptError(f"{name} is {got}, expected such as {default!r}.")
    return value
