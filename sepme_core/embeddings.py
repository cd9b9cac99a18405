"""Prompts as the rows a model's text-only layers receive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "RESOLUTION",
    "EncodedPrompt",
    "TextEncoder",
    "peak_components",
    "relative_component",
    "sampled_rows",
    "stack_rows",
    "unit_rows",
]

RESOLUTION = 1e-6
"""Components that float32 cannot tell from nothing."""
_AT_ONCE = 64  # prompts whose components are looked at together


@dataclass(frozen=True, eq=False)
class EncodedPrompt:
    """One prompt after the text encoder.

    Args:
        text: the prompt.
        embeddings: `[n_tokens, d_text]` float, rounded as the model will receive them.
        n_words: leading tokens up to and including the end mark; the others are padding.
    """

    text: str
    embeddings: Tensor
    n_words: int

    def weights(self) -> Tensor:
        """`[n_tokens]` float64: one per word token; all padding together counts as one token.

        Padding is most of a short prompt. Unweighted it would decide which directions matter,
        and single words would drown.
        """
        n_padding = len(self.embeddings) - self.n_words
        weights = torch.ones(len(self.embeddings), dtype=torch.float64)
        weights[self.n_words :] = 1 / max(n_padding, 1) ** 0.5
        return weights

    def sample(self) -> tuple[Tensor, Tensor]:
        """Which tokens stand for the whole prompt, `[n]`, and their weights, `[n]` float64.

        All word tokens, and the padding at places 1, 2, 4, 8, … behind them: it changes slowly,
        and tens of nearly equal rows would make every decomposition slow for nothing.
        """
        n_padding = len(self.embeddings) - self.n_words
        places = [2**i - 1 for i in range(n_padding.bit_length())]
        weights = torch.ones(self.n_words + len(places), dtype=torch.float64)
        weights[self.n_words :] = 1 / max(len(places), 1) ** 0.5
        return torch.tensor([*range(self.n_words), *(self.n_words + p for p in places)]), weights


TextEncoder = Callable[[Sequence[str]], list[EncodedPrompt]]


def unit_rows(embeddings: Tensor) -> Tensor:
    """`[n, d_text]` float64 rows of length one, so that components are relative."""
    rows = embeddings.to("cpu", torch.float64)
    return rows / rows.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)


def stack_rows(prompts: Sequence[EncodedPrompt]) -> Tensor:
    """Weighted unit rows of many prompts, each distinct row once, `[n_rows, d_text]` float64.

    The start mark, and in causal encoders every common beginning, has the same embedding in every
    prompt: it is a single constraint and counts once.
    """
    return _distinct([p.embeddings for p in prompts], [p.weights() for p in prompts])


def sampled_rows(prompts: Sequence[EncodedPrompt]) -> Tensor:
    """The same of the tokens that stand for each prompt, `[n_rows, d_text]` float64."""
    chosen = [p.sample() for p in prompts]
    parts = [p.embeddings[which] for p, (which, _) in zip(prompts, chosen, strict=True)]
    return _distinct(parts, [weights for _, weights in chosen])


def _distinct(embeddings: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    rows = unit_rows(torch.cat(list(embeddings)))
    keys = (rows * 1e5).round().to(torch.int32).numpy()
    first: dict[bytes, int] = {}
    for place, key in enumerate(keys):
        first.setdefault(key.tobytes(), place)
    kept = torch.tensor(list(first.values()))
    return rows[kept] * torch.cat(list(weights))[kept, None]


def peak_components(prompts: Sequence[EncodedPrompt], bases: Sequence[Tensor]) -> Tensor:
    """How far each prompt's strongest token reaches into each basis, `[n_prompts, n_bases]`.

    Args:
        bases: `[n_basis, d_text]` orthonormal rows each.
    Returns:
        components in [0, 1]; `RESOLUTION` at the least.
    """
    rows = torch.cat(list(bases)).to("cpu", torch.float32)
    owner = torch.repeat_interleave(torch.tensor([len(basis) for basis in bases]))
    tiny = torch.finfo(torch.float32).tiny
    found: list[Tensor] = []
    for start in range(0, len(prompts), _AT_ONCE):
        part = [p.embeddings.to("cpu", torch.float32) for p in prompts[start : start + _AT_ONCE]]
        e = torch.cat(part)
        squares = (rows @ e.T).square_()
        shares = torch.zeros(len(bases), len(e)).index_add_(0, owner, squares)
        shares /= e.square().sum(1).clamp_min(tiny)
        found += [s.amax(1) for s in shares.split([len(p) for p in part], dim=1)]
    return torch.stack(found).sqrt().double().clamp_min(RESOLUTION)


def relative_component(embeddings: Tensor, basis: Tensor) -> Tensor:
    """Share of each token that lies in a basis, ‖e Dᵀ‖ / ‖e‖, `[n_tokens]` in [0, 1]."""
    return (unit_rows(embeddings) @ basis.to("cpu", torch.float64).T).norm(dim=-1)
