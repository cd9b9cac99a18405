"""The node that draws on what a model was trained on, whichever model it is."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from . import host
from .common import schema, side_input

__all__ = ["Size"]


class Size(io.ComfyNode):
    """An empty latent of the model's own size."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            folder="check",
            node_id="SepME_Size",
            display_name="SepME Size",
            description="An empty latent of the size that the model was trained on, so that a "
            "workflow draws with any checkpoint.",
            search_aliases=["empty latent", "resolution", "picture size"],
            advanced=["width", "height"],
            inputs=[
                io.Model.Input("model", tooltip="The model to draw with; it stays as it is."),
                io.Int.Input(
                    "batch_size", default=1, min=1, max=4096, tooltip="Pictures drawn together."
                ),
                side_input("width", "Width in pixels."),
                side_input("height", "Height in pixels."),
            ],
            outputs=[
                io.Latent.Output(display_name="latent", tooltip="Empty, for KSampler."),
                io.Int.Output(display_name="width", tooltip="Of each picture, in pixels."),
                io.Int.Output(display_name="height", tooltip="Of each picture, in pixels."),
            ],
        )

    @classmethod
    def execute(cls, model: Any, batch_size: int, width: int, height: int) -> io.NodeOutput:
        """Looks at the model's network, never at its name."""
        size = host.picture_size(model, width, height)
        latent = host.empty_latent(model, *size).repeat(batch_size, 1, 1, 1)
        return io.NodeOutput({"samples": latent}, *size)
