"""What a MODEL and a CLIP are: for people, and to the bit for what is kept of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from .contents import digest
from .layers import PREFIX, compute_dtype, family_of, matching_layers, raw_weight

__all__ = [
    "base_fingerprint",
    "differing",
    "encoder_digest",
    "model_fingerprint",
    "solved_on",
    "text_encoder_fingerprint",
]

SEPARATOR = "+"
_SAMPLES = 4096


# --- for people -----------------------------------------------------------------------------------


def base_fingerprint(model: Any) -> str:
    """Identifies a checkpoint by the unpatched weights of its text-only layers.

    By their signs: no rounding changes those, so it is one checkpoint in float32, in half
    precision of either kind and in fp8. Another checkpoint, or one that something was merged into,
    has other signs in some of the many small weights.
    """
    h = hashlib.sha256(b"signs")
    for name, weight in _text_only(model):
        h.update(f"{name}{tuple(weight.shape)}".encode())
        h.update(torch.signbit(_spread(weight, _SAMPLES).float()).cpu().numpy().tobytes())
    return h.hexdigest()[:32]


def model_fingerprint(model: Any) -> str:
    """Identifies a checkpoint and what LoRAs and merges have made of its text-only layers.

    The checkpoint's fingerprint alone where nothing has. Otherwise both are told: increments
    computed on it are neither another checkpoint's, nor quite those of the bare one.
    """
    patches = _text_only_patches(model)
    base = base_fingerprint(model)
    return f"{base}{SEPARATOR}{digest(patches)[:16]}" if patches else base


def differing(model: Any, fingerprints: Iterable[str]) -> dict[str, str]:
    """In what the models that fingerprints stand for differ from this one, by fingerprint.

    `checkpoint`, `patches` (the checkpoint is the same, the LoRAs and merges in its text-only
    layers are not), or nothing. Files of earlier versions hold numbers in half precision and no
    patches: their checkpoint is recognised where it is loaded in float32 or float16 as it was then.
    """
    own = model_fingerprint(model)
    base = own.partition(SEPARATOR)[0]
    old = _in_half_precision(_text_only(model))

    def of(fingerprint: str) -> str:
        if fingerprint in ("", own, old):
            return ""
        return "patches" if fingerprint.partition(SEPARATOR)[0] == base else "checkpoint"

    return {fingerprint: of(fingerprint) for fingerprint in fingerprints}


def text_encoder_fingerprint(clip: Any) -> str:
    """Identifies the text encoder: weights, patches, hooks that it always has, clip-skip."""
    named = [(key, tensor) for key, tensor in _stored(clip.patcher) if tensor.is_floating_point()]
    patches = [*sorted(clip.patcher.patches.items()), *sorted(_forced(clip).items())]
    leaves = [(key, leaf) for key, value in patches for leaf in _leaves(value)]
    named += [(key, leaf) for key, leaf in leaves if torch.is_tensor(leaf)]
    numbers = [(key, leaf) for key, leaf in leaves if isinstance(leaf, (int, float, str))]
    return _in_half_precision(named, f"skip={clip.layer_idx} patches={numbers}")


def _leaves(value: Any) -> Iterator[Any]:
    """What a list of the host's patches consists of: strengths, kinds, tensors."""
    inner = getattr(value, "weights", value)  # of an adapter: LoRA, LoHa, …
    if isinstance(inner, (list, tuple)):
        for part in inner:
            yield from _leaves(part)
    else:
        yield inner


def _in_half_precision(named: Iterable[tuple[str, Tensor]], extra: str = "") -> str:
    """SHA-256 over shapes and evenly spaced entries, in half precision.

    Half precision, so that a model kept in float32 on one machine and in float16 on another is the
    same model. Formats that round further (bfloat16, fp8) make another one of it.
    """
    h = hashlib.sha256(extra.encode())
    for name, tensor in named:
        sample = _spread(tensor, _SAMPLES).to("cpu", torch.float16)
        h.update(f"{name}{tuple(tensor.shape)}".encode())
        h.update(sample.contiguous().view(torch.uint8).numpy().tobytes())
    return h.hexdigest()[:32]


def _spread(tensor: Tensor, n: int) -> Tensor:
    flat = tensor.detach().flatten()
    return flat[:: max(1, len(flat) // n)]


# --- to the bit -----------------------------------------------------------------------------------


def solved_on(model: Any, clip: Any, *, draws: bool) -> str:
    """Digest of everything in a MODEL and a CLIP that increments computed on them depend on.

    Args:
        model: without increments.
        draws: whether pictures are drawn: then all weights, patches and options of the model count,
            hooks that come with prompts too; otherwise those of the text-only layers.
    Returns:
        see `is_told`: there may be no saying.
    """
    given: list[Any] = [encoder_digest(clip), str(compute_dtype(model)), _text_only_patches(model)]
    if not draws:
        return digest([*given, list(_text_only(model))])
    static = model.hook_patches_backup  # what the last sampling has added is put away again
    hooks = [clip.patcher.forced_hooks, clip.apply_hooks_to_conds]
    drawn_with = [
        type(model.model).__name__,
        list(_stored(model)),
        model.patches,
        model.object_patches,
        model.model_options,
        getattr(model, "weight_wrapper_patches", {}),
        getattr(model, "wrappers", {}),
        getattr(model, "injections", {}),
        list((model.hook_patches if static is None else static).values()),
        [_hook(hook) for group in hooks if group for hook in group.hooks],
        clip.use_clip_schedule,
    ]
    return digest([*given, drawn_with])


def encoder_digest(clip: Any) -> str:
    """Digest of everything that a CLIP's answers depend on."""
    return digest(
        [
            type(clip.cond_stage_model).__name__,
            list(_stored(clip.patcher)),
            clip.patcher.patches,
            _forced(clip),
            clip.layer_idx,
            getattr(clip, "tokenizer_options", {}),
        ]
    )


def _text_only(model: Any) -> Iterator[tuple[str, Tensor]]:
    """Unpatched weights of the text-only layers by module path."""
    for path in sorted(matching_layers(model, family_of(model).text_only)):
        yield path, raw_weight(model, f"{PREFIX}{path}.weight")


def _text_only_patches(model: Any) -> dict[str, Any]:
    paths = matching_layers(model, family_of(model).text_only)
    keys = [f"{PREFIX}{path}.weight" for path in sorted(paths)]
    return {key: model.patches[key] for key in keys if model.patches.get(key)}


def _stored(patcher: Any) -> Iterator[tuple[str, Tensor]]:
    """All tensors of a model as they were loaded: without patches, hooks' included."""
    for key, tensor in sorted(patcher.model.state_dict().items()):
        if key in patcher.backup:
            yield key, patcher.backup[key].weight
        elif key in patcher.hook_backup:
            yield key, patcher.hook_backup[key][0]
        elif torch.is_tensor(tensor):
            yield key, tensor


def _forced(clip: Any) -> dict[str, Any]:
    """Patches of hooks that are on the text encoder whenever it encodes, strengths included."""
    return clip.patcher.get_combined_hook_patches(clip.patcher.forced_hooks)


def _hook(hook: Any) -> list[Any]:
    """What a hook does; not how far the last sampling has brought it."""
    frames = [(f.strength, f.start_percent) for f in hook.hook_keyframe.keyframes]
    own = {k: v for k, v in vars(hook).items() if k not in ("hook_ref", "hook_id", "hook_keyframe")}
    return [type(hook).__name__, frames, own]
