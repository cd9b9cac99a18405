"""What all nodes share: socket types, the menu category, and schemas for old and new hosts."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Sequence
from typing import Any

from comfy_api.latest import io

from ..sepme_core.errors import ConceptError

__all__ = [
    "CATEGORY",
    "ConceptsType",
    "StackType",
    "check_choices",
    "mode_input",
    "prompts_input",
    "schema",
    "side_input",
]

CATEGORY = "SepME"
MODES = ("exact", "merged")
PROMPTS = ("both", "positive")
ConceptsType = io.Custom("SEPME_CONCEPTS")
StackType = io.Custom("SEPME_STACK")


def schema(
    *, folder: str, inputs: Sequence[io.Input], advanced: Collection[str] = (), **fields: Any
) -> io.Schema:
    """A node schema without the fields that this host does not know yet (`search_aliases`, …).

    Args:
        folder: of the menu: what an artist does with the node, `erase`, `files` or `check`.
        advanced: ids of the widgets that are rarely needed, which a page folds. Hosts from before
            there was such a field pass it on all the same: a widget's `options.advanced` says it
            in every page.
    Raises:
        ValueError: an input of `advanced` is not there.
    """
    unknown = set(advanced) - {given.id for given in inputs}
    if unknown:
        raise ValueError(f"{fields['node_id']} has no inputs {sorted(unknown)} to be folded.")
    for given in inputs:
        if given.id in advanced:
            given.extra_dict["advanced"] = True
    known = inspect.signature(io.Schema).parameters
    fields = {k: v for k, v in fields.items() if k in known}
    return io.Schema(category=f"{CATEGORY}/{folder}", inputs=list(inputs), **fields)


def check_choices(mode: str, prompts: str = PROMPTS[0]) -> None:
    """Values of `mode_input` and `prompts_input` that came through a link: the host checks none.

    Raises:
        ConceptError: says which one cannot be chosen, and what can.
    """
    for name, value, options in (("mode", mode, MODES), ("prompts", prompts, PROMPTS)):
        if value not in options:
            raise ConceptError(f"{name} is {value!r}, expected {' or '.join(map(repr, options))}.")


def mode_input(*, optional: bool = False) -> io.Input:
    """The widget that says how a stack is applied."""
    return io.Combo.Input(
        "mode",
        options=list(MODES),
        default=MODES[0],
        optional=optional,
        tooltip="Exact: weights untouched, protected prompts bit-identical; a model that is saved "
        "or mixed with another behind it draws the concept again. Merged: into the weights, for a "
        "checkpoint to save; protected prompts move by the leak that the report states.",
    )


def prompts_input(*, optional: bool = False) -> io.Input:
    """The widget that says which of the sampler's two prompts a stack acts on."""
    return io.Combo.Input(
        "prompts",
        options=list(PROMPTS),
        default=PROMPTS[0],
        optional=optional,
        tooltip="Positive: a negative prompt may still name what is erased (exact mode only).",
    )


def side_input(name: str, what: str, *, optional: bool = False) -> io.Input:
    """A widget for one or both sides of pictures in pixels; see `host.picture_size`.

    Args:
        what: the first sentence of its tooltip.
    """
    return io.Int.Input(
        name,
        default=0,
        min=0,
        max=2048,
        step=8,
        optional=optional,
        tooltip=f"{what} 0: the model's own.",
    )
