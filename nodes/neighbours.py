"""The node that suggests what to protect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comfy_api.latest import io

from ..sepme_core.concepts import Concept, ConceptSet
from ..sepme_core.errors import SepMEError
from ..sepme_core.neighbours import Neighbour, neighbours
from ..sepme_core.text_fields import parse_concepts
from . import host
from .common import schema
from .name_vectors import NameVectors
from .telling import counted, told

__all__ = ["Neighbours"]


class Neighbours(io.ComfyNode):
    """What is most like each concept."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            folder="erase",
            node_id="SepME_Neighbours",
            display_name="SepME Neighbours",
            description="Suggests what to protect: the names that the text encoder finds most "
            "like the concepts.",
            search_aliases=["protect", "similar concepts", "suggest protected"],
            is_output_node=True,
            inputs=[
                io.Clip.Input("clip", tooltip="The CLIP that belongs to the model."),
                io.String.Input(
                    "concepts",
                    multiline=True,
                    default="Van Gogh -> painting",
                    tooltip="What is to be erased, as in SepME Eraser: name | synonym, synonym -> "
                    "anchor, one a line. None of these words is suggested.",
                ),
                io.Int.Input(
                    "count",
                    default=8,
                    min=1,
                    max=50,
                    tooltip="How many names for each concept.",
                ),
            ],
            outputs=[
                io.String.Output(
                    display_name="names", tooltip="One a line, ready for protected_concepts."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, concepts: str | None = None) -> bool | str:
        """Refuses text that cannot be read before anything runs; linked text is not known yet."""
        try:
            if concepts is not None:
                _read(concepts)
        except SepMEError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, clip: Any, concepts: str, count: int) -> io.NodeOutput:
        """Encodes the pack's list of names once for every text encoder."""
        found = neighbours(_read(concepts), NameVectors(clip), count)
        names = "\n".join(dict.fromkeys(n.name for near in found.values() for n in near))
        text = _report(found)
        host.show_text(text)
        headline = f"{counted(len(names.splitlines()), 'name')} suggested"
        return io.NodeOutput(names, ui=told(headline, text, sepme_neighbours=_by_concept(found)))


def _read(concepts: str) -> Sequence[Concept]:
    return ConceptSet(parse_concepts(concepts)).concepts


def _report(found: dict[str, tuple[Neighbour, ...]]) -> str:
    return "\n".join(f"{name}: {', '.join(n.name for n in near)}" for name, near in found.items())


def _by_concept(found: dict[str, tuple[Neighbour, ...]]) -> list[dict[str, Any]]:
    """What the page is told, nearest first."""
    return [
        {
            "concept": concept,
            "names": [{"name": n.name, "similarity": round(n.similarity, 3)} for n in near],
        }
        for concept, near in found.items()
    ]
