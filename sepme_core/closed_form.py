"""Closed form: each concept token becomes its anchor's token, by one small linear solve.

No denoiser is called. With z = D e the coordinates of a concept token and a the token it shall
become, the coefficients minimise Σ w² ‖A z - W (a - e)‖² + ridge ‖A‖². The solution is A = W M
with a single M for all layers, since only W differs between them. Least squares shrinks towards the
phrasings it has seen, so the shift is pushed a little further.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .embeddings import EncodedPrompt

__all__ = ["AnchoredPrompt", "align_anchor", "closed_form_coefs", "token_map"]

# Products are taken in blocks of one shape, whatever the number of concepts: the bits of an
# increment must not depend on what else is erased.
_COLUMNS = 64


@dataclass(frozen=True, eq=False)
class AnchoredPrompt:
    """A concept's prompt beside the prompt it shall look like."""

    concept: EncodedPrompt
    anchor: EncodedPrompt

    def shift(self, tokens: Tensor | None = None) -> Tensor:
        """What tokens have to move by, a - e, `[n_tokens, d_text]` float64; all of them if None."""
        places = align_anchor(self.concept, self.anchor)
        own = self.concept.embeddings if tokens is None else self.concept.embeddings[tokens]
        target = self.anchor.embeddings[places if tokens is None else places[tokens]]
        return target.to("cpu", torch.float64) - own.to("cpu", torch.float64)


def align_anchor(concept: EncodedPrompt, anchor: EncodedPrompt) -> Tensor:
    """Which of the anchor's tokens each token of the concept's prompt shall become, `[n_tokens]`.

    What both prompts begin with stays in place, what follows the name is counted from the end, and
    the name itself falls onto the end of the anchor's name; onto the first word after it where the
    anchor is empty.
    """
    longer = concept.n_words - anchor.n_words
    places = torch.arange(len(concept.embeddings))
    common = _n_common(concept, anchor)
    moved = (places - longer).clamp(min=common, max=len(anchor.embeddings) - 1)
    return torch.where(places < common, places, moved)


def _n_common(concept: EncodedPrompt, anchor: EncodedPrompt) -> int:
    """Tokens at the start that a causal encoder embeds alike; the start mark at the least."""
    n = min(concept.n_words, anchor.n_words)
    ours, theirs = concept.embeddings[:n], anchor.embeddings[:n]
    same = (ours - theirs).norm(dim=-1) <= 1e-3 * theirs.norm(dim=-1)
    return max(1, int(same.to(torch.int64).cumprod(0).sum()))


def token_map(
    prompts: Sequence[AnchoredPrompt],
    basis: Tensor,
    threshold: float,
    ridge: float,
    push: float = 1.0,
) -> Tensor:
    """M, the linear map from concept coordinates to the wanted shift, `[d_text, n_basis]` float64.

    Args:
        prompts: the concept's prompts with their anchors.
        basis: D, `[n_basis, d_text]` float64 orthonormal rows.
        threshold: tokens whose relative component is below it do not take part.
        ridge: in units of the mean squared coordinate, > 0. Larger moves less.
        push: factor on the shift; 1 lands on the anchor for the phrasings given.
    """
    chosen = [p.concept.sample() for p in prompts]
    pairs = list(zip(prompts, (tokens for tokens, _ in chosen), strict=True))
    rows = torch.cat([p.concept.embeddings[t].to("cpu", torch.float64) for p, t in pairs])
    shifts = torch.cat([p.shift(t) for p, t in pairs])
    weights = torch.cat([weights for _, weights in chosen])
    z = rows @ basis.T
    weights = weights * (z.norm(dim=-1) > threshold * rows.norm(dim=-1))
    z, shifts = z * weights[:, None], shifts * weights[:, None]
    gram = z.T @ z
    gram.diagonal().add_(ridge * gram.diagonal().mean())
    return push * torch.linalg.solve(gram, z.T @ shifts).T


def closed_form_coefs(
    shift_maps: Sequence[Tensor], weights: Mapping[str, Tensor]
) -> list[dict[str, Tensor]]:
    """A = W M for every concept and layer, `[d_out, n_basis]` float32; each W is read once.

    Args:
        shift_maps: M of `token_map`, one per concept.
        weights: W by module path, `[d_out, d_text]`, any dtype.
    """
    sizes = [shift_map.shape[1] for shift_map in shift_maps]
    joined = torch.cat(list(shift_maps), dim=1).float()
    padded = nn.functional.pad(joined, (0, -sum(sizes) % _COLUMNS))
    blocks = [block.contiguous() for block in padded.split(_COLUMNS, dim=1)]
    found: list[dict[str, Tensor]] = [{} for _ in shift_maps]
    for module, weight in weights.items():
        w = weight.to("cpu", torch.float32)
        products = torch.cat([w @ block for block in blocks], dim=1)
        for coef, part in zip(found, products[:, : sum(sizes)].split(sizes, dim=1), strict=True):
            coef[module] = part.contiguous()
    return found
