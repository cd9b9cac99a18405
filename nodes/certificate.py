"""The node that shows who leaks into whom."""

from __future__ import annotations

import logging
from typing import Any

from comfy_api.latest import io

from ..sepme_core.application import check_fits
from ..sepme_core.certificate import HELD_OUT_TEMPLATES, Certificate, certify
from ..sepme_core.certificate_report import certificate_report
from ..sepme_core.increment import Stack
from ..sepme_core.text_fields import parse_lines
from . import host
from .certificate_plot import certificate_plot
from .common import StackType, schema
from .session import open_session
from .telling import Remark, counted, told

__all__ = ["CertificateNode"]

log = logging.getLogger(__name__)


class CertificateNode(io.ComfyNode):
    """Leak matrix, margins and capacity of a stack."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            folder="check",
            node_id="SepME_Certificate",
            display_name="SepME Certificate",
            description="Measures how far every increment of a stack moves its own concept, every "
            "other one, and what it protects, on the prompts it was given and on unseen ones.",
            search_aliases=["leak matrix", "check erased concepts", "separability"],
            inputs=[
                StackType.Input(
                    "stack", tooltip="Increments at full strength, switched off ones included."
                ),
                io.Model.Input("model", tooltip="The model they are used with; it stays as it is."),
                io.Clip.Input("clip", tooltip="The CLIP that belongs to the model."),
                io.String.Input(
                    "held_out",
                    multiline=True,
                    default="\n".join(HELD_OUT_TEMPLATES),
                    tooltip="Sentences to test with, one a line, with {} in place of the name. "
                    "Those that an increment was computed with are left out.",
                ),
            ],
            outputs=[
                io.String.Output(
                    display_name="report", tooltip="What leaks, what to do, and all numbers."
                ),
                io.Image.Output(
                    display_name="plot", tooltip="Leak matrices, margins and capacity."
                ),
            ],
        )

    @classmethod
    def execute(cls, stack: Stack, model: Any, clip: Any, held_out: str) -> io.NodeOutput:
        """Checks that everything belongs together before the first prompt is encoded."""
        increments = [entry.increment for entry in stack.entries]
        session = open_session(model, clip, stack)
        family = host.family_of(session.model)
        check_fits(increments, host.matching_layers(session.model, family.cross_attention))
        certificate = certify(
            increments,
            session.encode,
            session.weights,
            session.dtype,
            parse_lines(held_out),
            host.NodeProgress(),
            host.compute_device(),
        )
        text = certificate_report(certificate)
        log.info("SepME\n%s", text)
        ui = told("Nothing leaks", text, _remarks(certificate), _margin(certificate))
        return io.NodeOutput(text, certificate_plot(certificate), ui=ui)


def _margin(certificate: Certificate) -> float | None:
    pairs = zip(certificate.separable, certificate.constraint.margins, strict=True)
    return min((margin.width for separable, margin in pairs if separable), default=None)


def _remarks(certificate: Certificate) -> list[Remark]:
    pairs, held_out = certificate.leaking, certificate.leaking_held_out
    names = zip(certificate.names, certificate.separable, strict=True)
    remarks = [Remark(f"{name!r} moves everything") for name, separable in names if not separable]
    if pairs:
        remarks.append(Remark(f"{pairs[0].eraser!r} moves {pairs[0].seen!r}"))
    if held_out:
        few = f"{counted(len(held_out), 'pair')} leaking on unseen prompts"
        remarks.append(Remark(few, "", "note"))
    return remarks
