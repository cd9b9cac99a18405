"""Every increment against every prompt: the numbers that a certificate is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from .application import token_mask
from .embeddings import EncodedPrompt
from .increment import Increment

__all__ = ["LeakTable", "leak_table"]

_TINY = torch.finfo(torch.float32).tiny
_MAX_BATCH = 16  # prompts: a thousand tokens keep a processor busy
_MAX_ENTRIES = 1 << 24  # of one intermediate result; bases of hundreds of rows take fewer prompts
_USUAL_LENGTH = 77


@dataclass(frozen=True, eq=False)
class LeakTable:
    """What increments do to prompts; each field `[n_increments, n_prompts]`.

    Args:
        linear: max over tokens and layers of ‖ΔW e‖ / ‖W e‖, of the weight change as it stands.
        exact: the same of the exact application, with its dead zone.
        peak: largest ‖e Dᵀ‖ / ‖e‖ of any token, in [0, 1]; 0 for unconstrained increments.
        shown: bool, whether a token lies above the dead zone.
    """

    linear: Tensor
    exact: Tensor
    peak: Tensor
    shown: Tensor


def leak_table(
    increments: Sequence[Increment],
    prompts: Iterable[EncodedPrompt],
    weights: Mapping[str, Tensor],
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> LeakTable:
    """Holds every increment against every prompt, all tokens and layers of it.

    ‖W e‖ is computed once per token, for all increments. With AᵀA = F Fᵀ, ‖A z‖ = ‖Fᵀ z‖: an
    increment costs as many products per token as its rank squared, however wide the layers are.

    Args:
        prompts: of the increments' text encoder; taken one batch after the other.
        weights: W by module path, `[d_out, d_text]`; layers that nobody edits are skipped.
        dtype: in which the model will receive the prompts.
        device: where to compute; one layer at a time is copied there.
    """
    edited = {module for i in increments for module in i.target_modules}
    layers = {k: w.float() for k, w in weights.items() if k in edited}
    probes = [_Probe(i, list(layers), device) for i in increments]
    found = [torch.zeros(4, len(increments), 0)]
    for batch in _batches(prompts, _batch_size(increments, len(layers))):
        rows = [p.embeddings.to(device, torch.float32) for p in batch]
        tokens = _Tokens(pad_sequence(rows, batch_first=True), layers)
        coordinates = tokens.split([p.basis for p in probes])
        looks = [p.look(tokens, z, dtype) for p, z in zip(probes, coordinates, strict=True)]
        found.append(torch.stack(looks, 1).cpu())
    linear, exact, peak, shown = torch.cat(found, 2)
    return LeakTable(linear, exact, peak, shown > 0)


def _batch_size(increments: Sequence[Increment], n_layers: int) -> int:
    widest = max((i.n_basis for i in increments), default=0)
    return min(_MAX_BATCH, 1 + _MAX_ENTRIES // (1 + widest * n_layers * _USUAL_LENGTH))


def _batches(prompts: Iterable[EncodedPrompt], size: int) -> Iterator[list[EncodedPrompt]]:
    remaining = iter(prompts)
    while batch := list(islice(remaining, size)):
        yield batch


class _Tokens:
    """A batch of prompts with what all increments need to know of it.

    Args:
        e: `[n_prompts, n_tokens, d_text]`, shorter prompts filled up with zeros.
    """

    def __init__(self, e: Tensor, layers: Mapping[str, Tensor]) -> None:
        self.e, self.length = e, e.norm(dim=-1)
        squares = [(e @ w.to(e.device).T).square().sum(-1) for w in layers.values()]
        self.per_output = 1 / torch.stack(squares, -1).clamp_min(_TINY)  # [..., n_layers]

    def split(self, bases: Sequence[Tensor]) -> Sequence[Tensor]:
        """Coordinates in each basis, `[..., n_basis]`, from one product."""
        filled = [b for b in bases if len(b)]
        z = self.e @ torch.cat(filled).T if filled else self.e[..., :0]
        return z.split([len(b) for b in bases], -1)


class _Probe:
    """One increment, ready to be held against tokens."""

    def __init__(
        self, increment: Increment, modules: Sequence[str], device: torch.device | str
    ) -> None:
        self._increment, self._modules = increment, modules
        self.basis = increment.basis.to(device, torch.float32)
        factors = _factors([increment.coef.get(m) for m in modules], increment.n_basis)
        # `[rank, rank * n_layers]`, layers last: sums over the rank then run over whole vectors.
        self._factors = factors.permute(1, 2, 0).flatten(1).to(device)

    def look(self, tokens: _Tokens, z: Tensor, dtype: torch.dtype) -> Tensor:
        """Linear and exact leak, peak, and whether it is shown, `[4, n_prompts]`."""
        separable, component = self._increment.separable, z.norm(dim=-1)
        moved = self._moved(z) if separable else self._moved_by_full(tokens.e)
        mask = component == 0  # an unconstrained increment acts on every token
        if separable:
            mask = token_mask(component, tokens.length, self._increment, dtype)
        ratio = (moved * tokens.per_output).amax(-1).sqrt()
        peak = component / tokens.length.clamp_min(_TINY)
        return torch.stack([v.amax(-1) for v in (ratio, ratio * mask, peak, mask.float())])

    def _moved(self, z: Tensor) -> Tensor:
        """‖ΔW e‖² of each layer, `[..., n_layers]`."""
        return (z @ self._factors).unflatten(-1, (z.shape[-1], -1)).square().sum(-2)

    def _moved_by_full(self, e: Tensor) -> Tensor:
        full = [self._increment.full.get(m, torch.zeros(1, e.shape[-1])) for m in self._modules]
        return torch.stack([(e @ f.to(e).T).square().sum(-1) for f in full], -1)


def _factors(coefs: Sequence[Tensor | None], rank: int) -> Tensor:
    """F with AᵀA = F Fᵀ of each layer, `[n_layers, rank, rank]`; zeros where nothing is edited."""
    gram = torch.zeros(len(coefs), rank, rank, dtype=torch.float64)
    for square, coef in zip(gram, coefs, strict=True):
        if coef is not None:
            a = coef.to("cpu", torch.float64)
            square.copy_(a.T @ a)
    values, vectors = torch.linalg.eigh(gram)
    return (vectors * values.clamp_min(0).sqrt()[:, None]).float()
