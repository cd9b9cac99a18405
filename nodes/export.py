"""The node that writes a stack as a plain LoRA file."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import folder_paths
from comfy_api.latest import io

from ..sepme_core.application import check_fits
from ..sepme_core.concepts import quoted
from ..sepme_core.errors import ConceptError, IncompatibleError, IncrementFileError
from ..sepme_core.increment import Stack
from ..sepme_core.lora import (
    NOTE,
    Lora,
    is_ours,
    lora_leak,
    lora_metadata,
    protected_by_all,
    read_lora,
)
from ..sepme_core.safetensors_file import to_safetensors, write_file
from . import files, host
from .common import StackType, schema
from .listing import without_ending
from .session import open_session
from .telling import told

__all__ = ["ExportLoRA"]

log = logging.getLogger(__name__)
FOLDER = "loras"
Measure = Callable[[Lora], dict[str, object]]


class ExportLoRA(io.ComfyNode):
    """A stack as a LoRA that needs no SepME."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and outputs."""
        return schema(
            folder="files",
            node_id="SepME_ExportLoRA",
            display_name="SepME Export LoRA",
            description="Writes a stack as one plain LoRA into models/loras, for ComfyUI, A1111, "
            "Forge and diffusers. A LoRA has no dead zone: read the leak in the report.",
            search_aliases=["save lora", "erase lora", "convert increment"],
            is_output_node=True,
            inputs=[
                StackType.Input("stack", tooltip="What is switched on, at its strengths."),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="The model it is for: its layers are checked, and with its CLIP the "
                    "leak is measured.",
                ),
                io.Clip.Input("clip", optional=True, tooltip="The CLIP that belongs to the model."),
                io.String.Input("filename", default="erased", tooltip="Name of the file."),
                io.String.Input(
                    "folder", default="", tooltip="A folder inside models/loras; empty for none."
                ),
                io.Boolean.Input(
                    "overwrite", default=False, tooltip="Replace a file of the same name."
                ),
            ],
            outputs=[
                io.String.Output(display_name="path", tooltip="The file."),
                io.String.Output(display_name="report", tooltip="What is in it, and its leak."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, folder: str | None = None, **_: object) -> str:
        """Runs again when its folder changed: what it has written may be gone."""
        return files.folder_stamp(folder, FOLDER)

    @classmethod
    def execute(  # noqa: PLR0913
        cls,
        stack: Stack,
        filename: str,
        folder: str,
        overwrite: bool,
        model: Any = None,
        clip: Any = None,
    ) -> io.NodeOutput:
        """Everything is checked and measured before the file is written, and measured again."""
        active = _active(stack)
        path = files.target_path(folder, without_ending(filename.strip()), FOLDER)
        plain = None if model is None else host.without_increments(model)
        family = _family(active, plain)
        lora = Lora.of(active).shortened()
        names = host.lora_names(lora.target_modules, family, plain)
        measure = _measuring(active, plain, clip)
        leak = measure(lora)
        metadata = lora_metadata(
            active,
            lora,
            title=path.stem,
            architecture=family.architecture,
            base_version=family.base_version,
            leak=leak,
        )
        _write(path, to_safetensors(lora.tensors(names), metadata), overwrite)
        _check_same_leak(path, leak, measure(read_lora(path, names)))
        text = _report(path, active, lora, leak)
        log.info("SepME\n%s", text)
        return io.NodeOutput(str(path), text, ui=told(f"{path.name} written", text))


def _active(stack: Stack) -> Stack:
    active = Stack(stack.active())
    if not len(active):
        raise ConceptError(
            "Nothing in the stack is switched on, so the LoRA would do nothing. In the stack: "
            f"{', '.join(stack.names) or 'nothing'}."
        )
    host.check_same_encoder([e.increment for e in active.entries])
    return active


def _family(active: Stack, plain: Any) -> host.Family:
    """The model's family, else the one the increments name."""
    increments = [e.increment for e in active.entries]
    if plain is not None:
        family = host.family_of(plain)
        check_fits(increments, host.matching_layers(plain, family.cross_attention))
        return family
    named = {i.provenance.family for i in increments}
    found = [f for f in host.FAMILIES if {f.name} == named]
    if not found or any(i.separable and i.basis.shape[1] != found[0].d_text for i in increments):
        raise IncompatibleError(
            f"The increments are for {', '.join(sorted(named)) or 'an unknown family'}, expected "
            f"one of {', '.join(f.name for f in host.FAMILIES)} for all of them. Connect the model "
            "that the LoRA is for, or export each family by itself."
        )
    return found[0]


def _measuring(active: Stack, plain: Any, clip: Any) -> Measure:
    """Gives the leak on what all increments protect; nothing where it cannot be measured."""
    prompts = protected_by_all(active)
    if plain is None or clip is None or not prompts:
        return lambda _: {}
    session = open_session(plain, clip, active)
    encoded = session.encode(prompts)

    def measure(lora: Lora) -> dict[str, object]:
        leak = lora_leak(lora, encoded, session.weights)
        return {"linear": leak.linear, "prompt": leak.prompt, "n_prompts": len(prompts)}

    return measure


def _write(path: Path, data: bytes, overwrite: bool) -> None:
    if files.same_content(data, path):
        return
    if path.exists() and not overwrite:
        or_replace = ", or turn overwrite on to replace it" if is_ours(path) else ""
        raise IncrementFileError(
            f"{path.name} exists already with other content, in {path.parent}. Choose another "
            f"filename or folder{or_replace}."
        )
    write_file(path, data, overwrite=overwrite)
    folder_paths.filename_list_cache.pop(FOLDER, None)


def _check_same_leak(path: Path, expected: dict[str, object], found: dict[str, object]) -> None:
    if expected != found:
        raise IncrementFileError(
            f"{path.name} leaks {found}, {expected} was measured before it was written: the file "
            "is damaged. Check the disk, and export again with overwrite on."
        )


def _report(path: Path, active: Stack, lora: Lora, leak: dict[str, object]) -> str:
    concepts = ", ".join(f"{e.name} at {e.strength:g}" for e in active.entries)
    size = path.stat().st_size / 1e6
    lines = [
        f"{path.name}: {concepts}",
        f"- rank {lora.rank}, {len(lora.target_modules)} layers, {size:.2f} MB",
        *_leak_lines(active, leak),
    ]
    if lora.full:
        lines.append(
            "- holds whole layers of an unconstrained increment: ComfyUI, A1111 and Forge read "
            "them, diffusers refuses the file"
        )
    timed = [e.name for e in active.entries if e.window != (0, 1)]
    if timed:
        lines.append(f"- acts at every time: start and end of {', '.join(timed)} are left out")
    return "\n".join([*lines, f"- {NOTE}"])


def _leak_lines(active: Stack, leak: dict[str, object]) -> list[str]:
    if leak:
        return [
            f"- leak in the written file, over {leak['n_prompts']} prompts that every concept "
            f"protects: {leak['linear']:.2g} of a layer's output, largest on "
            f"{quoted(str(leak['prompt']))}"
        ]
    if not protected_by_all(active):
        return ["- there is no prompt that every concept protects"]
    carried = [(e.name, e.increment.provenance.leak) for e in active.entries]
    return [
        "- leak of the file not measured: connect the model and its CLIP. What each increment "
        "carries:",
        *(f"  - {n}: {v['linear']:.2g}, on {quoted(str(v['prompt']))}" for n, v in carried if v),
    ]
