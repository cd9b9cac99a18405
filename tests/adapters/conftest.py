"""The pack beside the real host's modules, and small models of random weights in its classes."""

import shutil
import sys
from collections.abc import Iterator

import pytest

from tests.adapters.boot import PACK, boot

boot()

import folder_paths  # noqa: E402  (the host is on the path from here on)
import torch  # noqa: E402

from tests.adapters import models  # noqa: E402

torch.set_num_threads(1)  # for matrices this small more threads only wait for each other


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Warnings of the host are its own business; those of the pack stay errors."""
    ours = [f"error:::{name}" for name in sorted(sys.modules) if name.split(".")[0] == PACK]
    for item in items:
        if item.path.parent.name == "adapters":
            item.add_marker(pytest.mark.adapters)
            item.add_marker(pytest.mark.filterwarnings("default", *ours))


def pytest_unconfigure() -> None:
    shutil.rmtree(folder_paths.base_path, ignore_errors=True)


@pytest.fixture(scope="session")
def clip() -> models.Clip:
    """A text encoder of SD1's width."""
    return models.clip("sd1")


@pytest.fixture(scope="session")
def narrow_clip() -> models.Clip:
    """A text encoder that fits no model."""
    return models.clip("narrow")


@pytest.fixture(scope="session")
def clip_xl() -> models.Clip:
    """SDXL's two text encoders."""
    return models.clip("sdxl")


@pytest.fixture
def model() -> models.Patcher:
    """A small SD1 in float32."""
    return models.model("sd1")


@pytest.fixture
def increments_folder() -> Iterator[object]:
    """Where `models/sepme` is: nothing is saved there yet."""
    yield from models.increments_folder()


@pytest.fixture
def loras(tmp_path, monkeypatch):
    """Where `models/loras` is: nothing is saved there yet."""
    known = dict(folder_paths.folder_names_and_paths)
    known["loras"] = ([str(tmp_path / "loras")], {".safetensors"})
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", known)
    folder_paths.filename_list_cache.pop("loras", None)
    yield tmp_path / "loras"
    folder_paths.filename_list_cache.pop("loras", None)
