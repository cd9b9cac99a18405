"""How long the closed form takes, by number of concepts: layers and embeddings of real size.

Weights and embeddings are random, shaped like those of SD1.5 and SDXL:
every word has a vector of its own, later places carry a bag of the words before, padding included.
Text encoding is not part of the time. The prompts are the bare names and five templates; one
template for the thousand.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from bench.speed.timing import slope
from sepme_core.concepts import DEFAULT_TEMPLATES, Concept, ConceptSet
from sepme_core.config import BasisConfig, EraseConfig
from sepme_core.embeddings import EncodedPrompt
from sepme_core.erase import Erasure, erase

__all__ = ["SD1", "SDXL", "RandomEncoder", "measure"]

N_TOKENS = 77
SD1_COUNTS = (1, 10, 30, 100)
SD1 = [320] * 10 + [640] * 10 + [1280] * 12
SDXL = [640] * 20 + [1280] * 120


class RandomEncoder:
    """CLIP-like embeddings without a network, each prompt made once."""

    def __init__(self, d_text: int) -> None:
        self.d_text = d_text
        self._known: dict[str, EncodedPrompt] = {}
        self._places = torch.stack([0.3 * self._vector(f"place {i}") for i in range(N_TOKENS)])

    @cache  # noqa: B019  (lives as long as the encoder)
    def _vector(self, word: str) -> Tensor:
        generator = torch.Generator().manual_seed(zlib.crc32(word.encode()))
        return torch.randn(self.d_text, generator=generator)

    def __call__(self, prompts: Sequence[str]) -> list[EncodedPrompt]:
        """See `sepme_core.embeddings.TextEncoder`."""
        for prompt in prompts:
            if prompt not in self._known:
                self._known[prompt] = self._encode(prompt)
        return [self._known[prompt] for prompt in prompts]

    def _encode(self, prompt: str) -> EncodedPrompt:
        rows, bag = [3 * self._vector("<start>")], torch.zeros(self.d_text)
        for word in prompt.split():
            rows.append(self._vector(word) + 0.3 * bag)
            bag = bag + 0.5 * self._vector(word)
        rows.append(self._vector("<end>") + 0.5 * bag)
        n_words = len(rows)
        rows += [self._vector("<pad>") + 0.5 * bag] * (N_TOKENS - n_words)
        return EncodedPrompt(prompt, torch.stack(rows) + self._places, n_words)


def _erased(
    n: int, d_text: int, widths: Sequence[int], templates: Sequence[str], capacity: float = 0.5
) -> dict[str, Any]:
    """Seconds and capacity for n concepts known together and erased together."""
    names = [f"thing{i} kind{i} make{i} sort{i}" for i in range(n)]  # four words: four directions
    concepts = ConceptSet(tuple(map(Concept, names)), tuple(templates), (), ("watermark",))
    encode = RandomEncoder(d_text)
    for concept in concepts.concepts:
        encode(concepts.protected_from(concept))
        encode([p.anchored for p in concepts.prompts_of(concept)])
    draw = torch.Generator().manual_seed(0)
    sizes = {f"layer {i}": (width, d_text) for i, width in enumerate(widths)}
    weights = {k: torch.randn(size, generator=draw) / d_text**0.5 for k, size in sizes.items()}
    config = EraseConfig(basis=BasisConfig(capacity=capacity))
    started, cpu = time.perf_counter(), time.process_time()
    erasures = erase(concepts, concepts.concepts, encode, weights, config)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return {"seconds": round(seconds, 3), "cpu_seconds": round(cpu, 3)} | _told(erasures)


def _told(erasures: Sequence[Erasure]) -> dict:
    plans = [e.plan for e in erasures if e.plan]
    found = [p.directions for p in plans]
    leaks = [e.leak for e in erasures if e.leak]
    return {
        "ranks": [min(len(p.basis) for p in plans), max(len(p.basis) for p in plans)],
        "used": max(d.capacity.used for d in found),
        "width": found[0].capacity.width,
        "truncated": round(found[0].capacity.truncated, 3),
        "surviving": [round(f(d.surviving for d in found), 4) for f in (min, max)],
        "smallest_margin": round(min(p.dead_zone.margin for p in plans), 3),
        "leak_exact": max(leak.exact for leak in leaks),
        "leak_linear": max(leak.linear for leak in leaks),
    }


def measure(quick: bool) -> dict[str, Any]:
    """Every size; the thousand on SDXL's layers only when there is time."""
    torch.set_num_threads(2)
    found: dict[str, Any] = {}
    _erased(1, 768, SD1, DEFAULT_TEMPLATES)  # what is loaded on first use is not counted
    for n in SD1_COUNTS:
        found[f"SD1.5, {n}"] = _erased(n, 768, SD1, DEFAULT_TEMPLATES)
    found["growth"] = _growth(found)
    found["SD1.5, 100, capacity 0.6"] = _erased(100, 768, SD1, DEFAULT_TEMPLATES, capacity=0.6)
    if not quick:
        found["SDXL, 1000"] = _erased(1000, 2048, SDXL, DEFAULT_TEMPLATES[:1])
    return found


def _growth(found: dict[str, dict]) -> dict[str, float]:
    """Exponents in the number of concepts, whole and from ten on, where fixed costs are over."""
    times = [found[f"SD1.5, {n}"]["cpu_seconds"] for n in SD1_COUNTS]
    return {"all": slope(SD1_COUNTS, times), "from 10 on": slope(SD1_COUNTS[1:], times[1:])}
