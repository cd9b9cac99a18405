"""Thin ComfyUI adapters around `sepme_core`.

Only `host.py` and `denoiser.py` know the host's internals.
"""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import files
from .apply import Apply, Remove
from .compute import Compute
from .concepts import Concepts
from .stacks import Load, Save, StackNode

__all__ = ["SepMEExtension"]


class SepMEExtension(ComfyExtension):
    """Everything the host registers."""

    async def on_load(self) -> None:
        """Makes `models/sepme` known to the host."""
        files.register_folder()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The nodes, in menu order."""
        return [Concepts, Compute, Apply, Remove, StackNode, Load, Save]
