"""The node that makes increments of different days mutually invisible."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ..sepme_core.increment import Stack
from ..sepme_core.reseparate import reseparate, reseparation_report
from . import host
from .common import StackType, schema
from .preserve import every_list, list_stamp
from .session import open_session

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
        return io.NodeOutput(
            Stack(tuple(replace(entry, increment=r.after) for entry, r in entries)), text
        )
