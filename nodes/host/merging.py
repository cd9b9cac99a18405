"""A stack in a host model's weights, as patches that the host adds; and out of them again."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from comfy.weight_adapter import LoRAAdapter
from torch import Tensor

from ...sepme_core.errors import IncompatibleError
from ...sepme_core.increment import Stack
from ...sepme_core.lora import Lora
from .layers import PREFIX

__all__ = ["KEY", "merge", "unmerge"]

KEY = "sepme"


@dataclass(frozen=True, eq=False)
class Merged:
    """What was merged into a clone's weights, kept to take it out again."""

    stack: Stack
    patches: Mapping[str, Any]


def merge(clone: Any, stack: Stack) -> Any:
    """Adds a stack to a fresh clone's patches.

    Raises:
        IncompatibleError: the host takes no patch for a layer.
    """
    change = Lora.of(stack)
    patches = {f"{PREFIX}{m}.weight": _patch(change, m) for m in change.target_modules}
    refused = set(patches) - set(clone.add_patches(patches))
    if refused:
        raise IncompatibleError(
            f"The host took no patch for {', '.join(sorted(refused))}. Use exact mode."
        )
    if len(stack):
        clone.set_attachments(KEY, Merged(stack, patches))
    return clone


def _patch(change: Lora, module: str) -> Any:
    """The change of one layer as the host takes it: low rank where it is low rank."""
    if module in change.full:
        return ("diff", (change.full[module],))
    return _InFloat32(set(), (change.up[module], change.down, None, None, None, None))


class _InFloat32(LoRAAdapter):
    """A low-rank patch whose factors are never rounded.

    Where weights are streamed, the host asks for the product in the model's half precision. That
    would round the basis, in which the guarantee lives.
    """

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


def unmerge(clone: Any) -> Any:
    """Takes our patches out of a fresh clone; those of LoRAs keep their places."""
    merged = clone.get_attachment(KEY)
    if not merged:
        return clone
    ours = {id(patch) for patch in merged.patches.values()}
    for key in merged.patches:
        kept = [p for p in clone.patches.get(key, []) if id(p[1]) not in ours]
        clone.patches[key] = kept
        if not kept:
            del clone.patches[key]
    clone.patches_uuid = uuid.uuid4()
    clone.remove_attachments(KEY)
    return clone
