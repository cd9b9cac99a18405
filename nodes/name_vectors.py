"""Vectors of names in a text encoder, kept in memory and in `models/sepme/cache`."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from ..sepme_core.errors import IncrementFileError
from ..sepme_core.neighbours import PHRASE, name_vectors, things
from ..sepme_core.safetensors_file import from_safetensors, to_safetensors
from . import cache, files, host

__all__ = ["NameVectors"]

log = logging.getLogger(__name__)

_MOST_ENCODERS = 2  # 4 MB each on SD1
_IN_MEMORY: OrderedDict[str, dict[str, Tensor]] = OrderedDict()
"""Vectors of names by text encoder."""


class NameVectors:
    """Names -> one vector each, `[n, d_text]` float32; what is known is not encoded again."""

    def __init__(self, clip: Any) -> None:
        fingerprint = host.text_encoder_fingerprint(clip)
        self._path = files.cache_folder() / f"names-{_key(fingerprint)}.safetensors"
        self._kept = _IN_MEMORY.pop(fingerprint, None) or _read(self._path)
        _IN_MEMORY[fingerprint] = self._kept
        while len(_IN_MEMORY) > _MOST_ENCODERS:
            _IN_MEMORY.popitem(last=False)
        self._encode = host.encode_prompts(clip, torch.float32, None)

    def __call__(self, names: Sequence[str]) -> Tensor:
        """See `name_vectors`; cancelling keeps in memory what is there."""
        n_listed = len(self._listed())
        found = name_vectors(names, self._encode, self._kept, host.NodeProgress())
        if len(self._listed()) > n_listed:
            self._write()
        return found

    def _listed(self) -> list[str]:
        """What is known of the pack's own list; names that people type are not written down."""
        return [thing.name for thing in things() if thing.name in self._kept]

    def _write(self) -> None:
        listed = self._listed()
        rows = torch.stack([self._kept[name] for name in listed])
        try:
            cache.write(self._path, to_safetensors({"rows": rows}, {"names": json.dumps(listed)}))
        except IncrementFileError as error:
            log.warning("SepME: the names are encoded again after a restart: %s", error)


def _key(fingerprint: str) -> str:
    return hashlib.sha256(f"{fingerprint} {PHRASE}".encode()).hexdigest()[:32]


def _read(path: Path) -> dict[str, Tensor]:
    """Nothing where there is nothing, or nothing that can be used."""
    try:
        tensors, told = from_safetensors(path.read_bytes())
        rows, names = tensors["rows"], json.loads(told["names"])
        if bool(torch.isfinite(rows).all()):
            cache.used(path)
            return dict(zip(names, rows, strict=True))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        pass
    return {}
