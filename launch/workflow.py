"""Saved workflows turned into prompts that the server runs.

The web page saves a graph for people: positions, colours, notes, values by place. The server runs
a prompt: for every node its class and its inputs by name. The page converts one into the other
(`app.graphToPrompt()`); this does the same without a browser, so that example workflows can be run
by commands and tests exactly as an artist would run them.
"""

from __future__ import annotations

import re
from typing import Any

from launch.errors import WorkflowError

Json = dict[str, Any]
NodeId = int | str

MUTED, BYPASSED = 2, 4
PAGE_ONLY_NODES = frozenset({"Note", "MarkdownNote", "Reroute", "PrimitiveNode"})
WIDGET_TYPES = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COLOR"})
UPLOAD_OPTIONS = ("image_upload", "video_upload", "animated_image_upload")


def to_prompt(workflow: Json, object_info: Json) -> Json:
    """The API prompt of a workflow as the page saves it.

    Args:
        workflow: version 0.4 format, with `nodes` and `links`.
        object_info: the server's answer to `/object_info`; it gives the widgets' names and order.

    Returns:
        For every node that runs, by its id as text: `class_type`, `inputs` and `_meta`.

    Raises:
        WorkflowError: the file is no workflow, a node's type is unknown to the server, a link leads
            nowhere, or a node has fewer values than widgets and the missing ones have no default.
    """
    graph = _Graph(workflow)
    running = {
        str(node["id"]): node
        for node in graph.nodes.values()
        if node["type"] not in PAGE_ONLY_NODES and node.get("mode", 0) not in (MUTED, BYPASSED)
    }
    return {key: _prompt_node(node, graph, object_info, running) for key, node in running.items()}


def _prompt_node(node: Json, graph: _Graph, object_info: Json, running: Json) -> Json:
    info = object_info.get(node["type"])
    if info is None:
        raise WorkflowError(
            f"{_label(node)}: the server has no node of this type. "
            "Install the node pack it comes from, or take it out of the workflow."
        )
    inputs = _widget_values(node, info)
    for slot in node.get("inputs") or []:
        source = graph.source(slot.get("link"), slot["type"])
        if source is None:
            continue
        origin, origin_slot = source
        if origin["type"] == "PrimitiveNode":
            inputs[slot["name"]] = _wrapped((origin.get("widgets_values") or [None])[0])
        elif str(origin["id"]) in running:
            inputs[slot["name"]] = [str(origin["id"]), origin_slot]
        else:
            # The page drops what leads to a muted node, and with it that input's widget value.
            inputs.pop(slot["name"], None)
    title = node.get("title") or info.get("display_name") or node["type"]
    return {"inputs": inputs, "class_type": node["type"], "_meta": {"title": title}}


class _Graph:
    """The nodes of a workflow by id, and where its links come from."""

    def __init__(self, workflow: Json) -> None:
        if not isinstance(workflow.get("nodes"), list):
            raise WorkflowError(
                "This is not a saved workflow: it has no list of 'nodes'. "
                "Save it in the page with Save or Export, not with Export (API)."
            )
        self.nodes: dict[NodeId, Json] = {node["id"]: node for node in workflow["nodes"]}
        links = workflow.get("links") or []
        self.links: dict[int, tuple[NodeId, int]] = {link[0]: (link[1], link[2]) for link in links}

    def source(self, link: int | None, kind: str) -> tuple[Json, int] | None:
        """The node and the output a link really comes from, through reroutes and bypassed nodes."""
        seen: set[int] = set()
        while link is not None:
            if link in seen:
                raise WorkflowError(f"Link {link} leads back to itself.")
            seen.add(link)
            node, slot = self._origin(link)
            if node["type"] == "Reroute":
                link = node["inputs"][0].get("link")
            elif node.get("mode", 0) == BYPASSED:
                link = _bypassed_link(node, slot, kind)
            else:
                return node, slot
        return None

    def _origin(self, link: int) -> tuple[Json, int]:
        if link not in self.links or self.links[link][0] not in self.nodes:
            raise WorkflowError(f"Link {link} comes from a node that is not in the workflow.")
        node_id, slot = self.links[link]
        return self.nodes[node_id], slot


def _bypassed_link(node: Json, slot: int, kind: str) -> int | None:
    """The link that a bypassed node passes on in place of its output `slot`.

    As in the page: the input at the same place if its type fits, else the first of exactly the
    wanted type, else the first that fits.
    """
    inputs: list[Json] = node.get("inputs") or []
    output = node["outputs"][slot]["type"]
    if kind in ("*", "") and inputs:
        return inputs[slot if slot < len(inputs) else 0].get("link")
    fitting = [i for i in inputs if _fits(i["type"], output) and _fits(i["type"], kind)]
    same_place = [i for i in inputs[slot : slot + 1] if i in fitting]
    exact = [i for i in inputs if i["type"] == kind]
    for candidates in (same_place, exact, fitting):
        if candidates:
            return candidates[0].get("link")
    return None


def _fits(one: str, other: str) -> bool:
    """Whether two socket types may be connected: one in common, or any on one side."""
    ones, others = set(one.lower().split(",")), set(other.lower().split(","))
    return bool(ones & others) or "*" in ones | others


def _widget_values(node: Json, info: Json) -> Json:
    """The values of a node's widgets by name; the page saves them by place only."""
    stored = node.get("widgets_values") or []
    places = _widget_places(info)
    if isinstance(stored, dict):
        return {name: _wrapped(stored[name]) for name, _ in places if name in stored}
    values: Json = {}
    for place, (name, spec) in enumerate(places):
        if name is not None:
            value = (
                stored[place] if place < len(stored) else _default(node, name, spec, len(stored))
            )
            values[name] = _wrapped(_spoken(value) if spec.get("dynamicPrompts") else value)
    return values


def _widget_places(info: Json) -> list[tuple[str | None, Json]]:
    """Name and options of every value that the page saves for a node, in order.

    The page adds values of its own, here without a name: what happens to a seed after generating,
    a filter beside it for lists, and an upload button after the required inputs.
    """
    places: list[tuple[str | None, Json]] = []
    for section in ("required", "optional"):
        specs: Json = info["input"].get(section) or {}
        upload = False
        for name in info.get("input_order", {}).get(section, specs):
            kind, options = _kind_and_options(specs[name])
            if kind not in WIDGET_TYPES or options.get("forceInput"):
                continue
            places.append((name, options))
            places += [(None, {})] * _n_page_values(kind, name, options)
            upload = upload or any(options.get(option) for option in UPLOAD_OPTIONS)
        places += [(None, {})] * (upload and section == "required")
    return places


def _kind_and_options(spec: list[Any]) -> tuple[str, Json]:
    """The widget's type and its options; a list to choose from has its first entry for default."""
    kind, options = spec[0], spec[1] if len(spec) > 1 else {}
    choices = kind if isinstance(kind, list) else options.get("options") or []
    if choices:
        options = {"default": choices[0], **options}
    return "COMBO" if isinstance(kind, list) else options.get("widgetType", kind), options


def _n_page_values(kind: str, name: str, options: Json) -> int:
    """How many values the page itself saves after a widget's own."""
    seed_by_name = kind == "INT" and name in ("seed", "noise_seed")
    controlled = options.get("control_after_generate")
    if controlled is None:
        controlled = seed_by_name
    if not controlled:
        return 0
    return 2 if kind == "COMBO" else 1


def _default(node: Json, name: str, spec: Json, n_stored: int) -> Any:
    """What the page takes for a widget that is newer than the saved workflow."""
    if "default" not in spec:
        raise WorkflowError(
            f"{_label(node)}: too few widget values, {n_stored}; the one for '{name}' is missing "
            "and has no default. Open the workflow in the page, set it, and save it again."
        )
    return spec["default"]


def _spoken(text: Any) -> Any:
    """A prompt without its comments and with its choices `{a|b}` made.

    The page chooses at random; here it is always the first, so that a run can be repeated.
    """
    if not isinstance(text, str):
        return text
    text = re.sub(r"/\*[\s\S]*?\*/|//.*", "", text)
    choice = re.compile(r"(?<!\\)\{((?:\\.|[^{}\\])*)\}")
    while choice.search(text):
        text = choice.sub(lambda found: re.split(r"(?<!\\)\|", found[1])[0], text)
    return re.sub(r"\\([{}|])", r"\1", text)


def _wrapped(value: Any) -> Any:
    """A value the server cannot take for a link: lists of two would be."""
    return {"__value__": value} if isinstance(value, list) else value


def _label(node: Json) -> str:
    return f"Node {node['id']} ({node['type']})"
