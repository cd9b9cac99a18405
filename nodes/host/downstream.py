"""What the graph does with a model behind the node that runs: who writes or mixes its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from comfy_execution.utils import get_executing_context
from server import PromptServer

import nodes

__all__ = ["Writer", "weight_writers"]

MODEL, ANY = "MODEL", "*"
_OURS = "SepME_"
_JUDGES = ("SepME_Apply", "SepME_Eraser", "SepME_Remove")
"""Those of ours that give a model on, and tell themselves what becomes of it."""


@dataclass(frozen=True)
class Writer:
    """A node that reads a model's weights out.

    Args:
        title: its name in the menu.
        mixes: whether it gives a model on, mixed with another one; else it writes it away.
    """

    node_id: str
    title: str
    mixes: bool


def weight_writers(output: int = 0) -> list[Writer]:
    """Those behind a model output of the node that runs, nearest first; none outside of a run.

    What a graph does behind a node is not among the node's inputs: a node that is done already is
    not asked again when a writer comes.
    """
    prompt, context = _running_prompt(), get_executing_context()
    if context is None or context.node_id not in prompt:
        return []
    return list(_follow(prompt, context.node_id, output))


def _running_prompt() -> Mapping[str, Any]:
    """The workflow that is running, by node id."""
    context = get_executing_context()
    queue = getattr(PromptServer.instance, "prompt_queue", None)
    if context is None or queue is None:
        return {}
    running, _ = queue.get_current_queue_volatile()
    return next((prompt for _, id_, prompt, *_ in running if id_ == context.prompt_id), {})


def _follow(prompt: Mapping[str, Any], node_id: str, output: int) -> Iterator[Writer]:
    """Along the links that carry the model, also through nodes that change it or pass it on."""
    ahead = [(node_id, output)]
    told = {node_id}
    for link in ahead:
        for other, node in prompt.items():
            kind = nodes.NODE_CLASS_MAPPINGS.get(node["class_type"])
            taken = [name for name, value in node["inputs"].items() if value == list(link)]
            if other in told or kind is None or not taken or node["class_type"] in _JUDGES:
                continue
            told.add(other)
            given = _given(kind)
            ahead += [(other, i) for i, each in enumerate(given) if each in (MODEL, ANY)]
            title = nodes.NODE_DISPLAY_NAME_MAPPINGS.get(node["class_type"], node["class_type"])
            mixes = MODEL in given and _mixes(node["class_type"], kind)
            if mixes or _writes(node["class_type"], kind, taken):
                yield Writer(other, title, mixes)


def _given(kind: Any) -> list[str]:
    return list(getattr(kind, "RETURN_TYPES", None) or ())


def _writes(class_type: str, kind: Any, taken: Sequence[str]) -> bool:
    """What takes a model, gives nothing on and runs for its own sake keeps it somewhere.

    Not so what takes anything, as a preview does.
    """
    if class_type.startswith(_OURS) or not getattr(kind, "OUTPUT_NODE", False) or _given(kind):
        return False
    types = _taken(kind)
    return any(types.get(name) != ANY for name in taken)


def _mixes(class_type: str, kind: Any) -> bool:
    """By its name, which tells it from a switch, and by what it takes."""
    if "merg" not in f"{class_type} {getattr(kind, 'CATEGORY', '')}".casefold():
        return False
    return sum(each == MODEL for each in _taken(kind).values()) > 1


def _taken(kind: Any) -> dict[str, Any]:
    """Types of inputs by name."""
    groups = kind.INPUT_TYPES()
    inputs = groups.get("required", {}) | groups.get("optional", {})
    return {name: given[0] for name, given in inputs.items()}
