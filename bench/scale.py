"""How long the closed form takes, by number of concepts: layers and embeddings of real size.

`python -m bench.scale`. Weights and embeddings are random, shaped like those of SD1.5 and SDXL:
every word has a vector of its own, later places carry a bag of the words before, padding included.
Text encoding is not part of the time. The prompts are the bare names and five templates; one
template for the thousand.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from launch import cache as folders
from sepme_core.concepts import DEFAULT_TEMPLATES, Concept, ConceptSet
from sepme_core.config import EraseConfig
from sepme_core.embeddings import EncodedPrompt
from sepme_core.erase import Erasure, erase

__all__ = ["RandomEncoder", "measure"]

N_TOKENS = 77
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


def measure(n: int, d_text: int, widths: Sequence[int], templates: Sequence[str]) -> dict:
    """Seconds and capacity for n concepts known together and erased together."""
    names = [f"thing{i} kind{i} make{i} sort{i}" for i in range(n)]  # four words: four directions
    concepts = ConceptSet(tuple(map(Concept, names)), tuple(templates), (), ("watermark",))
    encode = RandomEncoder(d_text)
    for concept in concepts.concepts:
        encode(concepts.protected_from(concept))
        encode([p.anchored for p in concepts.prompts_of(concept)])
    weights = {f"layer {i}": torch.randn(w, d_text) / d_text**0.5 for i, w in enumerate(widths)}
    config = EraseConfig()
    started, cpu = time.perf_counter(), time.process_time()
    erasures = erase(concepts, concepts.concepts, encode, weights, config)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return {"seconds": round(seconds, 3), "cpu_seconds": round(cpu, 3)} | _told(erasures)


def _told(erasures: Sequence[Erasure]) -> dict:
    plans = [e.plan for e in erasures if e.plan]
    leaks = [e.leak for e in erasures if e.leak]
    return {
        "ranks": [min(len(p.basis) for p in plans), max(len(p.basis) for p in plans)],
        "used": max(p.capacity.used for p in plans),
        "width": plans[0].capacity.width,
        "truncated": round(plans[0].capacity.truncated, 3),
        "surviving": [round(f(p.surviving for p in plans), 4) for f in (min, max)],
        "smallest_margin": round(min(p.dead_zone.margin for p in plans), 3),
        "leak_exact": max(leak.exact for leak in leaks),
        "leak_linear": max(leak.linear for leak in leaks),
    }


def main() -> None:
    """Measures every size, prints it, writes one JSON file."""
    torch.set_num_threads(2)
    found = {}
    for n in (1, 10, 100):
        found[f"SD1.5, {n}"] = measure(n, 768, SD1, DEFAULT_TEMPLATES)
        print(n, found[f"SD1.5, {n}"], flush=True)
    found["SDXL, 1000"] = measure(1000, 2048, SDXL, DEFAULT_TEMPLATES[:1])
    print(1000, found["SDXL, 1000"], flush=True)
    path: Path = folders.folder("bench") / "scale.json"
    path.write_text(json.dumps(found, indent=1))
    print(path)


if __name__ == "__main__":
    main()
