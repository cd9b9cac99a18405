"""Leak: how far an increment moves what it must not move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .application import token_mask
from .embeddings import EncodedPrompt
from .increment import Increment

__all__ = ["Leak", "measure_leak", "measure_leaks"]


_TINY = torch.finfo(torch.float32).tiny
# Tokens of a prompt that are looked at: those that reach furthest into the basis. All of them would
# cost a pass through every layer per prompt, minutes for a large model, and add nothing.
_N_FURTHEST = 4
_MOST = 600  # tokens in all, before a single one of each prompt is looked at


@dataclass(frozen=True)
class Leak:
    """max over tokens and layers of ‖ΔW e‖ / ‖W e‖.

    Args:
        linear: of the weight change as it stands: what merging and LoRA export give.
        exact: of the exact application with its dead zone.
        prompt: where the linear leak is largest.
    """

    linear: float
    exact: float
    prompt: str


def measure_leak(
    increment: Increment,
    prompts: Sequence[EncodedPrompt],
    weights: Mapping[str, Tensor],
    dtype: torch.dtype = torch.float32,
) -> Leak:
    """The leak of one increment on prompts that it must leave alone.

    Args:
        prompts: of the same encoder as the increment.
        weights: W by module path, `[d_out, d_text]`.
        dtype: in which the model will receive the prompts.
    """
    return measure_leaks([increment], [prompts], weights, dtype)[0]


def measure_leaks(
    increments: Sequence[Increment],
    prompts: Sequence[Sequence[EncodedPrompt]],
    weights: Mapping[str, Tensor],
    dtype: torch.dtype = torch.float32,
) -> list[Leak]:
    """The leaks of many increments, each on prompts of its own; every weight is read once."""
    n_tokens = min(_N_FURTHEST, max(1, _MOST // max(sum(map(len, prompts)), 1)))
    looks = [_Look(i, p, dtype, n_tokens) for i, p in zip(increments, prompts, strict=True)]
    tokens = torch.cat([look.tokens for look in looks])
    unique, places = torch.unique(tokens, dim=0, return_inverse=True)
    shares = places.split([len(look.tokens) for look in looks])
    sizes = {m: _lengths(unique @ w.to("cpu", torch.float32).T) for m, w in weights.items()}
    return [
        look.found({module: size[share] for module, size in sizes.items()})
        for look, share in zip(looks, shares, strict=True)
    ]


def _lengths(rows: Tensor) -> Tensor:
    """Of every row; overwrites them. A multiple faster than the library's norm on long rows."""
    return rows.square_().sum(1).sqrt_()


class _Look:
    """One increment and the tokens that reach furthest into it."""

    def __init__(
        self,
        increment: Increment,
        prompts: Sequence[EncodedPrompt],
        dtype: torch.dtype,
        n_tokens: int,
    ) -> None:
        self._increment, self._prompts = increment, prompts
        parts = [self._furthest(p, dtype, n_tokens) for p in prompts]
        width = increment.basis.shape[1]
        self.tokens = torch.cat([e for e, _ in parts]) if parts else torch.zeros(0, width)
        self._acted_on = torch.cat([m for _, m in parts]) if parts else torch.zeros(0)
        self._owner = [i for i, (e, _) in enumerate(parts) for _ in range(len(e))]
        # What protected tokens have there is all but zero: single precision would measure itself.
        self._z = (self.tokens.double() @ increment.basis.double().T).float()

    def _furthest(
        self, prompt: EncodedPrompt, dtype: torch.dtype, n_tokens: int
    ) -> tuple[Tensor, Tensor]:
        e = prompt.embeddings.to("cpu", torch.float32)
        component, length = (e @ self._increment.basis.float().T).norm(dim=1), e.norm(dim=1)
        mask = token_mask(component, length, self._increment, dtype)
        far = (component / length.clamp_min(_TINY)).topk(min(n_tokens, len(e))).indices
        return e[far], mask[far]

    def found(self, sizes: Mapping[str, Tensor]) -> Leak:
        """The leak, given the size of every layer's output for each token."""
        coefs = [self._increment.coef[m].float() for m in sizes if m in self._increment.coef]
        if not len(self.tokens) or not coefs:
            return Leak(0.0, 0.0, "")
        squares = (torch.cat(coefs) @ self._z.T).square_()
        parts = squares.split([len(coef) for coef in coefs])
        moved = torch.stack([part.sum(0) for part in parts]).sqrt()
        size = torch.stack([s for m, s in sizes.items() if m in self._increment.coef])
        worst = (moved / size.clamp_min(_TINY)).amax(0)
        at = int(worst.argmax())
        return Leak(
            _three_digits(float(worst[at])),
            _three_digits(float((worst * self._acted_on).max())),
            self._prompts[self._owner[at]].text,
        )


def _three_digits(value: float) -> float:
    """What is measured of many together has other last bits than measured alone."""
    return float(f"{value:.3g}")
