"""Safetensors files: written whole or not at all, and read so that nothing holds on to the file.

The same content gives the same bytes. What was read stays as it was, whatever becomes of the file:
the library's own reader keeps it mapped into memory, so that a file which is cut short or written
over would change what is in use, or end the process.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from .errors import IncrementFileError

__all__ = [
    "check_length",
    "from_safetensors",
    "metadata_of",
    "read_head",
    "to_safetensors",
    "what_it_is",
    "write_atomically",
    "write_file",
]

_LARGEST_HEAD = 100_000_000  # bytes; safetensors reads no larger one either
_LFS = b"version https://git-lfs.github.com/spec/"
_PAGE = (b"<!doctype html", b"<html", b"<?xml")


def to_safetensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file's content; equal tensors and metadata give equal bytes."""
    ready = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    return _sorted_header(save(ready, dict(metadata)))


def from_safetensors(data: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a file's content, in memory of their own.

    Raises:
        SafetensorError: it is no safetensors file, or not a whole one.
    """
    return load(data), metadata_of(data)


def read_head(file: BinaryIO) -> bytes:
    """The beginning of an opened file up to its tensors: all that is read of a foreign one.

    Raises:
        SafetensorError: there is no such beginning.
    """
    size = file.read(8)
    n_bytes = int.from_bytes(size, "little")
    left = os.fstat(file.fileno()).st_size - 8
    if not 2 <= n_bytes <= min(left, _LARGEST_HEAD):
        raise SafetensorError(f"its header would have {n_bytes} bytes, of {max(left, 0)} there")
    return size + file.read(n_bytes)


def metadata_of(data: bytes) -> dict[str, str]:
    """The texts in a file's header.

    Args:
        data: the whole file, or its `read_head`.
    Raises:
        SafetensorError: the header cannot be read.
    """
    metadata = _header(data).get("__metadata__") or {}
    if not isinstance(metadata, dict):
        raise SafetensorError(f"its metadata is {metadata!r}, expected texts by name")
    return {str(k): str(v) for k, v in cast("dict[object, object]", metadata).items()}


def check_length(head: bytes, size: int) -> None:
    """Whether a file is as long as its header says.

    Args:
        head: see `read_head`.
        size: of the whole file, in bytes.
    Raises:
        SafetensorError: it is not.
    """
    tensors = [v for k, v in _header(head).items() if k != "__metadata__"]
    try:
        expected = len(head) + max((int(t["data_offsets"][1]) for t in tensors), default=0)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise SafetensorError(
            f"its header does not say where its tensors are: {error!r}"
        ) from error
    if size != expected:
        raise SafetensorError(f"it has {size} bytes, its header speaks of {expected}")


def _header(data: bytes) -> dict[str, Any]:
    end = 8 + int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8:end])
    except (ValueError, RecursionError) as error:
        raise SafetensorError(f"its header is no JSON: {error}") from error
    if not isinstance(header, dict):
        raise SafetensorError(f"its header is a {type(header).__name__}, expected an object")
    return cast("dict[str, Any]", header)


def what_it_is(start: bytes, problem: str) -> str:
    """What a file that is no safetensors file most likely is, and what to do about it.

    Args:
        start: its first bytes, a few hundred of them.
        problem: that a reader had with it, for files that nothing else is known of.
    """
    if not start:
        return "The file is empty or missing: copy it again."
    if start.startswith(_LFS):
        return (
            "This is a Git LFS pointer, which stands for the file and is not the file itself: run "
            "'git lfs pull' in the repository that it comes from, or download the file itself."
        )
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_PAGE):
        return (
            "This is a web page, most likely the one that shows the file: download the file itself "
            "(on most sites the button with the arrow)."
        )
    return (
        f"The file is truncated, damaged, or something else under this name ({problem}): copy it "
        "again, or compute the increment again."
    )


def write_file(path: Path, data: bytes, *, overwrite: bool = False) -> None:
    """Writes a file in one step: it is there whole or not at all.

    Raises:
        IncrementFileError: the file exists and `overwrite` is off, or cannot be written.
    """
    if path.exists() and not overwrite:
        raise IncrementFileError(
            f"{path.name} exists already. Turn overwrite on, or save into another folder."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        raise IncrementFileError(
            f"{path.name} could not be written: {error.strerror or error}. "
            "Check free space and permissions of the folder; nothing was left behind."
        ) from error


def _sorted_header(data: bytes) -> bytes:
    """The same file with its header's keys in order: safetensors writes metadata in a random one.

    Layout of safetensors: the header's size in 8 bytes, the header padded to a multiple of 8, then
    the tensors at offsets that count from the header's end.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(_header(data), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[end:]


def write_atomically(path: Path, data: bytes) -> None:
    """Replaces a file in one step, whatever was there; its folder must exist."""
    # Opened the ordinary way, so that it gets the permissions that the user's files have.
    # Without the file's own name: with it, a long one would be too long.
    temporary = path.with_name(f".sepme-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:  # some hosts cancel by one; nothing may be left behind then either
        temporary.unlink(missing_ok=True)
        raise
