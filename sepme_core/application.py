"""Exact application: the low-rank branch is added to a layer's output, no weight is touched.

Adding ΔW to half-precision weights rounds, so even protected prompts would move. Adding
`(e Dᵀ) Aᵀ` to the output, with every token below the dead zone left out, changes nothing at all
for them: `torch.equal`, not `allclose`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .errors import IncompatibleError
from .increment import Increment, Stack, StackEntry

__all__ = ["Branch", "StackBranch", "attached", "check_fits", "noise_floor", "token_mask"]

Branch = Callable[[str, Tensor], "Tensor | None"]
"""Gives what to add to the output of a layer: (module path, layer input) -> addend or None."""

_N_KEPT = 2  # batches: short of memory, the host sends prompt and negative prompt apart
_ROOM = 128 * 2**20  # bytes of sums at most; prompt and negative take 15 MB on SD1, 102 on SDXL


@contextmanager
def attached(layers: Mapping[str, nn.Module], branch: Branch) -> Generator[None]:
    """Adds `branch` to the layers' outputs for the duration of the block.

    Args:
        layers: module path -> layer whose single input is `[..., d_in]`.
        branch: computes in any dtype; its result is cast to the output's dtype before adding.
    """
    with ExitStack() as hooks:
        for path, layer in layers.items():
            handle = layer.register_forward_hook(_hook(path, branch))
            hooks.callback(handle.remove)
        yield


def noise_floor(dtype: torch.dtype, n_basis: int, d_text: int) -> float:
    """The relative component that rounding alone gives a protected token.

    Rounding spreads over all d_text directions; n_basis of them see it. A factor of 8 covers the
    spread, and 1e-5 the float32 arithmetic of text encoder and projection.
    """
    return 1e-5 + 8 * torch.finfo(dtype).eps * (n_basis / d_text) ** 0.5


def token_mask(
    component: Tensor, length: Tensor, increment: Increment, dtype: torch.dtype
) -> Tensor:
    """Which tokens an increment acts on, bool `[..., n_tokens]`.

    A prompt without a token above the dead zone passes untouched. In a prompt that has one, every
    token reaching further than any protected one is acted on: what the text encoder has smeared
    over the padding and the later words would otherwise still draw the concept.

    Args:
        component: ‖e Dᵀ‖, `[..., n_tokens]`.
        length: ‖e‖, `[..., n_tokens]`.
        dtype: of the embeddings that arrive at the layer; sets the least usable threshold.
    """
    zone = increment.dead_zone
    floor = noise_floor(dtype, increment.n_basis, increment.basis.shape[1])
    shown = (component > max(zone.threshold, floor) * length).any(-1, keepdim=True)
    return shown & (component > max(min(zone.threshold, zone.largest_protected), floor) * length)


class StackBranch:
    """What a stack of increments adds to each layer during one model call.

    All layers of a model receive the same embeddings, so which tokens show a concept is decided
    once per call. A sampler sends the same embeddings in every step, in new tensors: what is added
    for them is kept for as long as the very same values come in.

    Args:
        stack: what is on; entries with strength 0 or switched off are ignored.
        device: where the model runs.
    """

    def __init__(self, stack: Stack, device: torch.device | str = "cpu") -> None:
        with torch.inference_mode(False):  # a host draws in it; gradients may be asked for later
            self._low_rank = [_Row(e, device) for e in stack.active() if e.increment.separable]
            self._full = _full_weights(stack, device)
        self._text_only = {module for row in self._low_rank for module in row.coef}
        self._kept: list[_Kept] = []
        self.begin()

    def begin(self, rows: Tensor | None = None) -> None:
        """Starts a model call.

        Args:
            rows: bool `[batch]`, the batch entries to act on; None for all.
        """
        self._input: Tensor | None = None
        self._effect = _Effect(torch.Size(), [])
        self.rows, self.n_calls = rows, 0

    def __call__(self, module: str, embeddings: Tensor) -> Tensor | None:
        """The addend for one layer, `[..., d_out]` float32, or None when nothing is to be added."""
        self.n_calls += 1
        with torch.autocast(embeddings.device.type, enabled=False):
            addend = self._seen(embeddings)(module) if module in self._text_only else None
            if module in self._full:
                full = self._masked(embeddings.float() @ self._full[module])
                addend = full if addend is None else addend + full
        return addend

    def _seen(self, embeddings: Tensor) -> _Effect:
        if embeddings is not self._input:
            self._input, self._effect = embeddings, self._look_up(embeddings)
        return self._effect

    def _look_up(self, embeddings: Tensor) -> _Effect:
        if embeddings.requires_grad:  # its graph belongs to one backward pass
            return _Effect(embeddings.shape[:-1], self._find(embeddings))
        for kept in self._kept:
            if kept.is_for(embeddings, self.rows):
                return kept.effect
        effect = _Effect(embeddings.shape[:-1], self._find(embeddings), _ROOM // _N_KEPT)
        kept = _Kept(embeddings.detach().clone(), self.rows, effect)
        self._kept = [kept, *self._kept[: _N_KEPT - 1]]
        return effect

    def _find(self, embeddings: Tensor) -> list[_Hit]:
        e = embeddings.float()
        length = e.norm(dim=-1)
        found = [(row, *row.look(e, length, embeddings.dtype)) for row in self._low_rank]
        masks = torch.stack([self._masked(mask) for _, _, mask in found]).flatten(1)
        tokens = masks.nonzero()[:, 1].split(masks.sum(1).tolist())
        return [
            _Hit(row, z.flatten(0, -2)[reached], reached)
            for (row, z, _), reached in zip(found, tokens, strict=True)
            if len(reached)
        ]

    def _masked(self, values: Tensor) -> Tensor:
        if self.rows is None:
            return values
        return values * self.rows.to(values.device).view(-1, *[1] * (values.ndim - 1))


@dataclass(frozen=True, eq=False)
class _Hit:
    """An increment that acts on some tokens of a batch.

    Attributes:
        coordinates: of these tokens in its basis, `[n, n_basis]`.
        tokens: their places among all tokens of the batch, each once, int64 `[n]`.
    """

    row: _Row
    coordinates: Tensor
    tokens: Tensor


class _Effect:
    """What the increments add for one batch of embeddings.

    Args:
        shape: of the batch, `[..., n_tokens]`.
        hits: the increments that act on some of its tokens.
        room: bytes of sums that may be kept; what does not fit is computed in every call.
    """

    def __init__(self, shape: torch.Size, hits: list[_Hit], room: int = 0) -> None:
        self._shape, self._hits, self._room = shape, hits, room
        self._sums: dict[str, Tensor] = {}

    def __call__(self, module: str) -> Tensor | None:
        """The sum for one layer, one increment after the other: alone each gives the same bits."""
        if module in self._sums:
            return self._sums[module]
        hits = [hit for hit in self._hits if module in hit.row.coef]
        if not hits:
            return None
        d_out = hits[0].row.coef[module].shape[1]
        addend = hits[0].coordinates.new_zeros(self._shape.numel(), d_out)
        for hit in hits:
            addend.index_add_(0, hit.tokens, hit.coordinates @ hit.row.coef[module])
        addend = addend.unflatten(0, self._shape)
        if addend.nbytes <= self._room:
            self._room -= addend.nbytes
            self._sums[module] = addend
        return addend


@dataclass(frozen=True, eq=False)
class _Kept:
    """An effect with all that it depends on beside the stack, by value."""

    embeddings: Tensor
    rows: Tensor | None
    effect: _Effect

    def is_for(self, embeddings: Tensor, rows: Tensor | None) -> bool:
        return _identical(self.embeddings, embeddings) and _identical(self.rows, rows)


def _identical(a: Tensor | None, b: Tensor | None) -> bool:
    """Same device, dtype, shape and values; NaN is not even itself."""
    if a is None or b is None:
        return a is b
    return (a.device, a.dtype, a.shape) == (b.device, b.dtype, b.shape) and torch.equal(a, b)


def _full_weights(stack: Stack, device: torch.device | str) -> dict[str, Tensor]:
    """Σ strength · ΔWᵀ of the unconstrained increments, `[d_in, d_out]` by module path."""
    weights: dict[str, Tensor] = {}
    for entry in stack.active():
        for module, full in entry.increment.full.items():
            weight = (full.to(device, torch.float32) * entry.strength).T.contiguous()
            weights[module] = weights[module] + weight if module in weights else weight
    return weights


class _Row:
    """One increment on the model's device."""

    def __init__(self, entry: StackEntry, device: torch.device | str) -> None:
        self.increment = entry.increment
        # A copy of one layout and alignment, both of which decide the last bits of a product: an
        # increment from a file must act like the one that was computed.
        basis = entry.increment.basis.to(device, torch.float32)
        self.basis = basis.clone(memory_format=torch.contiguous_format)
        self.coef = {
            k: (v.to(device, torch.float32) * entry.strength).T.contiguous()
            for k, v in entry.increment.coef.items()
        }

    def look(self, e: Tensor, length: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Coordinates `[..., n_basis]` of all tokens and which of them count, bool `[...]`."""
        z = e @ self.basis.T
        return z, token_mask(z.norm(dim=-1), length, self.increment, dtype)


def check_fits(increments: Sequence[Increment], layers: Mapping[str, nn.Module]) -> None:
    """Checks every increment against a model's layers before anything is applied.

    Raises:
        IncompatibleError: an edited layer that the model lacks, or one of another shape.
    """
    for increment in increments:
        for module in increment.target_modules:
            _check_layer(increment, module, layers.get(module))


def _check_layer(increment: Increment, module: str, layer: nn.Module | None) -> None:
    name = increment.concept.name
    if layer is None:
        raise IncompatibleError(
            f"The increment for {name!r} (family {increment.provenance.family or 'unknown'}) edits "
            f"{module}, which this model does not have. Use it with the model family it was "
            "computed for, or compute it again on this model."
        )
    d_in = increment.full[module].shape[1] if module in increment.full else increment.basis.shape[1]
    d_out = increment.full.get(module, increment.coef.get(module, increment.basis)).shape[0]
    expected = (getattr(layer, "out_features", d_out), getattr(layer, "in_features", d_in))
    if (d_out, d_in) != expected:
        raise IncompatibleError(
            f"The increment for {name!r} has weights {[d_out, d_in]} for {module}, the model's "
            f"layer is {list(expected)} (text width {expected[1]}). Use an increment computed for "
            "this model family, or compute it again on this model."
        )


def _hook(path: str, branch: Branch) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    def add(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        addend = branch(path, inputs[0])
        return output if addend is None else output + addend.to(output.dtype)

    return add
