"""Safetensors files written whole or not at all, with the same bytes for the same content."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from .errors import IncrementFileError

__all__ = ["to_safetensors", "write_atomically", "write_file"]


def to_safetensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file's content; equal tensors and metadata give equal bytes."""
    ready = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    return _sorted_header(save(ready, dict(metadata)))


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
    header = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[end:]


def write_atomically(path: Path, data: bytes) -> None:
    """Replaces a file in one step, whatever was there; its folder must exist."""
    # Opened the ordinary way, so that it gets the permissions that the user's files have.
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:  # some hosts cancel by one; nothing may be left behind then either
        temporary.unlink(missing_ok=True)
        raise
