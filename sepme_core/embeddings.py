"""Prompts as the rows a model's text-only layers receive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["EncodedPrompt", "TextEncoder", "relative_component", "stack_rows", "unit_rows"]


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
    seen: dict[bytes, Tensor] = {}
    for prompt in prompts:
        rows = unit_rows(prompt.embeddings)
        keys = (rows * 1e5).round().to(torch.int32).numpy()
        for key, row in zip(keys, rows * prompt.weights()[:, None], strict=True):
            seen.setdefault(key.tobytes(), row)
    return torch.stack(list(seen.values()))


def relative_component(embeddings: Tensor, basis: Tensor) -> Tensor:
    """Share of each token that lies in a basis, ‖e Dᵀ‖ / ‖e‖, `[n_tokens]` in [0, 1]."""
    return (unit_rows(embeddings) @ basis.to("cpu", torch.float64).T).norm(dim=-1)
