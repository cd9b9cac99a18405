"""The increment file, version 1: one increment as `.safetensors`.

Tensors: `basis.context` `[n_basis, d_text]` float32, and per edited layer `coef.<module path>`
`[d_out, n_basis]` or, unconstrained, `full.<module path>` `[d_out, d_in]`. Metadata: strings under
`sepme.*`, JSON where structured. Not guaranteed to readers: the order of tensors and of metadata
keys.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from torch import Tensor

from .concepts import Concept
from .dead_zone import DeadZone
from .errors import IncrementFileError, SepMEError
from .increment import Increment, Provenance
from .safetensors_file import (
    check_length,
    from_safetensors,
    metadata_of,
    read_head,
    to_safetensors,
    what_it_is,
    write_file,
)

__all__ = [
    "FORMAT_VERSION",
    "Label",
    "read_hashed",
    "read_increment",
    "read_label",
    "to_bytes",
    "write_increment",
]

FORMAT_VERSION = 1
_KEYS = ("concept", "protected", "family", "text_encoder", "base", "method", "dead_zone", "leak")


def write_increment(increment: Increment, path: Path, *, overwrite: bool = False) -> None:
    """Writes a file in one step: it is there whole or not at all.

    Raises:
        IncrementFileError: the file exists and `overwrite` is off, or cannot be written.
    """
    write_file(path, to_bytes(increment), overwrite=overwrite)


def to_bytes(increment: Increment, beside: Mapping[str, str] | None = None) -> bytes:
    """The file's content; equal increments give equal bytes.

    Args:
        beside: further metadata, which is not the increment's; names without `sepme.`.
    """
    return to_safetensors(increment.tensors(), _metadata(increment) | dict(beside or {}))


@dataclass(frozen=True)
class Label:
    """What a file says of itself beside its tensors."""

    concept: Concept
    dead_zone: DeadZone
    provenance: Provenance


def read_increment(path: Path) -> Increment:
    """Reads a file strictly: anything unknown, missing or out of shape is refused.

    Raises:
        IncrementFileError: says which file, what is wrong, what was expected.
    """
    return read_hashed(path)[0]


def read_hashed(path: Path) -> tuple[Increment, str]:
    """As `read_increment`, with the SHA-256 of exactly the bytes that it was made of, in hex.

    The file is read once and closed: what becomes of it afterwards changes nothing.
    """
    with _explained(path), path.open("rb") as file:
        head = read_head(file)
        label = _label(metadata_of(head))  # before the rest: it may be a whole checkpoint
        data = head + file.read()
        tensors, _ = from_safetensors(data)
        groups = _group(tensors)
        increment = Increment(
            label.concept,
            basis=groups["basis"].get("context", torch.zeros(0, 0)),
            coef=groups["coef"],
            full=groups["full"],
            dead_zone=label.dead_zone,
            provenance=label.provenance,
        )
        _check_orthonormal(increment.basis)
        return increment, hashlib.sha256(data).hexdigest()


def read_label(path: Path) -> Label:
    """Reads a file's header only, and whether the file is as long as it says.

    Raises:
        IncrementFileError: as for `read_increment`, as far as the header tells.
    """
    with _explained(path), path.open("rb") as file:
        head = read_head(file)
        label = _label(metadata_of(head))
        check_length(head, os.fstat(file.fileno()).st_size)
        return label


@contextmanager
def _explained(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise IncrementFileError(
            f"{path.name} cannot be read ({error.strerror or error}). Check that the file is there "
            "and that you may read it."
        ) from error
    except SafetensorError as error:
        told = what_it_is(_start(path), str(error))
        raise IncrementFileError(f"{path.name} cannot be read as safetensors. {told}") from error
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as e:
        raise IncrementFileError(
            f"{path.name}: its metadata is incomplete or damaged ({e!r}). "
            "Expected the keys " + ", ".join(f"sepme.{k}" for k in _KEYS) + "."
        ) from e
    except SepMEError as error:
        raise IncrementFileError(f"{path.name}: {error}") from error


def _start(path: Path) -> bytes:
    """A file's first bytes; none where it cannot be read any more."""
    try:
        with path.open("rb") as file:
            return file.read(512)
    except OSError:
        return b""


def _check_format(metadata: Mapping[str, str]) -> None:
    version = metadata.get("sepme.format")
    if version is None:
        raise IncrementFileError(
            "it is a safetensors file, but not an increment: it has no 'sepme.format'. "
            "Use a file written by the SepME Save node."
        )
    if not version.isdecimal() or not 1 <= int(version) <= FORMAT_VERSION:
        raise IncrementFileError(
            f"it has format {version}; this version reads up to {FORMAT_VERSION}. "
            "Update the SepME nodes to open it."
        )


def _metadata(increment: Increment) -> dict[str, str]:
    made = increment.provenance
    values: dict[str, Any] = {
        "concept": asdict(increment.concept) | {"templates": list(made.templates)},
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


def _label(metadata: Mapping[str, str]) -> Label:
    _check_format(metadata)
    unknown = [k for k in metadata if k.startswith("sepme.") and k[6:] not in ("format", *_KEYS)]
    if unknown:
        raise IncrementFileError(f"unknown metadata {', '.join(sorted(unknown))}.")
    concept = json.loads(metadata["sepme.concept"])
    return Label(
        Concept(_name(concept["name"]), _texts(concept["synonyms"]), _text(concept["anchor"])),
        _dead_zone(json.loads(metadata["sepme.dead_zone"])),
        Provenance(
            protected=_texts(json.loads(metadata["sepme.protected"])),
            templates=_texts(concept["templates"]),
            family=metadata["sepme.family"],
            text_encoder=metadata["sepme.text_encoder"],
            base=metadata["sepme.base"],
            method=dict(json.loads(metadata["sepme.method"]).items()),
            leak=dict(json.loads(metadata["sepme.leak"]).items()),
        ),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _name(value: Any) -> str:
    if not _text(value).strip():
        raise ValueError("the concept's name is empty")
    return value


def _dead_zone(values: Any) -> DeadZone:
    zone = DeadZone(**values)
    if not all(0 <= v <= 1.001 for v in (zone.threshold, zone.largest_protected)):
        raise ValueError(f"{zone} is out of range")
    return zone


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError(f"{values!r} is no list")
    return tuple(_text(value) for value in cast("list[Any]", values))


def _group(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    groups: dict[str, dict[str, Tensor]] = {"basis": {}, "coef": {}, "full": {}}
    for key, tensor in tensors.items():
        kind, _, name = key.partition(".")
        if kind not in groups or not name or (kind == "basis" and name != "context"):
            raise IncrementFileError(
                f"unknown tensor {key!r}; expected basis.context, coef.<module> or full.<module>."
            )
        allowed = (torch.float32,) if kind == "basis" else (torch.float32, torch.float16)
        if tensor.ndim != 2 or tensor.dtype not in allowed:
            raise IncrementFileError(
                f"{key} is {tensor.dtype} of shape {list(tensor.shape)}, expected a matrix of "
                f"{' or '.join(map(str, allowed))}."
            )
        groups[kind][name] = tensor
    if bool(groups["coef"]) == bool(groups["full"]) or bool(groups["coef"]) != bool(
        groups["basis"]
    ):
        raise IncrementFileError(
            f"it holds {len(groups['basis'])} basis, {len(groups['coef'])} coef and "
            f"{len(groups['full'])} full tensors; expected a basis with coefs, or full ones alone."
        )
    return groups


def _check_orthonormal(basis: Tensor) -> None:
    """The dead zone is a number about orthonormal rows, and void for any others."""
    rows = basis.double()
    error = float((rows @ rows.T - torch.eye(len(rows), dtype=torch.float64)).abs().sum())
    if not error < 1e-4:
        raise IncrementFileError(
            f"the rows of basis.context are not orthonormal (off by {error:.2g}): the file was "
            "changed after it was written."
        )
