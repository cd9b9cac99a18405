"""Nodes that load, save and join increments."""

from __future__ import annotations

from comfy_api.latest import io

from ..sepme_core.increment import Stack, StackEntry
from . import files, host
from .common import StackType, schema
from .remarks import on_stack
from .saving import save
from .telling import counted, told, warn

__all__ = ["Load", "Save", "StackNode"]

N_STACKS = 4


class Load(io.ComfyNode):
    """One increment file, appended to a stack."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            folder="files",
            node_id="SepME_Load",
            display_name="SepME Load",
            description="Loads one increment from models/sepme and adds it to a stack.",
            search_aliases=["load increment", "load erased concept"],
            inputs=[
                io.Combo.Input(
                    "increment",
                    options=host.harmless(files.list_increments()),
                    tooltip="A file in models/sepme.",
                ),
                io.Boolean.Input(
                    "enabled", default=True, tooltip="Off leaves this concept in the model."
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=-4.0,
                    max=4.0,
                    step=0.05,
                    tooltip="1 erases as computed; 0 does nothing.",
                ),
                StackType.Input(
                    "stack", optional=True, tooltip="Increments that this one is added to."
                ),
            ],
            outputs=[StackType.Output(display_name="stack", tooltip="For SepME Apply.")],
        )

    @classmethod
    def validate_inputs(cls, increment: str | None = None) -> bool | str:
        """Refuses a missing file before anything is computed; a linked one is not known yet."""
        if increment is None or increment in files.list_increments():
            return True
        return (
            f"{increment!r} is not in models/sepme. Put the file there, or compute and save the "
            "concept again; then press R to refresh the list."
        )

    @classmethod
    def fingerprint_inputs(cls, increment: str | None = None, **_: object) -> str:
        """Runs again when the file on disk changed; any of them where it is not known yet."""
        return files.all_stamps() if increment is None else files.file_stamp(increment)

    @classmethod
    def execute(
        cls, increment: str, enabled: bool, strength: float, stack: Stack | None = None
    ) -> io.NodeOutput:
        """Reads strictly; see `read_increment` for the errors."""
        entry = StackEntry(files.load_increment(increment), strength, enabled)
        joined = (stack or Stack()) + Stack((entry,))
        remarks = warn(on_stack(joined))
        return io.NodeOutput(joined, ui=told(f"{entry.name} loaded", remarks=remarks))


class Save(io.ComfyNode):
    """Every increment of a stack as a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            folder="files",
            node_id="SepME_Save",
            display_name="SepME Save",
            description="Writes each increment of a stack into models/sepme, one file a concept.",
            search_aliases=["save increments", "save erased concepts"],
            is_output_node=True,
            inputs=[
                StackType.Input("stack", tooltip="Increments to save; strengths are not stored."),
                io.String.Input(
                    "folder", default="", tooltip="A folder inside models/sepme; empty for none."
                ),
                io.Boolean.Input(
                    "overwrite", default=False, tooltip="Replace files of the same name."
                ),
            ],
            outputs=[io.String.Output(display_name="paths", tooltip="The files, one a line.")],
        )

    @classmethod
    def fingerprint_inputs(cls, folder: str | None = None, **_: object) -> str:
        """Runs again when its folder changed: what it has written may be gone."""
        return files.folder_stamp(folder)

    @classmethod
    def execute(cls, stack: Stack, folder: str, overwrite: bool) -> io.NodeOutput:
        """Checks all names before writing the first file."""
        increments = [entry.increment for entry in stack.entries]
        saved = save(increments, folder, overwrite=overwrite)
        text = "\n".join(map(str, saved.paths))
        return io.NodeOutput(text, ui=told(saved.headline, text, sepme_saved=saved.told))


class StackNode(io.ComfyNode):
    """Joins stacks."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            folder="files",
            node_id="SepME_Stack",
            display_name="SepME Stack",
            description="Joins up to four stacks. An increment in two of them counts once.",
            search_aliases=["join stacks", "combine erased concepts"],
            inputs=[
                StackType.Input(f"stack_{i}", optional=True, tooltip="Any stack.")
                for i in range(1, N_STACKS + 1)
            ],
            outputs=[StackType.Output(display_name="stack", tooltip="All of them.")],
        )

    @classmethod
    def execute(cls, **stacks: Stack | None) -> io.NodeOutput:
        """Adds them in order."""
        joined = sum((s for s in stacks.values() if s is not None), Stack())
        remarks = warn(on_stack(joined))
        return io.NodeOutput(joined, ui=told(counted(len(joined), "increment"), remarks=remarks))
