"""UCE: one least-squares problem per layer, with terms for what is erased and what is kept.

Gandikota et al. 2023, arXiv:2308.14761, Eq. 7. As in the authors' `train_erase.py`, the tokens
from the name's last one to the end become those of the anchor, and all tokens of what is preserved
stay. The published code takes the name's last token to be the prompt's; in "{} in the garden" it
is not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.peers import Fitted, Peer
from bench.peers.prompts import anchor_rows, kept_names, phrasings
from bench.studio import Studio
from bench.tasks import State, Task

__all__ = ["PEER", "solve"]

ERASE = 1.0  # published: 1
PRESERVE = 0.1  # published: 0.1; 1 keeps no more of them
LAMBDA = 50.0  # published: 0.5, which takes half of the unlisted objects along


def solve(concept: Tensor, anchor: Tensor, kept: Tensor) -> Tensor:
    """T with ΔW = W T for every layer, `[d_text, d_text]`.

    The minimiser of
    ERASE Σ|W' c - W a|² + PRESERVE Σ|W' k - W k|² + LAMBDA |W' - W|² is
    W' = W (ERASE Σ a cᵀ + PRESERVE Σ k kᵀ + LAMBDA I) M⁻¹
    with M = ERASE Σ c cᵀ + PRESERVE Σ k kᵀ + LAMBDA I, so T = ERASE Σ (a - c) cᵀ M⁻¹.

    Args:
        concept, anchor: rows c and what they become, `[n, d_text]` float64.
        kept: rows k, `[m, d_text]` float64.
    Source: Eq. 7, with the authors' scales.
    """
    identity = torch.eye(concept.shape[1], dtype=concept.dtype)
    m = ERASE * concept.T @ concept + PRESERVE * kept.T @ kept + LAMBDA * identity
    return torch.linalg.solve(m, ERASE * concept.T @ (anchor - concept)).T


def _fit(studio: Studio, task: Task) -> Fitted:
    def without(erased: State) -> Any:
        pairs = [anchor_rows(studio, p) for name in sorted(erased) for p in phrasings(task, name)]
        concept, anchor = (torch.cat(rows) for rows in zip(*pairs, strict=True))
        kept = [p.text for name in kept_names(task, erased) for p in phrasings(task, name)]
        rows = torch.cat([p.embeddings for p in studio.encode(["", "watermark", *kept])])
        t = solve(concept, anchor, rows.double()).float()
        return studio.changed({k: w @ t for k, w in studio.weights.items()})

    return without


PEER = Peer("UCE", "arXiv:2308.14761 Eq. 7, recomputed for each set", _fit)
