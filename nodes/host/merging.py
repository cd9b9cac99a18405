"""A stack in a host model's weights, as patches that the host adds; and out of them again."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from comfy.weight_adapter import LoRAAdapter
from torch import Tensor

from ...sepme_core.errors import IncompatibleError
from ...sepme_core.increment import Stack
from ...sepme_core.lora import Lora
from .layers import PREFIX

__all__ = ["KEY", "merge", "merged_stacks", "rewrite", "take_whole"]

KEY = "sepme"
Change = Callable[[Stack], Stack]
"""What is to be left of a stack."""


@dataclass(frozen=True, eq=False)
class Merged:
    """What was merged into a model's weights in one go; every patch of it knows it.

    Its patches may end anywhere in the host's lists, also inside of another model's that was mixed
    with ours.
    """

    stack: Stack


def merge(clone: Any, stack: Stack) -> Any:
    """Adds a stack to a fresh clone's patches.

    Raises:
        IncompatibleError: the host takes no patch for a layer.
    """
    if len(stack):
        merged = Merged(stack)
        patches = _patches(merged)
        refused = set(patches) - set(clone.add_patches(patches))
        if refused:
            raise IncompatibleError(
                f"The host took no patch for {', '.join(sorted(refused))}. Use exact mode."
            )
        clone.set_attachments(KEY, merged)
    return clone


def _patches(merged: Merged) -> dict[str, Any]:
    """By the host's key; low rank where it is low rank."""
    change = Lora.of(merged.stack)
    made: dict[str, Any] = {}
    for module in change.target_modules:
        if module in change.full:
            made[_key(module)] = _Whole(("diff", (change.full[module],)))
        else:
            factors = (change.up[module], change.down, None, None, None, None)
            made[_key(module)] = _InFloat32(set(), factors)
        made[_key(module)].merged = merged
    return made


def _key(module: str) -> str:
    return f"{PREFIX}{module}.weight"


class _Whole(tuple):
    """A patch that is no product, in the host's form."""

    merged: Merged


class _InFloat32(LoRAAdapter):
    """A low-rank patch whose factors are never rounded.

    Where weights are streamed, the host asks for the product in the model's half precision. That
    would round the basis, in which the guarantee lives.
    """

    merged: Merged

    def calculate_weight(  # noqa: PLR0913
        self,
        weight: Tensor,
        key: str,
        strength: float,
        strength_model: float,
        offset: Any,
        function: Any,
        intermediate_dtype: torch.dtype = torch.float32,
        *rest: Any,
        **more: Any,
    ) -> Tensor:
        """The patched weight, rounded once, to its own dtype."""
        wide = super().calculate_weight(
            weight.float(),
            key,
            strength,
            strength_model,
            offset,
            function,
            torch.float32,
            *rest,
            **more,
        )
        return wide.to(weight.dtype)


def merged_stacks(model: Any) -> list[Stack]:
    """What was merged into a model's weights, at the strengths that are left of it.

    A node that mixes models keeps a share of each: what is listed is what the weights hold. Where
    layers differ it is the least share.
    """
    return [m.stack if share == 1 else m.stack.scaled(share) for m, share in _held(model).items()]


def take_whole(clone: Any) -> tuple[Any, Stack]:
    """Takes out of a fresh clone what is merged at full strength; and what that was."""
    whole = [merged for merged, share in _held(clone).items() if share == 1]
    return _replaced(clone, dict.fromkeys(whole, Stack())), sum((m.stack for m in whole), Stack())


def rewrite(clone: Any, change: Change) -> Any:
    """Changes what is merged into a fresh clone; everything keeps its place and its share."""
    return _replaced(clone, {merged: change(merged.stack) for merged in _held(clone)})


def _held(model: Any) -> dict[Merged, float]:
    """Everything of ours that a model holds, with the least share of it in any layer."""
    held: dict[Merged, dict[str, float]] = {}
    for key, patches in model.patches.items():
        for merged, share in _shares(patches):
            if share:
                layers = held.setdefault(merged, dict.fromkeys(_keys(merged), 0.0))
                layers[key] += share
    found = {merged: min(layers.values(), key=abs) for merged, layers in held.items()}
    last = model.get_attachment(KEY)
    if last and not last.stack.active():  # of what is off, nothing is in the weights
        found[last] = 1.0
    return found


def _keys(merged: Merged) -> set[str]:
    active = merged.stack.active()
    return {_key(module) for e in active for module in e.increment.target_modules}


def _shares(patches: Sequence[Any]) -> Iterator[tuple[Merged, float]]:
    """Our patches of one layer, each with what is left of it: later ones may scale earlier ones."""
    left = 1.0
    for strength, value, strength_model, *_ in reversed(patches):
        if isinstance(value, list):  # another model's weight and patches
            yield from ((m, share * strength * left) for m, share in _shares(value[1:]))
        elif isinstance(value, _Whole | _InFloat32):
            yield value.merged, strength * left
        elif isinstance(value, tuple) and value[0] == "set":
            return
        left *= strength_model


def _replaced(clone: Any, wanted: Mapping[Merged, Stack]) -> Any:
    """A clone's patches with other ones in the place of ours; lists of other clones stay."""
    wanted = {m: stack for m, stack in wanted.items() if stack.entries != m.stack.entries}
    if not wanted:
        return clone
    new = {merged: Merged(stack) for merged, stack in wanted.items()}
    made = {merged: _patches(other) for merged, other in new.items()}
    for key, patches in list(clone.patches.items()):
        clone.patches[key] = _swapped(patches, {m: found.get(key) for m, found in made.items()})
        if not clone.patches[key]:
            del clone.patches[key]
    clone.patches_uuid = uuid.uuid4()
    attached = new.get(clone.get_attachment(KEY))
    if attached:
        clone.remove_attachments(KEY)
    if attached and len(attached.stack):
        clone.set_attachments(KEY, attached)
    return clone


def _swapped(patches: Sequence[Any], made: Mapping[Merged, Any]) -> list[Any]:
    """One layer's patches, ours exchanged; None takes one out."""
    kept: list[Any] = []
    for patch in patches:
        value = patch[1]
        if isinstance(value, list):
            value = [value[0], *_swapped(value[1:], made)]
        elif isinstance(value, _Whole | _InFloat32):
            value = made.get(value.merged, value)
        if value is not None:
            kept.append((patch[0], value, *patch[2:]))
    return kept
