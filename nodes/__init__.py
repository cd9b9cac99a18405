"""Thin ComfyUI adapters around `sepme_core`.

Only `host/` knows the host's internals.
"""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import files
from .apply import Apply, Remove
from .certificate import CertificateNode
from .compute import Compute
from .concepts import Concepts
from .eraser import Eraser
from .export import ExportLoRA
from .load_stack import LoadStack
from .separate import Separate
from .stacks import Load, Save, StackNode

__all__ = ["SepMEExtension"]


class SepMEExtension(ComfyExtension):
    """Everything the host registers."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The nodes, in menu order; `models/sepme` is made known first, as they list its files."""
        files.register_folder()
        return [
            Eraser,
            Concepts,
            Compute,
            Apply,
            Remove,
            StackNode,
            Load,
            LoadStack,
            Save,
            Separate,
            CertificateNode,
            ExportLoRA,
        ]
