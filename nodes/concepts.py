"""The node that turns plain text into a concept set."""

from __future__ import annotations

from comfy_api.latest import io

from ..sepme_core.concepts import (
    DEFAULT_TEMPLATES,
    ConceptSet,
)
from ..sepme_core.text_fields import parse_concepts, parse_lines, parse_protected, parse_templates
from . import preserve as lists
from .common import ConceptsType, schema

__all__ = ["Concepts"]


class Concepts(io.ComfyNode):
    """Concept set from plain text."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            folder="erase",
            node_id="SepME_Concepts",
            display_name="SepME Concepts",
            description="Names what the model shall no longer draw, and what must not change.",
            search_aliases=["erase", "unlearn", "remove style", "safety"],
            advanced=["templates", "protected_prompts", "preserve", "preserve_list"],
            inputs=[
                io.String.Input(
                    "concepts",
                    multiline=True,
                    default="Van Gogh -> painting",
                    tooltip="What to remove, one a line: name | synonym, synonym -> anchor. "
                    "Synonyms are removed with the name; the anchor is what is drawn instead "
                    "(nothing in particular if left out; 'nearest' for the protected concept most "
                    "like it).",
                ),
                io.String.Input(
                    "templates",
                    multiline=True,
                    default="\n".join(DEFAULT_TEMPLATES),
                    tooltip="Sentences people use around a name, one a line, with {} in its place. "
                    "The bare name is always included.",
                ),
                io.String.Input(
                    "protected_concepts",
                    multiline=True,
                    default="",
                    tooltip="Names that must not change, one a line. They are protected in every "
                    "template. The concepts above protect each other anyway.",
                ),
                io.String.Input(
                    "protected_prompts",
                    multiline=True,
                    default="watermark",
                    tooltip="Whole prompts that must not change, one a line, used as they are. "
                    "The empty prompt is always among them.",
                ),
                io.String.Input(
                    "preserve",
                    multiline=True,
                    default="",
                    optional=True,  # workflows saved before it stay valid
                    tooltip="Ordinary captions, one a line, hundreds if you like. They are kept as "
                    "well as possible behind everything protected above. Captions that name an "
                    "erased concept are left out.",
                ),
                lists.list_input(),
            ],
            outputs=[ConceptsType.Output(display_name="concepts", tooltip="For SepME Compute.")],
        )

    @classmethod
    def validate_inputs(cls, preserve_list: str | None = lists.NONE) -> bool | str:
        """Refuses a list that vanished before anything runs; a linked one is not known yet."""
        return (None if preserve_list is None else lists.refusal(preserve_list)) or True

    @classmethod
    def fingerprint_inputs(cls, preserve_list: str | None = lists.NONE, **_: object) -> str:
        """Runs again when the list on disk changed."""
        return lists.list_stamp(preserve_list)

    @classmethod
    def execute(
        cls,
        concepts: str,
        templates: str,
        protected_concepts: str,
        protected_prompts: str,
        preserve: str = "",
        preserve_list: str = lists.NONE,  # workflows from before there were lists
    ) -> io.NodeOutput:
        """Parses and checks; see `ConceptSet` and `read_preserve` for the errors."""
        return io.NodeOutput(
            ConceptSet(
                parse_concepts(concepts),
                parse_templates(templates),
                parse_protected(protected_concepts),
                parse_lines(protected_prompts),
                lists.captions(preserve_list, preserve),
            )
        )
