"""Preserve lists: ordinary captions, protected softly by the second moment of their rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from io import StringIO
from pathlib import Path

import torch
from torch import Tensor

from .denoiser import OnStep, Progress
from .embeddings import EncodedPrompt, TextEncoder, unit_rows
from .errors import ConceptError
from .spelling import NameFinder

__all__ = [
    "Moment",
    "MomentOf",
    "general_captions",
    "list_digest",
    "moment_without_names",
    "parse_preserve",
    "read_preserve",
    "second_moment",
    "without_names",
]

MAX_LINES = 100_000
MAX_LENGTH = 2000  # characters of a line
N_SAMPLE = 64  # captions that are kept to calibrate the dead zone
_GENERAL = Path(__file__).with_name("data") / "general.txt"
_MOST_BYTES = 4 * MAX_LENGTH + len("\r\n")  # of a line in UTF-8
_UTF8_MARK, _UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
_SAVE_AS_UTF8 = (
    "Expected: plain text in UTF-8, one caption a line. Open it in a text editor and save it "
    "again with the encoding UTF-8 (in Notepad: Save as, Encoding: UTF-8)."
)


@dataclass(frozen=True, eq=False)
class Moment:
    """What ordinary language looks like to a model's text-only layers.

    For a direction v, v M vᵀ is how strongly a caption answers to it, all its tokens together.

    Args:
        matrix: M, `[d_text, d_text]` float64: the sum of w² e eᵀ over a caption's unit rows e,
            those that stand for it in `EncodedPrompt.sample`; the mean over all captions.
        n_prompts: captions behind it.
        sample: a few of them, spread over the list: they say how far ordinary tokens reach.
    """

    matrix: Tensor
    n_prompts: int
    sample: tuple[EncodedPrompt, ...] = ()


MomentOf = Callable[[Sequence[str]], Moment]
"""Captions -> their moment; a host may keep the results."""


def second_moment(
    prompts: Sequence[str], encode: TextEncoder, on_step: OnStep = lambda _: None, batch: int = 64
) -> Moment:
    """The second moment of prompts; memory does not grow with their number.

    Args:
        prompts: at least one.
        encode: called with at most `batch` prompts at once. Encoders that remember what they have
            encoded offer a method `once` that does not.
        on_step: called after every batch; raising from it cancels.
    Raises:
        ConceptError: there is no prompt.
    """
    if not prompts:
        raise ConceptError("There is no caption to preserve: the list is empty.")
    once: TextEncoder = getattr(encode, "once", encode)
    total = torch.zeros((), dtype=torch.float64)
    sample: list[EncodedPrompt] = []
    every = _spread(len(prompts))
    for start in range(0, len(prompts), batch):
        part = prompts[start : start + batch]
        encoded = once(part)
        total = total + _moment_of(encoded)
        sample += [
            replace(p, embeddings=p.embeddings.clone())
            for i, p in enumerate(encoded, start)
            if i % every == 0
        ]
        del encoded  # before the next batch comes
        on_step(Progress("preserve list", start + len(part), len(prompts), unit="captions"))
    return Moment(total / len(prompts), len(prompts), tuple(sample))


def _moment_of(encoded: Sequence[EncodedPrompt]) -> Tensor:
    parts = [(p.embeddings[which], weights) for p in encoded for which, weights in [p.sample()]]
    rows = unit_rows(torch.cat([e for e, _ in parts])) * torch.cat([w for _, w in parts])[:, None]
    return rows.T @ rows


def _spread(n_prompts: int) -> int:
    """One caption of so many is kept in the sample."""
    return -(-n_prompts // N_SAMPLE)


def moment_without_names(
    captions: Sequence[str], names: Iterable[str], moment_of: MomentOf, encode: TextEncoder
) -> Moment | None:
    """The moment of the captions that name nothing of what is erased; None when all of them do.

    Moments add up, so those few that do are taken out of the whole list's moment, which is the
    same for all concepts and need be known only once.
    """
    kept = without_names(captions, names)
    staying = set(kept)
    named = [c for c in captions if c not in staying]
    if not kept or 2 * len(named) > len(captions):
        return moment_of(kept) if kept else None
    whole = moment_of(captions)
    if not named:
        return whole
    total = whole.matrix * whole.n_prompts
    total -= second_moment(named, encode).matrix * len(named)
    spread = zip(captions[:: _spread(len(captions))], whole.sample, strict=True)
    return Moment(total / len(kept), len(kept), tuple(p for c, p in spread if c in staying))


def list_digest(captions: Sequence[str]) -> str:
    """Tells whether two increments were made with one list; empty for none."""
    return hashlib.sha256("\n".join(captions).encode()).hexdigest()[:16] if captions else ""


def without_names(captions: Iterable[str], names: Iterable[str]) -> tuple[str, ...]:
    """The captions that name nothing of what is erased: those must not be preserved.

    See `NameFinder` for what counts as naming.
    """
    finder = NameFinder(names, spaceless=True)
    return tuple(c for c in captions if not finder.finds_one_in(c))


@cache
def general_captions() -> tuple[str, ...]:
    """The list that comes with the pack: hundreds of ordinary captions of every kind."""
    return read_preserve(_GENERAL)


def parse_preserve(text: str) -> tuple[str, ...]:
    """Captions from a text field, one a line, each once; `#` starts a comment line.

    Raises:
        ConceptError: too many lines, or a line that is too long.
    """
    return _captions(StringIO(text), "The preserve field")


def read_preserve(path: Path) -> tuple[str, ...]:
    """Captions from a plain text file in UTF-8; a file that is too long is not read to its end.

    Raises:
        ConceptError: not readable, not UTF-8, binary, without captions, too many lines, or a line
            that is too long.
    """
    what = f"The preserve list {path.name!r}"
    try:
        with path.open("rb") as file:
            captions = _captions(_decoded(file.readline, what), what)
    except OSError as error:
        raise ConceptError(f"{what} cannot be read: {error.strerror or error}.") from error
    if not captions:
        raise ConceptError(
            f"{what} holds no caption. Write one a line, or choose 'none' to preserve nothing more."
        )
    return captions


def _captions(lines: Iterable[str], what: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for number, line in enumerate(map(str.strip, lines), start=1):
        if number > MAX_LINES:
            raise ConceptError(
                f"{what} has more than {MAX_LINES} lines. A few hundred varied captions are "
                "enough; take a sample of yours."
            )
        if len(line) > MAX_LENGTH:
            raise _too_long(what, number)
        if line and not line.startswith("#"):
            found[line] = None
    return tuple(found)


def _decoded(readline: Callable[[int], bytes], what: str) -> Iterator[str]:
    """A file's lines; never more than one in memory, and of an endless one only the beginning."""
    number = 0
    while raw := readline(_MOST_BYTES):
        number += 1
        if number == 1:
            if raw.startswith(_UTF16_MARKS):
                raise ConceptError(f"{what} is in UTF-16. {_SAVE_AS_UTF8}")
            raw = raw.removeprefix(_UTF8_MARK)
        if (zero := raw.find(b"\0")) >= 0:
            raise ConceptError(
                f"{what} is no text: line {number} has a zero byte at place {zero + 1}, as "
                f"binary files and UTF-16 do. {_SAVE_AS_UTF8}"
            )
        if len(raw) == _MOST_BYTES and not raw.endswith(b"\n"):
            raise _too_long(what, number)
        yield _utf8(raw, what, number)


def _utf8(raw: bytes, what: str, number: int) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConceptError(
            f"{what} is not UTF-8: line {number} has the byte 0x{raw[error.start]:02X} at place "
            f"{error.start + 1}. {_SAVE_AS_UTF8}"
        ) from error


def _too_long(what: str, number: int) -> ConceptError:
    return ConceptError(
        f"Line {number} of {what[0].lower()}{what[1:]} is longer than {MAX_LENGTH} characters. "
        "Write one caption a line."
    )
