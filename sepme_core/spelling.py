"""What people type, and what they mean by it: the one place for rules of spelling.

`web/js/spelling.js` says the same to the page; `tests/spelling_cases.json` holds both to it.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

__all__ = [
    "ARROW",
    "BAR",
    "COMMA",
    "NameFinder",
    "clean",
    "foreign_sign",
    "is_quoted",
    "listed_lines",
    "name_key",
    "noted_lines",
    "plain_name",
    "plain_signs",
    "spellings",
    "split_outside",
]

ARROW = r"[-‐‑‒–—−=]+>|[-‐‑‒–—−=]*＞|[→⇒⇨⟶⟹➔➙➜➝➞➡]\ufe0f?"
BAR = r"[|｜¦]"
COMMA = r"[,，、;；﹐]"
_DOUBLE, _SINGLE = '"“”„‟«»＂', "'‘’‚‛"
_QUOTED = rf"(?<!\w)[{_DOUBLE}][^{_DOUBLE}]*[{_DOUBLE}](?!\w)"
_SKIPPED = rf"{_QUOTED}|\\.|\([^()]*\)|（[^（）]*）|\[[^\[\]]*\]|\{{[^{{}}]*\}}"
"""Signs in here separate nothing; what is opened and not closed is a letter like others."""
_PAIRS = {"(": ")", "（": "）", "[": "]"}
_WEIGHT = r"\s*[:：]\s*[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_WEIGHTED = re.compile(rf"(?<!\\)\(([^()]*?){_WEIGHT}\s*(?<!\\)\)")
_UNSEEN = (
    "\u00ad\u200b\u200e\u200f\u2060\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
_JOINERS = "\u200c\u200d"  # within a word they are part of its spelling
_WIDE = "\t\u00a0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_AROUND = _UNSEEN + _WIDE + string.whitespace
_INVISIBLE = str.maketrans("", "", _UNSEEN)
_SPACES = str.maketrans(dict.fromkeys(_WIDE, " "))
_ALIKE = str.maketrans(
    {
        **dict.fromkeys(_SINGLE + "`´ʼ", "'"),
        **dict.fromkeys(_DOUBLE, '"'),
        **dict.fromkeys("‐‑‒–—−", "-"),
    }
)
_NARROW = str.maketrans({chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)})
_BULLET = re.compile(r"^(?:[-*+•·‣▪●○–—]|\[[ xX]?\])\s+")
_NUMBER = re.compile(r"^([0-9]{1,4})[.)]\s+")
_SPACELESS = (  # Thai, Lao, Myanmar, Khmer, kana, Han
    "\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_NOTES = ("#", "//")
_FOREIGN = (
    (re.compile(r"<\s*\w+\s*:[^<>]*>"), "tag"),
    (re.compile(r"\{[^{}]*[|｜][^{}]*\}"), "choice"),
    (re.compile(r"(?<!\w)__[\w*/-]+__(?!\w)"), "wildcard"),
)


def clean(text: str) -> str:
    """Text with composed accents, plain spaces and without what cannot be seen."""
    text = unicodedata.normalize("NFC", text.translate(_SPACES).translate(_INVISIBLE))
    return text.strip().strip(_JOINERS).strip()


def noted_lines(text: str) -> list[tuple[int, str]]:
    """The lines that say something, as typed, with their numbers from 1.

    Lines that begin with `#` or `//` are notes.
    """
    numbered = ((n, line.strip().strip(_AROUND)) for n, line in enumerate(text.splitlines(), 1))
    return [(n, line) for n, line in numbered if line and not line.startswith(_NOTES)]


def listed_lines(text: str, *, numbered: bool = True) -> list[tuple[int, str]]:
    """The lines of a list, as typed but for bullets and numbering.

    A `#` within a line is a letter like others: `Studio # 54` is a name.

    Args:
        numbered: numbers are numbering, where every line has one and they count up.
    """
    found = [(n, _BULLET.sub("", line, count=1)) for n, line in noted_lines(text)]
    numbers = [_NUMBER.match(line) for _, line in found]
    counted = [int(m[1]) for m in numbers if m]
    if (
        numbered
        and len(counted) == len(found) > 1
        and counted == list(range(counted[0], counted[0] + len(found)))
    ):
        found = [(n, _NUMBER.sub("", line, count=1)) for n, line in found]
    return [(n, line) for n, line in found if line]


def split_outside(text: str, separator: str) -> list[str]:
    """The parts between separators, those in quotes and brackets left alone; stripped.

    Args:
        separator: a pattern without groups, such as `COMMA`.
    """
    parts, start = [], 0
    for found in re.finditer(rf"(?:{_SKIPPED})|(?P<separator>{separator})", text):
        if found["separator"]:
            parts.append(text[start : found.start()].strip())
            start = found.end()
    return [*parts, text[start:].strip()]


def foreign_sign(text: str) -> str:
    """What in a name belongs to another program; empty where there is nothing.

    Returns:
        `tag` for `<lora:…>`, `choice` for `{a|b}`, `wildcard` for `__animals__`.
    """
    return next((kind for pattern, kind in _FOREIGN if pattern.search(text)), "")


def plain_name(text: str) -> str:
    """A name without what stands around it in prompts: emphasis, quotes, escapes, commas.

    What is in quotes is taken as it stands.
    """
    text = clean(text)
    while True:
        bare = re.sub(rf"^(?:{COMMA}|\s)+|(?:{COMMA}|\s)+$", "", text)
        if is_quoted(bare):
            return bare[1:-1].strip()
        bare = _without_brackets(bare)
        if bare == text:
            break
        text = bare
    text = _WEIGHTED.sub(r"\1", text)
    return re.sub(r"\\([()\[\]{}])", r"\1", text).strip()


def is_quoted(text: str) -> bool:
    """Whether quotes stand around all of a text: what is in them is meant as it stands."""
    return len(text) > 2 and any(
        text[0] in quotes and text[-1] in quotes and not set(text[1:-1]) & set(quotes)
        for quotes in (_DOUBLE, _SINGLE)
    )


def _without_brackets(text: str) -> str:
    """What is in the brackets around all of a text, and without its weight."""
    inner = text
    if text[:1] in _PAIRS and _closes_last(text):
        inner = re.sub(rf"{_WEIGHT}$", "", text[1:-1].rstrip())
    # Without brackets a weight stands close: `Blade Runner: 2.0` is a name.
    return re.sub(r"(?<=\S)[:：][0-9]*\.[0-9]+$", "", inner).strip()


def _closes_last(text: str) -> bool:
    """Whether the bracket that a text begins with is closed by its last letter."""
    opening, closing = text[0], _PAIRS[text[0]]
    depth = 0
    for found in re.finditer(r"\\.|.", text, re.DOTALL):
        depth += (found[0] == opening) - (found[0] == closing)
        if depth == 0:
            return found.end() == len(text)
    return False


@lru_cache(maxsize=1 << 16)
def name_key(name: str) -> str:
    """What all spellings of one name have in common.

    Capitals, spaces, underscores, widths, composed accents, kinds of quotes and dashes, emphasis
    and escapes do not count.
    """
    name = unicodedata.normalize(
        "NFKC", name.translate(_SPACES).translate(_ALIKE).replace("_", " ")
    )
    return " ".join(unicodedata.normalize("NFKC", plain_name(name).casefold()).split())


def spellings(name: str) -> tuple[str, ...]:
    r"""How a name is written in prompts: as it stands, and what says the same there.

    Brackets are emphasis in a prompt unless they are escaped, and `_` stands for a space in tags:
    `cat_(orange)` is also `cat_\(orange\)`, `cat (orange)` and `cat \(orange\)`.
    """
    if name.startswith("embedding:"):
        return (name,)
    spaced = " ".join(name.split("_")) if re.search(r"\w_+[\w(]", name) else name
    found = [form for each in (name, spaced) for form in (each, re.sub(r"[()]", r"\\\g<0>", each))]
    return tuple(dict.fromkeys(found))


def plain_signs(text: str) -> str:
    """The same text, letter for letter, with signs and digits as programs know them."""
    return text.translate(_NARROW).translate(_SPACES).translate(_ALIKE)


class NameFinder:
    """Tells which of many names stand in a text, as whole words and whatever their spelling.

    Args:
        names: of one or more words each.
        spaceless: also find names within the words of scripts that have no spaces, such as Han
            and Thai, where nobody but a dictionary knows the words: that may find too much.
    """

    def __init__(self, names: Iterable[str], *, spaceless: bool = False) -> None:
        names = list(names)
        signs = "".join(sorted({c for name in names for c in _folded(name) if _is_sign(c)}))
        apart = f"{_SPACELESS if spaceless else ''}{re.escape(signs)}"
        word = rf"[^\W_{_SPACELESS}]+" if spaceless else r"[^\W_]+"
        self._pattern = re.compile(rf"[{apart}]|{word}" if apart else word)
        self._names: dict[tuple[str, ...], list[str]] = {}
        for name in names:
            for form in dict.fromkeys(_numbers(self._words(name))):
                self._names.setdefault(form, []).append(name)
        self._lengths: dict[str, set[int]] = {}
        for form in self._names:
            self._lengths.setdefault(form[0], set()).add(len(form))

    def finds_one_in(self, text: str) -> bool:
        """Whether the words of some name stand in the text, one after the other."""
        return any(True for _ in self._found(text))

    def found_in(self, text: str) -> tuple[str, ...]:
        """The names whose words stand in the text, each once."""
        return tuple(dict.fromkeys(name for names in self._found(text) for name in names))

    def _found(self, text: str) -> Iterator[list[str]]:
        words = self._words(text)
        runs = (words[i : i + n] for i, w in enumerate(words) for n in self._lengths.get(w, ()))
        return (self._names[run] for run in runs if run in self._names)

    def _words(self, text: str) -> tuple[str, ...]:
        """Words, and by themselves the signs that some name has, as in `C++`."""
        return tuple(self._pattern.findall(_folded(text)))


def _is_sign(letter: str) -> bool:
    return letter == "#" or unicodedata.category(letter) in ("Sm", "Sc", "So")


def _folded(text: str) -> str:
    text = unicodedata.normalize("NFKC", text.translate(_INVISIBLE)).casefold()
    return unicodedata.normalize("NFKC", text)


def _numbers(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
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
