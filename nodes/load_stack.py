"""The node that loads any number of increments, one a row."""

from __future__ import annotations

from comfy_api.latest import io

from ..sepme_core.errors import SepMEError
from ..sepme_core.increment import Stack
from . import files, host
from .common import StackType, schema, tell_strangers
from .file_rows import load_rows, read_file_rows, refuse_bad, rows_report

__all__ = ["LoadStack"]

_MOST = 20  # files named in a refusal


class LoadStack(io.ComfyNode):
    """Many increment files, appended to a stack."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
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
            ],
            outputs=[
                StackType.Output(display_name="stack", tooltip="For SepME Apply."),
                io.String.Output(display_name="report", tooltip="What each row is, and its flaws."),
            ],
        )

    @classmethod
    def validate_inputs(cls, rows: str | None = None) -> bool | str:
        """Refuses rows that cannot be read, or whose file is missing, before anything runs."""
        try:
            known = set(files.list_increments())
            missing = [r.key for r in read_file_rows(rows or "") if r.on and r.key not in known]
        except SepMEError as error:
            return str(error)
        more = f" and {len(missing) - _MOST} more" if len(missing) > _MOST else ""
        return not missing or (
            f"Not in models/{files.FOLDER}: {', '.join(map(repr, missing[:_MOST]))}{more}. Put the "
            "files there, switch their rows off, or compute and save the concepts again."
        )

    @classmethod
    def fingerprint_inputs(cls, rows: str | None = None, **_: object) -> str:
        """Runs again when a file of a row that is on changed on disk."""
        if rows is None:  # linked: not known yet
            return "\n".join(map(files.file_stamp, files.list_increments()))
        return "\n".join(files.file_stamp(r.key) for r in read_file_rows(rows) if r.on)

    @classmethod
    def execute(cls, rows: str, stack: Stack | None = None) -> io.NodeOutput:
        """Looks at every row before it refuses any; rows that are off are not opened."""
        stack = stack or Stack()
        loaded = load_rows(read_file_rows(rows), stack)
        told = [row.event(number) for number, row in enumerate(loaded)]
        for row in told:
            host.send("sepme.row", row)
        refuse_bad(loaded)
        entries = {row.increment.digest: row.entry for row in loaded if row.increment}
        joined = stack + Stack(tuple(entries.values()))
        tell_strangers(joined)
        text = rows_report(loaded)
        return io.NodeOutput(joined, text, ui={"sepme_rows": told, "sepme_report": [text]})
