"""The node that loads any number of increments, one a row."""

from __future__ import annotations

from functools import partial
from typing import Any

from comfy_api.latest import io

from ..sepme_core.concepts import ConceptSet
from ..sepme_core.errors import SepMEError
from ..sepme_core.increment import Stack
from . import files, host
from .common import ConceptsType, StackType, schema
from .file_rows import (
    joined,
    load_rows,
    read_file_rows,
    refuse_bad,
    row_remarks,
    row_stamp,
    rows_report,
)
from .remarks import on_stack
from .restoring import restored
from .telling import counted, told, warn

__all__ = ["LoadStack"]


class LoadStack(io.ComfyNode):
    """Many increment files, appended to a stack."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            folder="files",
            node_id="SepME_LoadStack",
            display_name="SepME Load Stack",
            description="Loads any number of increments from models/sepme, each with its switch, "
            "strength and part of the sampling.",
            search_aliases=["load erased concepts", "lora stack", "unlearn", "remove style"],
            inputs=[
                io.String.Input(
                    "rows",
                    multiline=True,
                    default="",
                    tooltip="One file a line: file strength start-end off, of which only the file "
                    "is needed. The page writes JSON here.",
                ),
                StackType.Input(
                    "stack", optional=True, tooltip="Increments that the rows are added to."
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="With clip and concepts: what files that are missing are computed on "
                    "again.",
                ),
                io.Clip.Input("clip", optional=True, tooltip="The CLIP that belongs to the model."),
                ConceptsType.Input(
                    "concepts",
                    optional=True,
                    tooltip="What missing files are computed from again. A workflow that has it "
                    "runs on machines without the files.",
                ),
            ],
            outputs=[
                StackType.Output(display_name="stack", tooltip="For SepME Apply."),
                io.String.Output(display_name="report", tooltip="What each row is, and its flaws."),
            ],
        )

    @classmethod
    def validate_inputs(cls, rows: str | None = None) -> bool | str:
        """Refuses rows that cannot be read before anything runs.

        Rows without a file are refused by `execute`: only there is it known what is connected.
        """
        try:
            read_file_rows(rows or "")
        except SepMEError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, rows: str | None = None, **_: object) -> str:
        """Runs again when a file of a row that is on changed on disk."""
        if rows is None:  # linked: not known yet
            return files.all_stamps()
        return "\n".join(row_stamp(row) for row in read_file_rows(rows) if row.on)

    @classmethod
    def execute(  # noqa: PLR0913
        cls,
        rows: str,
        stack: Stack | None = None,
        model: Any = None,
        clip: Any = None,
        concepts: ConceptSet | None = None,
    ) -> io.NodeOutput:
        """Looks at every row before it refuses any; rows that are off are not opened."""
        stack = stack or Stack()
        restore = None
        if model is not None and clip is not None and concepts is not None:
            restore = partial(restored, model=model, clip=clip, concepts=concepts, stack=stack)
        loaded = load_rows(read_file_rows(rows), stack, restore)
        events = [row.event(number) for number, row in enumerate(loaded)]
        for event in events:
            host.send("sepme.row", event)
        refuse_bad(loaded)
        together = joined(stack, loaded)
        text = rows_report(loaded)
        headline = f"{sum(row.row.on for row in loaded)} of {counted(len(loaded), 'row')} on"
        ui = told(
            headline, text, [*row_remarks(loaded), *warn(on_stack(together))], sepme_rows=events
        )
        return io.NodeOutput(together, text, ui=ui)
