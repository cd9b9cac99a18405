"""The increment file, version 1: one increment as `.safetensors`.

Tensors: `basis.context` `[n_basis, d_text]` float32, and per edited layer `coef.<module path>`
`[d_out, n_basis]` or, unconstrained, `full.<module path>` `[d_out, d_in]`. Metadata: strings under
`sepme.*`, JSON where structured. Not guaranteed to readers: the order of tensors and of metadata
keys.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .concepts import Concept
from .dead_zone import DeadZone
from .errors import IncrementFileError, SepMEError
from .increment import Increment, Provenance

__all__ = ["FORMAT_VERSION", "read_increment", "to_bytes", "write_increment"]

FORMAT_VERSION = 1
_KEYS = ("concept", "protected", "family", "text_encoder", "base", "method", "dead_zone", "leak")


def write_increment(increment: Increment, path: Path, *, overwrite: bool = False) -> None:
    """Writes a file in one step: it is there whole or not at all.

    Raises:
        IncrementFileError: the file exists and `overwrite` is off, or cannot be written.
    """
    if path.exists() and not overwrite:
        raise IncrementFileError(
            f"{path.name} exists already. Turn overwrite on, or save into another folder."
        )
    data = to_bytes(increment)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_atomically(path, data)
    except OSError as error:
        raise IncrementFileError(
            f"{path.name} could not be written: {error.strerror or error}. "
            "Check free space and permissions of the folder; nothing was left behind."
        ) from error


def to_bytes(increment: Increment) -> bytes:
    """The file's content; equal increments give equal bytes."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in increment.tensors().items()}
    return _sorted_header(save(tensors, _metadata(increment)))


def read_increment(path: Path) -> Increment:
    """Reads a file strictly: anything unknown, missing or out of shape is refused.

    Raises:
        IncrementFileError: says which file, what is wrong, what was expected.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            _check_format(path, metadata)
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise IncrementFileError(
            f"{path.name} cannot be read as safetensors ({error}). The file is missing, truncated "
            "or damaged: copy it again, or compute the increment again."
        ) from error
    try:
        return _increment(metadata, tensors)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise IncrementFileError(
            f"{path.name}: its metadata is incomplete or damaged ({error!r}). "
            "Expected the keys " + ", ".join(f"sepme.{k}" for k in _KEYS) + "."
        ) from error
    except SepMEError as error:
        raise IncrementFileError(f"{path.name}: {error}") from error


def _check_format(path: Path, metadata: Mapping[str, str]) -> None:
    version = metadata.get("sepme.format")
    if version is None:
        raise IncrementFileError(
            f"{path.name} is a safetensors file, but not an increment: it has no 'sepme.format'. "
            "Use a file written by the Save Increments node."
        )
    if not version.isdecimal() or not 1 <= int(version) <= FORMAT_VERSION:
        raise IncrementFileError(
            f"{path.name} has format {version}; this version reads up to {FORMAT_VERSION}. "
            "Update the SepME nodes to open it."
        )


def _metadata(increment: Increment) -> dict[str, str]:
    made = increment.provenance
    values: dict[str, Any] = {
        "concept": asdict(increment.concept),
        "protected": list(made.protected),
        "method": dict(made.method),
        "dead_zone": asdict(increment.dead_zone),
        "leak": dict(made.leak),
    }
    metadata = {f"sepme.{k}": json.dumps(v, sort_keys=True) for k, v in values.items()}
    return metadata | {
        "sepme.format": str(FORMAT_VERSION),
        "sepme.family": made.family,
        "sepme.text_encoder": made.text_encoder,
        "sepme.base": made.base,
        "modelspec.title": f"SepME increment: {increment.concept.name}",
        "modelspec.architecture": f"{made.family}/sepme-increment",
    }


def _increment(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> Increment:
    concept = json.loads(metadata["sepme.concept"])
    groups = _group(tensors)
    return Increment(
        Concept(concept["name"], tuple(concept["synonyms"]), concept["anchor"]),
        basis=groups["basis"].get("context", torch.zeros(0, 0)),
        coef=groups["coef"],
        full=groups["full"],
        dead_zone=DeadZone(**json.loads(metadata["sepme.dead_zone"])),
        provenance=Provenance(
            protected=tuple(json.loads(metadata["sepme.protected"])),
            family=metadata["sepme.family"],
            text_encoder=metadata["sepme.text_encoder"],
            base=metadata["sepme.base"],
            method=json.loads(metadata["sepme.method"]),
            leak=json.loads(metadata["sepme.leak"]),
        ),
    )


def _sorted_header(data: bytes) -> bytes:
    """The same file with its header's keys in order: safetensors writes metadata in a random one.

    Layout of safetensors: the header's size in 8 bytes, the header padded to a multiple of 8, then
    the tensors at offsets that count from the header's end.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[end:]


def _group(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    groups: dict[str, dict[str, Tensor]] = {"basis": {}, "coef": {}, "full": {}}
    for key, tensor in tensors.items():
        kind, _, name = key.partition(".")
        if kind not in groups or not name or (kind == "basis" and name != "context"):
            raise IncrementFileError(
                f"unknown tensor {key!r}; expected basis.context, coef.<module> or full.<module>."
            )
        if tensor.ndim != 2 or not tensor.is_floating_point():
            raise IncrementFileError(
                f"{key} is {tensor.dtype} of shape {list(tensor.shape)}, expected a float matrix."
            )
        groups[kind][name] = tensor
    if not (groups["coef"] or groups["full"]):
        raise IncrementFileError("there is no coef.* and no full.* tensor: nothing to apply.")
    return groups


def _write_atomically(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
