"""A digest of what the host's objects hold: patches, options, hooks."""

from __future__ import annotations

import enum
import functools
import hashlib
import secrets
import types
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["digest", "is_told"]

_WHOLE, _SAMPLES = 1 << 16, 1 << 13  # entries; a LoRA's factors are read whole
_DEEPEST = 12
_UNTOLD = "untold-"
_BY_TEXT = (
    bytes,
    complex,
    enum.Enum,
    np.generic,
    torch.device,
    torch.dtype,
    type,
    types.BuiltinFunctionType,
    types.ModuleType,
)
"""What its text says all of."""
_OF_EVERY_MODULE = frozenset(vars(nn.Module()))


class _UntoldError(Exception):
    """Something counts, and nobody can say what it holds."""


def digest(value: Any) -> str:
    """SHA-256 of a value's contents in hex: the same after a restart, on any device.

    Containers, numbers, texts and tensors count with everything they hold; of large tensors evenly
    spaced entries do. Functions count by name and by what is bound to them, other functions
    included; modules by their weights, other objects by their class and attributes. Where a
    function holds an object, which may be the graph's whole state and change as it runs, there is
    no saying what it does: such a digest is another one every time, see `is_told`.
    """
    h = hashlib.sha256()
    try:
        for part in _parts(value, 0, {}):
            h.update(len(part).to_bytes(8, "little"))
            h.update(part)
    except _UntoldError:
        return f"{_UNTOLD}{secrets.token_hex(32)}"
    return h.hexdigest()


def is_told(found: str) -> bool:
    """Whether a digest will ever be met again."""
    return not found.startswith(_UNTOLD)


def _parts(value: Any, depth: int, seen: dict[int, Any], bound: bool = False) -> Iterator[bytes]:
    """Depth first; objects are looked into once, as some of them hold each other.

    Args:
        seen: by id, which only is theirs as long as they are held.
        bound: whether a function holds it.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        yield repr(value).encode()
    elif isinstance(value, Tensor):
        yield f"tensor{tuple(value.shape)}".encode()
        yield _numbers(value)
    elif id(value) in seen:
        yield type(value).__name__.encode()
    elif depth > _DEEPEST:
        raise _UntoldError
    else:
        if hasattr(value, "__dict__"):
            seen[id(value)] = value
        name, inner = _opened(value, bound)
        yield name.encode()
        for part in inner:
            yield from _parts(part, depth + 1, seen, bound or callable(value))


def _opened(value: Any, bound: bool) -> tuple[str, list[Any]]:
    """What kind of thing it is, and what in it counts."""
    if isinstance(value, Mapping):
        items = sorted(((str(k), v) for k, v in value.items()), key=lambda item: item[0])
        return f"mapping{len(items)}", [part for item in items for part in item]
    if isinstance(value, (list, tuple)):
        return f"list{len(value)}", list(value)
    if isinstance(value, (set, frozenset)):
        return f"set{len(value)}", sorted(map(str, value))
    if isinstance(value, np.ndarray):
        inner = value.tolist() if value.dtype.hasobject else value.tobytes()
        return f"array{value.shape}{value.dtype}", [inner]
    if isinstance(value, nn.Module):
        bases = [base.__name__ for base in type(value).__mro__]
        return _name(value), [bases, value.state_dict(), *_bound(value)]
    if isinstance(value, _BY_TEXT) or not (bound or hasattr(value, "__dict__")):
        return str(value), []
    if callable(value):
        return _name(value), _bound(value)
    if bound and getattr(value, "__dict__", True):
        raise _UntoldError
    return _name(value), [dict(vars(value))]


def _name(value: Any) -> str:
    kind = value if hasattr(value, "__qualname__") else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _bound(function: Any) -> list[Any]:
    """What a function was made with: closure, defaults, arguments given in advance, attributes."""
    if isinstance(function, functools.partial):
        return [function.func, function.args, function.keywords]
    own = getattr(function, "__self__", None) if hasattr(function, "__func__") else function
    plain = getattr(function, "__func__", function)
    given = [_cell(cell) for cell in getattr(plain, "__closure__", None) or ()]
    given += [getattr(plain, "__defaults__", None), getattr(plain, "__kwdefaults__", None)]
    if hasattr(own, "__dict__") and not isinstance(own, type):
        given += [v for k, v in sorted(vars(own).items()) if k not in _OF_EVERY_MODULE]
    return given


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing is bound yet
        return None


def _numbers(tensor: Tensor) -> bytes:
    """In float32, which holds all that weights are stored in: the dtype makes no other number."""
    flat = tensor.detach().flatten()
    if len(flat) > _WHOLE:
        flat = flat[:: len(flat) // _SAMPLES]
    if flat.is_floating_point():
        flat = flat.to(torch.float32)
    return flat.cpu().contiguous().view(torch.uint8).numpy().tobytes()
