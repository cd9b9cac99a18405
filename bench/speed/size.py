"""Bytes of an increment file at the default settings, on the layers of SD1.5 and SDXL.

Embeddings and weights are random; the rank is the default's largest, which a concept with several
phrasings reaches. Size depends on nothing else but the text in the metadata.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

from bench.speed.scale import SD1, SDXL, RandomEncoder
from sepme_core.concepts import DEFAULT_TEMPLATES, Concept, ConceptSet
from sepme_core.config import EraseConfig
from sepme_core.erase import erase
from sepme_core.increment_file import write_increment

__all__ = ["measure"]

LIMIT_MB = {"SD1.5": 1, "SDXL": 4}
# As real paths are: they are part of the file.
PATH = "output_blocks.{}.1.transformer_blocks.{}.attn2.to_k"


def measure(quick: bool) -> dict[str, Any]:
    """By model: bytes, rank, number of layers. Quick or not, it takes seconds."""
    return {
        "SD1.5": _size(768, SD1, LIMIT_MB["SD1.5"]),
        "SDXL": _size(2048, SDXL, LIMIT_MB["SDXL"]),
    }


def _size(d_text: int, widths: list[int], limit_mb: int) -> dict[str, Any]:
    names = ("cat with long grey whiskers", "dog", "rose", "car")  # five words: rank at its bound
    concepts = ConceptSet(tuple(map(Concept, names)), DEFAULT_TEMPLATES, (), ("watermark",))
    layers = {PATH.format(i // 10, i % 10): w for i, w in enumerate(widths)}
    weights = {path: torch.randn(w, d_text) / d_text**0.5 for path, w in layers.items()}
    chosen = concepts.choose([names[0]])
    (erasure,) = erase(concepts, chosen, RandomEncoder(d_text), weights, EraseConfig())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "increment.safetensors"
        write_increment(erasure.increment, path)
        n_bytes = path.stat().st_size
    return {
        "bytes": n_bytes,
        "limit_bytes": limit_mb * 1_000_000,
        "rank": erasure.increment.n_basis,
        "layers": len(layers),
    }
