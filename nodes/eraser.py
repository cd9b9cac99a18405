"""The one node that does it all: concepts in, a model without them out."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from comfy_api.latest import io

from ..sepme_core.anchors import check_anchors_stay
from ..sepme_core.concepts import DEFAULT_TEMPLATES, ConceptSet
from ..sepme_core.errors import ConceptError, SepMEError
from ..sepme_core.increment import Stack
from ..sepme_core.text_fields import parse_concepts, parse_lines, parse_protected, parse_templates
from . import files, host
from . import preserve as lists
from .common import StackType, check_choices, mode_input, prompts_input, schema, side_input
from .concept_rows import (
    ConceptRow,
    compute_missing,
    concept_rows,
    idle_rows,
    narrowest,
    row_remarks,
    rows_report,
)
from .kept import Kept
from .last_run import note_run, read_task
from .remarks import on_concepts, on_model
from .rows import parse_rows
from .saving import save
from .session import identify
from .telling import Remark, counted, told, warn

__all__ = ["Eraser"]

log = logging.getLogger(__name__)
METHODS = ("closed form", "closed form + refine", "refine")  # those whose results do not mix
TEMPLATES = "\n".join(DEFAULT_TEMPLATES)


class Eraser(io.ComfyNode):
    """Concepts with switches, applied."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            folder="erase",
            node_id="SepME_Eraser",
            display_name="SepME Eraser",
            description="Erases concepts from the model. Each is computed once and kept; switching "
            "it off and on again takes no time.",
            search_aliases=["erase", "unlearn", "remove style", "remove concept", "safety"],
            advanced=[
                "preserve",
                "preserve_list",
                "method",
                "mode",
                "prompts_to_check",
                "resolution",
                "prompts",
                "templates",
                "save_to",
            ],
            inputs=[
                io.Model.Input("model", tooltip="Stays as it is; the output is a patched copy."),
                io.Clip.Input("clip", tooltip="The CLIP that belongs to the model."),
                io.String.Input(
                    "concepts",
                    multiline=True,
                    default="Van Gogh -> painting",
                    tooltip="What to erase, one a line: name | synonym, synonym -> anchor. "
                    "Synonyms are erased with the name; the anchor is what is drawn instead.",
                ),
                io.String.Input(
                    "rows",
                    multiline=True,
                    default="",
                    optional=True,
                    tooltip="Switches and strengths, one a line: name strength start-end off. "
                    "Concepts without a line are on. The page writes JSON here.",
                ),
                io.String.Input(
                    "protected_concepts",
                    multiline=True,
                    default="",
                    optional=True,
                    tooltip="Names that must not change, one a line: what is most like the "
                    "concepts above. Those protect each other anyway.",
                ),
                io.String.Input(
                    "preserve",
                    multiline=True,
                    default="",
                    optional=True,
                    tooltip="Ordinary captions, one a line, to be kept as well as possible.",
                ),
                lists.list_input(),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default=METHODS[0],
                    optional=True,
                    tooltip="Closed form: seconds, no drawing. Refine: also follows the model's "
                    "own predictions, up to a minute per concept.",
                ),
                mode_input(optional=True),
                io.String.Input(
                    "prompts_to_check",
                    multiline=True,
                    default="",
                    optional=True,
                    tooltip="Your prompts, one a line: the report says which of them name "
                    "something that is erased.",
                ),
                side_input("resolution", "Size of the pictures that refine draws.", optional=True),
                prompts_input(optional=True),
                io.String.Input(
                    "templates",
                    multiline=True,
                    default=TEMPLATES,
                    optional=True,
                    tooltip="Sentences people use around a name, one a line, with {} in its place. "
                    "The bare name is always included.",
                ),
                io.String.Input(
                    "save_to",
                    default="",
                    optional=True,
                    tooltip="A folder inside models/sepme in which every increment at hand is "
                    "saved as a file; a dot for models/sepme itself. Empty: none is.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="Without the concepts."),
                StackType.Output(
                    display_name="stack", tooltip="Every increment at hand, for SepME Save."
                ),
                io.String.Output(display_name="report", tooltip="How each concept is doing."),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        concepts: str | None = None,
        rows: str | None = None,
        preserve_list: str | None = lists.NONE,
        templates: str | None = "",
        protected_concepts: str | None = "",
        save_to: str | None = "",
    ) -> bool | str:
        """Refuses text that cannot be read before anything runs; linked text is not known yet."""
        try:
            given = parse_rows(rows or "")
            files.target_path(save_to or "", "any")
            if concepts is not None:
                written = parse_templates(templates or "")
                protected = parse_protected(protected_concepts or "")
                together = ConceptSet(parse_concepts(concepts), written, protected).concepts
                if rows is not None:
                    _check_anchors(concept_rows(together, given))
        except SepMEError as error:
            return str(error)
        return (None if preserve_list is None else lists.refusal(preserve_list)) or True

    @classmethod
    def fingerprint_inputs(cls, preserve_list: str | None = lists.NONE, **_: object) -> str:
        """Runs again when the list on disk changed."""
        return lists.list_stamp(preserve_list)

    @classmethod
    def execute(  # noqa: PLR0913
        cls,
        model: Any,
        clip: Any,
        concepts: str,
        rows: str = "",
        protected_concepts: str = "",
        preserve: str = "",
        preserve_list: str = lists.NONE,
        method: str = METHODS[0],
        mode: str = "exact",
        prompts_to_check: str = "",
        resolution: int = 0,
        prompts: str = "both",
        templates: str = TEMPLATES,  # workflows from before it could be chosen
        save_to: str = "",
    ) -> io.NodeOutput:
        """Computes what is on and not known yet, then patches a clone; weights stay as they are."""
        check_choices(mode, prompts)
        merged, window = mode == "merged", host.Window(positive_only=prompts == "positive")
        if merged and window.positive_only:
            raise ConceptError(
                "Merged mode changes the weights, for both prompts. Set prompts to 'both', or mode "
                "to 'exact'."
            )
        known = sum(host.applied(model), Stack())
        task = read_task(
            concepts, protected_concepts, preserve, preserve_list, method, resolution, templates
        )
        resolution, _ = host.picture_size(model, resolution, resolution)
        rows_now = concept_rows(parse_concepts(concepts), parse_rows(rows))
        _check_anchors(rows_now)
        erased = (*(row.concept for row in rows_now), *known.concepts)
        kept = Kept(task.drawn_at(resolution).protecting(known), model, clip, erased)
        note_run(task, kept)
        texts = task.digest
        found = compute_missing(model, clip, kept, rows_now, known, merged=merged, texts=texts)
        stack = Stack(tuple(row.entry for row in found if row.entry))
        apply = host.apply_merged if merged else host.apply_exact
        patched = apply(model, stack, window)
        events = [row.event(n, merged=merged, texts=texts) for n, row in enumerate(found)]
        for event in events:
            host.send("sepme.row", event)
        remarks = [*warn(on_model(model, patched, stack))]
        remarks += row_remarks(found, kept.unwritten, merged=merged)
        remarks += on_concepts(task.concepts)
        text = rows_report(found, parse_lines(prompts_to_check), kept.unwritten, merged=merged)
        text += idle_rows(task.concepts.concepts, parse_rows(rows))
        saved = _saved(stack, save_to)
        remarks += [r for r in saved if r.level == "warning"]
        text += "".join(f"\n\n{r.text}" for r in saved)
        log.info("SepME\n%s", text)
        provenance = identify(model, clip)
        fits = {k: getattr(provenance, k) for k in ("family", "text_encoder", "base")}
        headline = f"{len(stack.active())} of {counted(len(found), 'concept')} erased"
        ui = told(headline, text, remarks, narrowest(found), sepme_rows=events, sepme_model=[fits])
        return io.NodeOutput(patched, stack, text, ui=ui)


def _saved(stack: Stack, folder: str) -> list[Remark]:
    """What came of saving, if it was asked for; a file in the way keeps nobody from drawing."""
    if not folder.strip():
        return []
    try:
        saved = save([entry.increment for entry in stack.entries], folder, overwrite=False)
    except SepMEError as error:
        why = f"Nothing was saved: {error} SepME Save takes this node's stack, and can overwrite."
        return [Remark("not saved", why)]
    where = "\n".join(f"- {path}" for path in saved.paths)
    return [Remark(saved.headline, f"{saved.headline}:\n{where}", "note")]


def _check_anchors(rows: Iterable[ConceptRow]) -> None:
    """What is off may be drawn, also in the place of what is on."""
    check_anchors_stay([row.concept for row in rows if row.row.on])
