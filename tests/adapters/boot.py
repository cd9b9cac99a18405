"""The host's own modules and the pack in this process: no server, no browser, no GPU."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import tempfile
import types
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from launch import cache, comfyui

PACK = "sepme_pack"


class PromptServer:
    """Stands in for the host's server; keeps what it was told instead of sending it."""

    instance: PromptServer

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.listeners: set[str | None] = set()
        self.client_id: str | None = "page"

    def send_progress_text(self, text: str, node_id: str, sid: str | None = None) -> None:
        self.told.append((node_id, text))
        self.listeners.add(sid)

    def send_sync(self, event: str, data: Any, sid: str | None = None) -> None:
        self.sent.append((event, data))
        self.listeners.add(sid)


def boot(options: Sequence[str] = ("--cpu",)) -> types.ModuleType:
    """Imports the host as its `main.py` does, in an empty base directory; then the pack.

    The host's folder comes before the repository's root on the path: its `nodes` is a module of
    the same name as ours.

    Args:
        options: of `main.py`; only those of the first call in a process count.
    """
    if PACK in sys.modules:
        return sys.modules[PACK]
    sys.path.insert(0, str(comfyui.prepare()))
    _import_host(Path(tempfile.mkdtemp(prefix="sepme-adapters-")), options)
    PromptServer.instance = PromptServer()
    server = types.ModuleType("server")
    server.PromptServer = PromptServer
    sys.modules["server"] = server
    return _import_pack()


def _import_host(base: Path, options: Sequence[str]) -> None:
    given = sys.argv
    sys.argv = ["main.py", *options, "--base-directory", str(base)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the host's own business
            importlib.import_module("comfy.options").enable_args_parsing()
            for name in ("comfy.sd", "comfy.sample", "comfy_api.latest", "folder_paths"):
                importlib.import_module(name)
    finally:
        sys.argv = given


def _import_pack() -> types.ModuleType:
    """By file location, as the host does; warnings of ours stay errors."""
    root = cache.REPOSITORY
    spec = importlib.util.spec_from_file_location(
        PACK, root / "__init__.py", submodule_search_locations=[str(root)]
    )
    pack = importlib.util.module_from_spec(spec)
    sys.modules[PACK] = pack
    spec.loader.exec_module(pack)
    importlib.import_module(f"{PACK}.nodes")
    return pack
