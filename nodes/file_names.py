"""What a file may be called: one rule for everything that is saved, exported, renamed or asked for.

A name has to work on every system that the file may be passed on to, and in the rows of SepME Load
Stack. Any two concepts get two names.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from ..sepme_core.errors import IncrementFileError

__all__ = ["LONGEST", "check_folder", "file_stem", "refusal", "shortened", "tidy"]

LONGEST = 200
"""Bytes of a name in UTF-8. Most systems hold 255 with the ending; a number may come behind it."""
_MOST_SHOWN = 80  # letters
_MARK = 8  # hex digits: enough for any library
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')  # on some system or other
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")  # categories of Unicode; none of them ever changes
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³])\s*(\..*)?", re.I)
_JOINERS = "\u200c\u200d"  # letters of Persian and Indic scripts, and emoji, are joined by them
_ENDS = f" .{_JOINERS}"  # cut off, or hidden, at the beginning or the end of a name


def file_stem(name: str) -> str:
    """The name of a concept's file without its ending, the same for the same name.

    It is the concept's own name wherever a file can be called so. Elsewhere it is as near as
    possible to it, with a mark behind that tells it from all others: `AC/DC` becomes
    `AC_DC-cacecbbb`.
    """
    wanted = tidy(name)
    if not refusal(wanted):
        return wanted
    mark = hashlib.sha256(wanted.casefold().encode("utf-8", "surrogatepass")).hexdigest()[:_MARK]
    near = "".join("_" if _is_bad(c) else c for c in wanted).strip(_ENDS)
    if _RESERVED.fullmatch(near):
        near = near.replace(".", "_")
    return f"{_fitting(near, LONGEST - _MARK - 1) or 'concept'}-{mark}"


def tidy(name: str) -> str:
    """A name in one spelling: letters composed with their accents, single spaces."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def refusal(name: str) -> str:
    """Why no file can be called so everywhere; empty when one can.

    Args:
        name: without an ending.
    """
    if not name.strip(_ENDS):
        return "it is empty"
    bad = next(filter(_is_bad, name), "")
    if bad:
        return f"it holds {bad!r}"
    if name != name.strip(_ENDS):
        return "it begins or ends with a space or a dot"
    if _RESERVED.fullmatch(name):
        return "Windows keeps it for a device"
    n_bytes = len(name.encode())
    if n_bytes > LONGEST:
        return f"it has {n_bytes} bytes ({len(name)} letters), expected up to {LONGEST}"
    return ""


def check_folder(folder: str) -> None:
    """Whether a folder can be made everywhere.

    Args:
        folder: one or more names, with slashes between them.
    Raises:
        IncrementFileError: says which name cannot be used, and why.
    """
    for part in filter(None, folder.split("/")):
        if why := refusal(part):
            raise IncrementFileError(
                f"The folder {shortened(part)!r} cannot be made everywhere: {why}. Use a "
                "name such as 'styles'."
            )


def shortened(name: str) -> str:
    """A name for an error's text, whatever somebody has sent."""
    return name if len(name) <= _MOST_SHOWN else f"{name[: _MOST_SHOWN - 1]}…"


def _is_bad(letter: str) -> bool:
    unseen = unicodedata.category(letter) in _UNSEEN and letter not in _JOINERS
    return unseen or bool(_FORBIDDEN.match(letter))


def _fitting(text: str, n_bytes: int) -> str:
    """As many whole letters as fit."""
    return text.encode()[:n_bytes].decode("utf-8", "ignore").rstrip(_ENDS)
