"""The pages that ComfyUI has been served with: the host's own, and newer ones, fetched once."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from launch import cache, environment
from launch.errors import SetupError
from launch.server import Server

OWN, MIDDLE, NEWEST = "own", "1.49.6", "1.58.1"
RENDERERS = ("classic", "nodes-2.0")
PAGES = [f"{version} {renderer}" for version in (OWN, MIDDLE, NEWEST) for renderer in RENDERERS]
INSIDE = "comfyui_frontend_package/static/"

Servers = Callable[[str], Server]
"""A running server with the page of that version."""


def front_end_root(version: str) -> Path | None:
    """The folder of a page; None for the host's own."""
    if version == OWN:
        return None
    folder = cache.folder() / f"front-end-{version}"
    if not folder.exists():
        _fetch(version, folder)
    return folder / INSIDE


def serve(pages: ExitStack, base_directory: Path, own: Server) -> Servers:
    """Servers that are started when they are first asked for and stopped with `pages`."""
    running = {OWN: own}

    def server(version: str) -> Server:
        if version not in running:
            root = front_end_root(version)
            wanted = Server(base_directory=base_directory, cpu=True, front_end_root=root)
            running[version] = pages.enter_context(wanted)
        return running[version]

    return server


def _fetch(version: str, folder: Path) -> None:
    downloads = cache.folder("downloads")
    wanted = f"comfyui-frontend-package=={version}"
    try:
        environment.pip(
            "download",
            "--no-deps",
            "--dest",
            str(downloads),
            wanted,
            doing=f"Fetching page {version}",
        )
    except SetupError as error:
        pytest.skip(str(error))
    _unpack(next(downloads.glob(f"comfyui_frontend_package-{version}-*.whl")), folder)


def _unpack(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [n for n in archive.namelist() if n.startswith(INSIDE) and not n.endswith(".map")]
        archive.extractall(folder.with_suffix(".part"), names)
    folder.with_suffix(".part").rename(folder)
