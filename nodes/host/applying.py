"""Increments on a host model: applied, merged, removed. Always on clones."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from comfy.patcher_extension import CallbacksMP, WrappersMP
from torch import Tensor

from ...sepme_core.application import StackBranch, attached, check_fits
from ...sepme_core.concepts import name_key
from ...sepme_core.doubles import Acting, acting
from ...sepme_core.errors import ConceptError, IncompatibleError
from ...sepme_core.increment import Increment, Stack
from .fingerprints import differing
from .layers import family_of, matching_layers
from .merging import KEY, merge, merged_stacks, rewrite, take_whole
from .running import show_text
from .window import Window

__all__ = [
    "KEY",
    "WAY_OUT",
    "applied",
    "apply_exact",
    "apply_merged",
    "at_work",
    "check_same_encoder",
    "from_other_checkpoints",
    "remove",
    "without_increments",
]

log = logging.getLogger(__name__)

WAY_OUT = (
    "To write a model without it, apply in merged mode and save what comes out, as the template "
    "'8_publish_a_checkpoint' does."
)


class _Exact:
    """The wrapper around one model call that carries a stack; lives on a patcher's clone."""

    def __init__(self, stack: Stack, window: Window) -> None:
        self.stack, self.window = stack, window
        self._paths = sorted({m for e in stack.active() for m in e.increment.target_modules})
        self._branches: dict[torch.device, StackBranch] = {}
        self._silent = False

    def __call__(self, executor: Any, x: Tensor, t: Tensor, *args: Any, **kwargs: Any) -> Any:
        running = executor.class_obj
        if not self._paths or not self._in_window(running.model_sampling, t):
            return executor(x, t, *args, **kwargs)
        options = kwargs.get("transformer_options") or (args[3] if len(args) > 3 else {})
        branch = self._branch(x.device)
        branch.begin(self._rows(len(x), options))
        # Taken from the network that runs: some hosts run a clone on another copy of it.
        layers = {path: running.diffusion_model.get_submodule(path) for path in self._paths}
        with attached(layers, branch):
            out = executor(x, t, *args, **kwargs)
        self._note_silence(branch.n_calls)
        return out

    def _branch(self, device: torch.device) -> StackBranch:
        if device not in self._branches:
            self._branches[device] = StackBranch(self.stack, device)
        return self._branches[device]

    def _in_window(self, sampling: Any, t: Tensor) -> bool:
        if self.window.always:
            return True
        first = sampling.percent_to_sigma(self.window.start_percent)
        last = sampling.percent_to_sigma(self.window.end_percent)
        return last <= float(t.max()) <= first

    def _rows(self, n: int, options: Mapping[str, Any]) -> Tensor | None:
        if not self.window.positive_only:
            return None
        chunks = options.get("cond_or_uncond", [0])
        return torch.tensor([c == 0 for c in chunks]).repeat_interleave(n // len(chunks))

    def _note_silence(self, n_calls: int) -> None:
        if n_calls == 0 and not self._silent:
            self._silent = True
            text = (
                "The model ran without calling any edited layer, so nothing was erased in that "
                "step. A node that compiles or caches the model may be in the way."
            )
            log.warning("SepME: %s", text)
            show_text(text)  # on the node that draws


def apply_exact(model: Any, stack: Stack, window: Window) -> Any:
    """A clone whose text-only layers add the stack to their outputs.

    An increment that is on the model already counts once, as in a stack, where the new window
    covers the old one: as set here. Else both act, each in its own window.

    Raises:
        IncompatibleError: an increment does not fit the model.
        ConceptError: a row that would never act.
    """
    _check(model, stack)
    clone = model.clone()
    for part, rows in stack.by_window().items():
        acts = window.within(*part)
        clone = _with_exact(_without_same(clone, rows, acts), rows, acts)
    return clone


def _with_exact(clone: Any, stack: Stack, window: Window) -> Any:
    """Stacks of one window become one."""
    others = _take_exact(clone)
    same = [w for w in others if w.window == window]
    joined = sum((w.stack for w in same), Stack()) + stack
    kept = [w for w in others if w.window != window]
    return _give_exact(clone, [*kept, _Exact(joined, window)])


def _take_exact(clone: Any) -> list[_Exact]:
    found = list(clone.get_wrappers(WrappersMP.APPLY_MODEL, KEY))
    clone.remove_wrappers_with_key(WrappersMP.APPLY_MODEL, KEY)
    clone.remove_callbacks_with_key(CallbacksMP.ON_LOAD, KEY)
    return found


def _give_exact(clone: Any, wrappers: Iterable[_Exact]) -> Any:
    given = [wrapper for wrapper in wrappers if len(wrapper.stack)]
    for wrapper in given:
        clone.add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, wrapper)
    if given:
        clone.add_callback_with_key(CallbacksMP.ON_LOAD, KEY, _note_written)
    return clone


def _note_written(model: Any, device: Any, room: int = 0, whole: bool = False, *_: Any) -> None:
    """Called when the host loads the model: with all patches in its weights only to save them."""
    names = sorted({a.increment.concept.name for a in at_work(model) if a.how == "exact"})
    if whole and names:
        text = (
            f"What is written here still draws {', '.join(map(repr, names))}: exact mode leaves "
            f"the weights as they are. {WAY_OUT}"
        )
        log.warning("SepME: %s", text)
        show_text(text)  # on the node that writes


def _without_same(clone: Any, stack: Stack, window: Window) -> Any:
    """A fresh clone without what a stack brings anew, wherever its window covers the old one."""
    digests = {e.increment.digest for e in stack.active()}

    def left(old: Stack) -> Stack:
        return Stack(tuple(e for e in old.entries if e.increment.digest not in digests))

    wrappers = [
        _Exact(left(w.stack), w.window) if window.covers(w.window) else w
        for w in _take_exact(clone)
    ]
    clone = _give_exact(clone, wrappers)
    return rewrite(clone, left) if window.whole else clone


def apply_merged(model: Any, stack: Stack, window: Window) -> Any:
    """A clone with the stack added to its weights by the host; what is there counts once.

    Raises:
        IncompatibleError: an increment does not fit, or the host would not take a patch.
        ConceptError: a window is asked for, which weights cannot follow.
    """
    if not window.whole or any(e.window != (0, 1) for e in stack.entries):
        raise ConceptError(
            "Merged mode changes the weights for the whole sampling and for both prompts. Set "
            "start_percent 0, end_percent 1 (start and end of the rows as well) and prompts "
            "'both', or use exact mode."
        )
    _check(model, stack)
    clone, earlier = take_whole(model.clone())
    return merge(_without_same(clone, stack, window), earlier + stack)


def remove(model: Any, names: Sequence[str]) -> Any:
    """A clone without the named increments; all of them when no name is given.

    Raises:
        ConceptError: a name that is not applied, or nothing is applied.
    """
    stacks = applied(model)
    present = [name for stack in stacks for name in stack.names]
    if not present:
        raise ConceptError("No increment is applied to this model: nothing to remove.")
    unwanted = tuple(names) or tuple(present)
    everything = Stack(tuple(e for s in stacks for e in s.entries))
    everything.without(unwanted)  # refuses unknown names before anything is changed
    clone = model.clone()
    left = [_Exact(_drop(w.stack, unwanted), w.window) for w in _take_exact(clone)]
    return rewrite(_give_exact(clone, left), lambda stack: _drop(stack, unwanted))


def applied(model: Any) -> list[Stack]:
    """The stacks on a model, exact ones first; merged ones at the strengths its weights hold."""
    exact = [w.stack for w in model.get_wrappers(WrappersMP.APPLY_MODEL, KEY)]
    return exact + merged_stacks(model)


def at_work(model: Any) -> list[Acting]:
    """Every increment that acts on a model, when and how."""
    exact = [
        replace(a, start=w.window.start_percent, end=w.window.end_percent, how="exact")
        for w in model.get_wrappers(WrappersMP.APPLY_MODEL, KEY)
        for a in acting(w.stack)
    ]
    return exact + [replace(a, how="merged") for s in merged_stacks(model) for a in acting(s)]


def _drop(stack: Stack, names: Iterable[str]) -> Stack:
    known = {name_key(n) for e in stack.entries for n in e.increment.concept.names}
    return stack.without(n for n in names if name_key(n) in known)


def _check(model: Any, stack: Stack) -> None:
    layers = matching_layers(model, family_of(model).cross_attention)
    increments = [e.increment for e in stack.entries]
    check_fits(increments, layers)
    check_same_encoder([*increments, *(e.increment for s in applied(model) for e in s.entries)])


def check_same_encoder(increments: Sequence[Increment], fingerprint: str = "") -> None:
    """Increments only protect each other in the text space that all of them were computed in.

    Args:
        fingerprint: of the text encoder at hand, if there is one.
    Raises:
        IncompatibleError: names those that come from another encoder.
    """
    known = {i.provenance.text_encoder for i in increments} - {""}
    expected = fingerprint or (min(known) if known else "")
    if known - {expected}:
        others = [i.concept.name for i in increments if i.provenance.text_encoder != expected]
        raise IncompatibleError(
            f"{', '.join(others)} was computed with another text encoder, precision of it or "
            "clip-skip than the rest: nothing would be protected. Compute it again with the CLIP "
            "you draw with."
        )


def from_other_checkpoints(model: Any, increments: Sequence[Increment]) -> list[str]:
    """Names of what was computed on another checkpoint than the model's.

    Other LoRAs or merges on the same one are only noted in the log.
    """
    differs = differing(without_increments(model), {i.provenance.base for i in increments})
    names = {
        what: [i.concept.name for i in increments if differs[i.provenance.base] == what]
        for what in ("checkpoint", "patches")
    }
    if names["patches"]:
        log.info(
            "SepME: %s was computed on this checkpoint, but with other LoRAs or merges than are on "
            "it now. Protection holds; how well it erases was not measured with these.",
            ", ".join(names["patches"]),
        )
    return names["checkpoint"]


def without_increments(model: Any) -> Any:
    """A clone to compute on: the teacher is the model with all increments off."""
    return remove(model, ()) if any(len(s) for s in applied(model)) else model.clone()
