"""Thin ComfyUI adapters around `sepme_core`.

Only `host/` knows the host's internals.
"""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import files, host
from .apply import Apply, Remove
from .certificate import CertificateNode
from .compare import Compare
from .compute import Compute
from .concepts import Concepts
from .eraser import Eraser
from .export import ExportLoRA
from .load_stack import LoadStack
from .neighbours import Neighbours
from .routes import register_routes
from .separate import Separate
from .size import Size
from .stacks import Load, Save, StackNode

__all__ = ["SepMEExtension"]


class SepMEExtension(ComfyExtension):
    """Everything the host registers."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The nodes, in menu order; `models/sepme` and its routes are made known first."""
        files.register_folder()
        routes = host.server_routes()
        if routes is not None:
            register_routes(routes)
        return [
            Eraser,
            Concepts,
            Neighbours,
            Compute,
            Apply,
            Remove,
            StackNode,
            Load,
            LoadStack,
            Save,
            Separate,
            CertificateNode,
            Compare,
            Size,
            ExportLoRA,
        ]
