"""One real ComfyUI for all tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo import assemble
from launch import cache, comfyui
from launch.demo import CHECKPOINT
from launch.server import Server


@pytest.fixture(scope="session")
def base_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ComfyUI's base directory for this session, empty but for the pack and the demo checkpoint.

    It is a new one each time: increments computed and kept by an earlier session would otherwise
    make tests pass that compute nothing.
    """
    checkpoint = assemble.assemble(cache.folder("models") / CHECKPOINT)
    return comfyui.base_directory(tmp_path_factory.mktemp("comfyui"), [checkpoint])


@pytest.fixture(scope="session")
def server(base_directory: Path) -> Iterator[Server]:
    """A running ComfyUI with the pack and the demo checkpoint, on the CPU: same bits everywhere."""
    with Server(base_directory=base_directory, cpu=True) as running:
        yield running
