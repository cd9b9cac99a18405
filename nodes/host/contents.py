"""A digest of what the host's objects hold: patches, options, hooks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["digest"]

_WHOLE, _SAMPLES = 1 << 16, 1 << 13  # entries; a LoRA's factors are read whole
_DEEPEST = 12


def digest(value: Any) -> str:
    """SHA-256 of a value's contents in hex: the same after a restart, on any device.

    Containers, numbers, texts and tensors count with everything they hold; of large tensors evenly
    spaced entries do. Functions count by name and by the numbers and tensors bound to them, modules
    by their weights, other objects by their class and attributes.
    """
    h = hashlib.sha256()
    for part in _parts(value, 0, set()):
        h.update(len(part).to_bytes(8, "little"))
        h.update(part)
    return h.hexdigest()


def _parts(value: Any, depth: int, seen: set[int]) -> Iterator[bytes]:
    """Depth first; objects are looked into once, as some of them hold each other."""
    if value is None or isinstance(value, (bool, int, float, str)):
        yield repr(value).encode()
    elif isinstance(value, Tensor):
        yield f"tensor{tuple(value.shape)}".encode()
        yield _numbers(value)
    elif depth > _DEEPEST or id(value) in seen:
        yield type(value).__name__.encode()
    else:
        if hasattr(value, "__dict__"):
            seen.add(id(value))
        name, inner = _opened(value)
        yield name.encode()
        for part in inner:
            yield from _parts(part, depth + 1, seen)


def _opened(value: Any) -> tuple[str, list[Any]]:
    """What kind of thing it is, and what in it counts."""
    if isinstance(value, Mapping):
        items = sorted(((str(k), v) for k, v in value.items()), key=lambda item: item[0])
        return f"mapping{len(items)}", [part for item in items for part in item]
    if isinstance(value, (list, tuple)):
        return f"list{len(value)}", list(value)
    if isinstance(value, (set, frozenset)):
        return f"set{len(value)}", sorted(map(str, value))
    if isinstance(value, nn.Module):
        bases = [base.__name__ for base in type(value).__mro__]
        return _name(value), [bases, value.state_dict(), *_bound(value)]
    if isinstance(value, type) or not hasattr(value, "__dict__"):
        return str(value), []
    if callable(value):
        return _name(value), _bound(value)
    return _name(value), [dict(vars(value))]


def _name(value: Any) -> str:
    kind = value if hasattr(value, "__qualname__") else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _bound(function: Any) -> list[Any]:
    """Numbers, texts and tensors that a function was made with.

    Not more: what else is bound to it is often the graph's whole state, and changes as it runs.
    """
    own = getattr(function, "__self__", None) if hasattr(function, "__func__") else function
    plain = getattr(function, "__func__", function)
    cells = [_cell(cell) for cell in getattr(plain, "__closure__", None) or ()]
    given = [*cells, *(getattr(plain, "__defaults__", None) or ())]
    if hasattr(own, "__dict__"):
        given += [v for _, v in sorted(vars(own).items())]
    return [v for v in given if isinstance(v, (bool, int, float, str, Tensor))]


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
