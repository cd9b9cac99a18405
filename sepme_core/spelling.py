"""Names in texts: as whole words, whatever their capitals, in the singular and in the plural."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

__all__ = ["NameFinder"]


class NameFinder:
    """Tells whether a text holds one of many names.

    Args:
        names: of one or more words each.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._spellings = {spelling for name in names for spelling in _spellings(_words(name))}
        self._lengths = sorted(set(map(len, self._spellings)))

    def finds_one_in(self, text: str) -> bool:
        """Whether the words of some name stand in the text, one after the other."""
        words = _words(text)
        return any(
            words[i : i + n] in self._spellings
            for n in self._lengths
            for i in range(len(words) - n + 1)
        )


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", text.casefold()))


def _spellings(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """A name with its last word in the singular and in the plural."""
    if not words:
        return
    *first, last = words
    endings = [last, f"{last}s", f"{last}es"]
    if last.endswith("s"):
        endings += [last[:-1], last.removesuffix("es")]
    if last.endswith("y"):
        endings.append(f"{last[:-1]}ies")
    yield from ((*first, ending) for ending in endings if ending)
