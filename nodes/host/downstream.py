"""What the graph does with a model behind the node that runs: who writes or mixes its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from comfy_execution.utils import get_executing_context
from server import PromptServer

import nodes

__all__ = ["Writer", "weight_writers"]

MODEL, ANY = "MODEL", "*"
_OURS = "SepME_"


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

    What a graph does behind a node is not among the node's inputs, so the host would take the node
    for done: its key has to hold this.
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
            if other in told or kind is None or list(link) not in node["inputs"].values():
                continue
            told.add(other)
            given = _given(kind)
            ahead += [(other, i) for i, each in enumerate(given) if each in (MODEL, ANY)]
            title = nodes.NODE_DISPLAY_NAME_MAPPINGS.get(node["class_type"], node["class_type"])
            mixes = MODEL in given and _mixes(node["class_type"], kind)
            if mixes or _writes(node["class_type"], kind):
                yield Writer(other, title, mixes)


def _given(kind: Any) -> list[str]:
    return list(getattr(kind, "RETURN_TYPES", None) or ())


def _writes(class_type: str, kind: Any) -> bool:
    """What takes a model, gives nothing on and runs for its own sake keeps it somewhere."""
    ours = class_type.startswith(_OURS)
    return bool(getattr(kind, "OUTPUT_NODE", False)) and not _given(kind) and not ours


def _mixes(class_type: str, kind: Any) -> bool:
    """By its name, which tells it from a switch, and by what it takes."""
    if "merg" not in f"{class_type} {getattr(kind, 'CATEGORY', '')}".casefold():
        return False
    groups = kind.INPUT_TYPES()
    taken = [*groups.get("required", {}).values(), *groups.get("optional", {}).values()]
    return sum(given[0] == MODEL for given in taken) > 1
