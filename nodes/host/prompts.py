"""The host's text encoder: prompts in batches, checked and rounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import comfy.model_management
import torch

from ...sepme_core.embeddings import EncodedPrompt
from ...sepme_core.errors import IncompatibleError, NonFiniteError

__all__ = [
    "encode_prompts",
]

_BATCH = 16  # prompts per pass of the text encoder


def encode_prompts(clip: Any, dtype: torch.dtype, d_text: int | None) -> PromptEncoder:
    """A text encoder for the core: batched, cached, rounded as the model will see the prompts.

    Args:
        dtype: what the diffusion model computes in.
        d_text: text width that the model expects; None where no model is concerned.
    Raises (when called):
        IncompatibleError: the encoder gives another width.
    """
    return PromptEncoder(clip, dtype, d_text)


class PromptEncoder:
    """See `encode_prompts`."""

    def __init__(self, clip: Any, dtype: torch.dtype, d_text: int | None) -> None:
        self._clip, self._dtype, self._d_text = clip, dtype, d_text
        self._known: dict[str, EncodedPrompt] = {}

    def __call__(self, prompts: Sequence[str]) -> list[EncodedPrompt]:
        """Encodes what is not known yet, and keeps it."""
        missing = [p for p in dict.fromkeys(prompts) if p not in self._known]
        self._known.update(zip(missing, self.once(missing), strict=True))
        return [self._known[p] for p in prompts]

    def once(self, prompts: Sequence[str]) -> list[EncodedPrompt]:
        """Encodes without keeping anything, for long lists."""
        encoded: list[EncodedPrompt] = []
        for start in range(0, len(prompts), _BATCH):
            comfy.model_management.throw_exception_if_processing_interrupted()
            encoded += _encode_batch(self._clip, prompts[start : start + _BATCH], self._dtype)
            for prompt in encoded[start:]:
                _check_width(prompt, self._d_text)
                _check_finite(prompt)
        return encoded


def _encode_batch(clip: Any, prompts: Sequence[str], dtype: torch.dtype) -> list[EncodedPrompt]:
    """The host encodes the sections of a long prompt as a batch; short prompts can be sections."""
    tokens = [clip.tokenize(p, return_word_ids=True) for p in prompts]
    sections = [{len(t) for t in tok.values()} for tok in tokens]
    lengths = {tuple(len(t[0]) for t in tok.values()) for tok in tokens}
    if len(prompts) > 1 and (any(s != {1} for s in sections) or len(lengths) > 1):
        return [p for prompt in prompts for p in _encode_batch(clip, [prompt], dtype)]
    joined = {
        key: [[t[:2] for t in section] for tok in tokens for section in tok[key]]
        for key in tokens[0]
    }
    with torch.no_grad():
        rows = clip.encode_from_tokens(joined)[0].detach().to("cpu", torch.float32)
    rows = rows.to(dtype).float().clone()
    return [
        EncodedPrompt(text, part, _n_words(tok, len(part)))
        for text, part, tok in zip(prompts, rows.chunk(len(prompts)), tokens, strict=True)
    ]


def _n_words(tokens: Mapping[str, list[list[tuple]]], n_tokens: int) -> int:
    """Tokens up to the end mark, which follows the last word; marks and padding have word id 0."""
    ids = [token[2] for section in next(iter(tokens.values())) for token in section]
    last = max((place for place, word in enumerate(ids) if word), default=0)
    return min(last + 2, n_tokens)


def _check_width(prompt: EncodedPrompt, d_text: int | None) -> None:
    if d_text is not None and prompt.embeddings.shape[-1] != d_text:
        raise IncompatibleError(
            f"The CLIP gives embeddings {prompt.embeddings.shape[-1]} wide, the model expects "
            f"{d_text}: they belong to different families. Connect the CLIP that comes with this "
            "model's checkpoint."
        )


def _check_finite(prompt: EncodedPrompt) -> None:
    if not bool(torch.isfinite(prompt.embeddings).all()):
        raise NonFiniteError(
            f"The CLIP gives NaN or infinity for {prompt.text!r}. Check the checkpoint, or run the "
            "text encoder in another precision."
        )
