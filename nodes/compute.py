"""The node that computes increments on the host's loaded model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from comfy_api.latest import io

from ..sepme_core.anchors import check_anchors_stay
from ..sepme_core.concepts import ConceptSet
from ..sepme_core.config import METHODS, PROTECTIONS, BasisConfig, EraseConfig, Protection
from ..sepme_core.increment import Increment, Stack
from ..sepme_core.report import NARROW_MARGIN
from ..sepme_core.text_fields import parse_names
from . import host
from .common import ConceptsType, StackType, schema, side_input
from .computing import find_or_compute
from .kept import Kept
from .plots import erasure_plot
from .remarks import on_concepts
from .session import identify
from .task import Task
from .telling import Remark, counted, told

__all__ = ["Compute"]

log = logging.getLogger(__name__)
AUTOMATIC = "automatic"
_SOLVER: list[io.Input] = [
    io.Combo.Input(
        "protection",
        options=[AUTOMATIC, *PROTECTIONS],
        default=AUTOMATIC,
        tooltip="Truncated: the directions that matter, exact through the dead zone "
        "(automatic, but for the paper's methods). Reduced and full: every direction, "
        "for few protected prompts only. Full is the paper's basis.",
    ),
    io.Float.Input(
        "energy",
        default=0.97,
        min=0.5,
        max=1.0,
        step=0.01,
        tooltip="Truncated only: share of the concept to act on. More erases odd "
        "phrasings better and comes closer to its neighbours.",
    ),
    io.Float.Input(
        "tolerance",
        default=0.1,
        min=0.001,
        max=0.5,
        step=0.001,
        tooltip="Truncated only: what a protected word may have outside the protected "
        "directions, as a share of its length. The dead zone takes care of that rest.",
    ),
    io.Float.Input(
        "dead_zone",
        default=0.0,
        min=0.0,
        max=0.95,
        step=0.01,
        tooltip="Prompts reaching less than this into the concept stay untouched, to "
        "the bit. 0 chooses it from the prompts.",
    ),
]
"""How the directions are found."""
_TRAINING: list[io.Input] = [
    io.Int.Input(
        "max_steps",
        default=0,
        min=0,
        max=10000,
        tooltip="Limit for methods that train. 0: the method's own.",
    ),
    io.Float.Input(
        "learning_rate",
        default=0.0,
        min=0.0,
        max=10.0,
        step=0.000001,
        round=False,
        tooltip="For methods that train. 0: the method's own.",
    ),
    io.Int.Input(
        "n_latents",
        default=8,
        min=1,
        max=64,
        tooltip="Pictures of the concept drawn for methods that train.",
    ),
    side_input("resolution", "Size of those pictures, in pixels."),
    io.Int.Input(
        "seed",
        default=0,
        min=0,
        max=2**32 - 1,
        control_after_generate=True,
        tooltip="Same seed, same increments.",
    ),
]
"""For methods that train."""


class Compute(io.ComfyNode):
    """Increments for the chosen concepts."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            folder="erase",
            node_id="SepME_Compute",
            display_name="SepME Compute",
            description="Computes one small increment per concept. The model stays as it is.",
            search_aliases=["erase", "unlearn", "remove style", "safety"],
            advanced=[given.id for given in (*_SOLVER, *_TRAINING)],
            inputs=[
                io.Model.Input("model", tooltip="The model to compute on; it stays as it is."),
                io.Clip.Input("clip", tooltip="The CLIP that belongs to the model."),
                ConceptsType.Input("concepts", tooltip="From SepME Concepts."),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default=METHODS[0],
                    tooltip="Closed form: seconds, no drawing. Refine: also follows the model's "
                    "own predictions at every time. Paper: as published, slow. Unconstrained: for "
                    "what must never come back; it changes other concepts too.",
                ),
                io.String.Input(
                    "erase",
                    default="",
                    tooltip="Which concepts to erase, separated by commas. Empty: all of them.",
                ),
                *_SOLVER,
                *_TRAINING,
                io.Latent.Input(
                    "latent",
                    optional=True,
                    tooltip="Pictures of the concept to train on instead of drawn ones; for one "
                    "concept at a time.",
                ),
                StackType.Input(
                    "known",
                    optional=True,
                    tooltip="Increments you already use: their concepts are protected as well.",
                ),
            ],
            outputs=[
                StackType.Output(display_name="stack", tooltip="One increment per concept."),
                io.String.Output(display_name="report", tooltip="What was found and measured."),
                io.Image.Output(display_name="plot", tooltip="Margins and training curves."),
            ],
        )

    @classmethod
    def execute(  # noqa: PLR0913
        cls,
        model: Any,
        clip: Any,
        concepts: ConceptSet,
        method: str,
        erase: str,
        resolution: int,
        latent: dict[str, Any] | None = None,
        known: Stack | None = None,
        **settings: Any,
    ) -> io.NodeOutput:
        """Everything is checked before the first step; the host's weights are never written."""
        resolution, _ = host.picture_size(model, resolution, resolution)
        known = known or Stack()
        chosen = concepts.choose(parse_names(erase))
        check_anchors_stay(chosen)
        encoder = identify(model, clip).text_encoder
        host.check_same_encoder([e.increment for e in known.entries], encoder)
        task = Task.of(concepts, _config(method, **settings), resolution, latent)
        kept = Kept(task.protecting(known), model, clip, (*chosen, *known.concepts))
        results, fresh = find_or_compute(model, clip, kept, chosen, known, latent)
        increments = [increment for increment, _ in results]
        text = "\n\n".join(account.text for _, account in results) + _notes(increments)
        if len(fresh) < len(chosen):
            old = ", ".join(c.name for c in chosen if c not in fresh)
            text += f"\n\nTaken from an earlier run; the times above are that run's: {old}."
        log.info("SepME\n%s", text)
        headline = f"{counted(len(chosen), 'concept')} {'computed' if fresh else 'from the cache'}"
        margins = [i.dead_zone.margin for i in increments if i.separable]
        remarks = _remarks(increments) + on_concepts(concepts)
        ui = told(headline, text, remarks, min(margins, default=None))
        plot = erasure_plot([(increment, account.statistics) for increment, account in results])
        return io.NodeOutput(Stack.of(increments), text, plot, ui=ui)


def _config(  # noqa: PLR0913
    method: str,
    *,
    protection: str,
    energy: float,
    tolerance: float,
    dead_zone: float,
    max_steps: int,
    learning_rate: float,
    n_latents: int,
    seed: int,
) -> EraseConfig:
    """Widgets at 0 mean the method's own default, which stays in one place: the core."""
    config = EraseConfig(method=method, seed=seed)
    if protection == AUTOMATIC:
        protection = "full" if method.startswith("paper") else "truncated"
    basis = BasisConfig(
        cast("Protection", protection),
        energy=energy,
        tolerance=tolerance,
        dead_zone=dead_zone or None,
    )
    own: dict[str, Any] = {"max_steps": max_steps, "learning_rate": learning_rate}
    own = {k: v for k, v in own.items() if v}
    paper = config.paper
    if method == "unconstrained":
        paper = replace(paper, learning_rate=1e-5)  # SRS-ME, the variant marked ‡
    return replace(
        config,
        basis=basis,
        paper=replace(paper, n_images=n_latents, **own),
        refine=replace(config.refine, n_trajectories=n_latents, **own),
    )


def _remarks(increments: Sequence[Increment]) -> list[Remark]:
    """What to look at in the report."""
    return [r for r in map(_remark, increments) if r]


def _remark(increment: Increment) -> Remark | None:
    name, zone = increment.concept.name, increment.dead_zone
    if not increment.separable:
        return Remark(f"{name!r} changes other concepts too")
    if zone.threshold <= zone.largest_protected:
        return Remark(f"{name!r} changes what is protected: its dead zone is too low")
    if zone.margin < NARROW_MARGIN:
        return Remark(f"{name!r} is hard to tell from {zone.nearest!r}", "", "note")
    return None


def _notes(increments: Sequence[Increment]) -> str:
    if any(i.provenance.family.startswith("sdxl") for i in increments):
        return (
            "\n\nSDXL also sees the prompt through its pooled vector, which is not edited: a trace "
            "of the concept may be left."
        )
    return ""
