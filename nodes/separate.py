"""The node that makes increments of different days mutually invisible."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ..sepme_core.increment import Stack
from ..sepme_core.reseparate import LEAST_KEPT, Reseparated, reseparate, reseparation_report
from . import host
from .common import StackType, schema
from .preserve import every_list, list_stamp
from .session import open_session
from .telling import Remark, counted, told

__all__ = ["Separate"]

log = logging.getLogger(__name__)


class Separate(io.ComfyNode):
    """Re-separation of a stack."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            folder="erase",
            node_id="SepME_Separate",
            display_name="SepME Separate",
            description="Makes increments that were computed at different times invisible to each "
            "other. The order in which they came does not matter any more.",
            search_aliases=["re-separate", "combine erased concepts"],
            inputs=[
                StackType.Input("stack", tooltip="Increments from anywhere, for one text encoder."),
                io.Model.Input("model", tooltip="The model they are used with; it stays as it is."),
                io.Clip.Input("clip", tooltip="The CLIP that belongs to the model."),
            ],
            outputs=[
                StackType.Output(
                    display_name="stack",
                    tooltip="The same concepts, strengths and switches; save it again.",
                ),
                io.String.Output(display_name="report", tooltip="What each increment lost."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **_: object) -> str:
        """Runs again when a list comes or changes that increments may have been made with."""
        return list_stamp(None)

    @classmethod
    def execute(cls, stack: Stack, model: Any, clip: Any) -> io.NodeOutput:
        """The given increments stay as they are; the stack is refused whole or separated whole."""
        with host.computing():
            session = open_session(model, clip, stack)
            results = reseparate(
                [entry.increment for entry in stack.entries],
                session.encode,
                session.weights,
                session.dtype,
                session.moment_of,
                host.NodeProgress(),
                every_list(),
            )
        text = reseparation_report(results)
        log.info("SepME\n%s", text)
        entries = zip(stack.entries, results, strict=True)
        separated = Stack(tuple(replace(entry, increment=r.after) for entry, r in entries))
        headline = f"{counted(len(results), 'increment')} separated"
        margin = min(r.plan.dead_zone.margin for r in results)
        return io.NodeOutput(separated, text, ui=told(headline, text, _remarks(results), margin))


def _remarks(results: Sequence[Reseparated]) -> list[Remark]:
    weaker = [
        Remark(f"{r.before.concept.name!r} keeps {r.kept:.0%} of its effect")
        for r in results
        if r.kept < LEAST_KEPT
    ]
    without = [
        Remark(f"{r.before.concept.name!r}: its preserve list is not here", "", "note")
        for r in results
        if r.without_its_list
    ]
    return weaker + without
