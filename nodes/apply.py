"""Nodes that switch increments on and off in a model."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..sepme_core.increment import Stack
from ..sepme_core.text_fields import parse_names
from . import host
from .common import StackType, check_choices, mode_input, prompts_input, schema
from .remarks import on_graph, on_model
from .telling import counted, told, warn

__all__ = ["Apply", "Remove"]


class Apply(io.ComfyNode):
    """Applies a stack to a model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            folder="erase",
            node_id="SepME_Apply",
            display_name="SepME Apply",
            description="Erases the concepts of a stack from the model. Everything protected stays "
            "the same, to the bit (exact mode).",
            search_aliases=["erase", "unlearn", "remove style", "safety"],
            advanced=["start_percent", "end_percent", "prompts"],
            inputs=[
                io.Model.Input("model", tooltip="Stays as it is; the output is a patched copy."),
                StackType.Input("stack", tooltip="From SepME Compute, Load or Stack."),
                mode_input(),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=-4.0,
                    max=4.0,
                    step=0.05,
                    tooltip="Multiplies every strength of the stack.",
                ),
                io.Float.Input(
                    "start_percent",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Where in the sampling erasing begins (exact mode only).",
                ),
                io.Float.Input(
                    "end_percent",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Where in the sampling erasing ends (exact mode only).",
                ),
                prompts_input(),
                io.String.Input(
                    "off",
                    default="",
                    tooltip="Concepts of the stack to leave in the model, separated by commas.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="Without the concepts.")],
        )

    @classmethod
    def execute(  # noqa: PLR0913
        cls,
        model: Any,
        stack: Stack,
        mode: str,
        strength: float,
        start_percent: float,
        end_percent: float,
        prompts: str,
        off: str,
    ) -> io.NodeOutput:
        """Checks everything, then patches a clone."""
        check_choices(mode, prompts)
        chosen = stack.without(parse_names(off)).scaled(strength)
        window = host.Window(start_percent, end_percent, positive_only=prompts == "positive")
        apply = host.apply_merged if mode == "merged" else host.apply_exact
        patched = apply(model, chosen, window)
        # With what other nodes have applied before, and with what is left in the model.
        remarks = warn(on_model(model, patched, stack))
        headline = f"{counted(len(chosen.active()), 'concept')} erased, {mode}"
        return io.NodeOutput(patched, ui=told(headline, remarks=remarks))


class Remove(io.ComfyNode):
    """Takes concepts out of a model's applied increments."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            folder="erase",
            node_id="SepME_Remove",
            display_name="SepME Restore",
            description="Takes increments out of a model again: the concept is back, exactly. "
            "The others stay.",
            search_aliases=["SepME Remove", "restore concept", "give back", "undo erasing"],
            inputs=[
                io.Model.Input("model", tooltip="A model from SepME Apply."),
                io.String.Input(
                    "names",
                    default="",
                    tooltip="Concepts to restore, separated by commas. Empty restores all.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="With the concepts restored.")],
        )

    @classmethod
    def execute(cls, model: Any, names: str) -> io.NodeOutput:
        """Unknown names are refused, with what is there."""
        gone = parse_names(names)
        headline = f"{', '.join(gone) or 'Everything'} given back"
        restored = host.remove(model, gone)
        return io.NodeOutput(restored, ui=told(headline, remarks=warn(on_graph(restored))))
