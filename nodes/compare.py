"""The node that draws before and after."""

from __future__ import annotations

import logging
from typing import Any

import torch
from comfy_api.latest import io

from ..sepme_core.errors import ConceptError
from ..sepme_core.text_fields import parse_lines
from . import host
from .common import schema, side_input
from .comparison import comparison_plot, comparison_report, draw_pairs
from .telling import told

__all__ = ["Compare"]

log = logging.getLogger(__name__)


class Compare(io.ComfyNode):
    """The same seeds with two models."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            folder="check",
            node_id="SepME_Compare",
            display_name="SepME Compare",
            description="Draws the same prompts and seeds with two models, side by side, and says "
            "which pictures are identical to the bit.",
            search_aliases=["before after", "grid", "xy plot", "check erased concepts"],
            advanced=["width", "height"],
            inputs=[
                io.Model.Input("before", tooltip="The model as it was."),
                io.Model.Input("after", tooltip="The model from SepME Apply or Eraser."),
                io.Clip.Input("clip", tooltip="The CLIP that belongs to both."),
                io.Vae.Input("vae", tooltip="The VAE that belongs to both."),
                io.String.Input(
                    "prompts",
                    multiline=True,
                    default="a photo of a cat\na photo of a dog",
                    tooltip="What to draw, one prompt a line: what is erased, and what must stay.",
                ),
                io.String.Input("negative", default="", tooltip="Negative prompt of all pictures."),
                io.Int.Input(
                    "n_per_prompt",
                    default=1,
                    min=1,
                    max=16,
                    tooltip="Pictures of each prompt, on seeds that follow each other.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**32 - 1,
                    control_after_generate=True,
                    tooltip="Of the first picture of each prompt.",
                ),
                io.Int.Input(
                    "steps", default=20, min=1, max=1000, tooltip="Sampling steps of each picture."
                ),
                io.Float.Input(
                    "cfg",
                    default=7.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="Guidance, as in KSampler.",
                ),
                io.Combo.Input(
                    "sampler",
                    options=host.samplers(),
                    default="euler",
                    tooltip="As in KSampler. One that adds noise is the same for both models.",
                ),
                io.Combo.Input(
                    "scheduler",
                    options=host.schedulers(),
                    default="normal",
                    tooltip="As in KSampler.",
                ),
                side_input("width", "Of each picture."),
                side_input("height", "Of each picture."),
                io.Boolean.Input(
                    "difference",
                    default=False,
                    tooltip="One more column: how far the two differ, amplified.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="grid", tooltip="All of them, with labels."),
                io.Image.Output(
                    display_name="pictures",
                    tooltip="As drawn: before, after, before, after, and so on.",
                ),
                io.String.Output(display_name="report", tooltip="Which are identical."),
            ],
        )

    @classmethod
    def execute(  # noqa: PLR0913
        cls,
        before: Any,
        after: Any,
        clip: Any,
        vae: Any,
        prompts: str,
        negative: str,
        n_per_prompt: int,
        seed: int,
        steps: int,
        cfg: float,
        sampler: str,
        scheduler: str,
        width: int,
        height: int,
        difference: bool,
    ) -> io.NodeOutput:
        """Each picture by itself, so that its neighbours in a batch cannot change its last bits."""
        texts = parse_lines(prompts)
        if not texts:
            raise ConceptError("No prompt is given. Write at least one, one a line.")
        pairs = draw_pairs(
            (before, after),
            clip,
            vae,
            texts,
            negative,
            range(seed, seed + n_per_prompt),
            host.Sampling(steps, cfg, sampler, scheduler),
            host.picture_size(before, width, height),
        )
        text = comparison_report(pairs)
        log.info("SepME\n%s", text)
        pictures = torch.stack([p for pair in pairs for p in (pair.before, pair.after)])
        plot = comparison_plot(pairs, difference=difference)
        return io.NodeOutput(plot, pictures, text, ui=told(text.splitlines()[0], text))
