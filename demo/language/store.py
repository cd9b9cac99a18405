"""The weights as they are stored: networks in four bits, the rest in sixteen.

`python -m demo.language.store FOLDER` stores what `train.run` left in that folder.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from demo import quantize

WEIGHTS = Path(__file__).parent / "weights"
NETWORKS = ("model", "few")


def network(name: str, folder: Path = WEIGHTS) -> dict[str, Tensor]:
    """A network's weights, float16, under the names of ComfyUI's class.

    Args:
        name: "model" or "few".

    Raises:
        FileNotFoundError: the world is not trained yet.
    """
    with safe_open(_present(folder / f"{name}.int4.safetensors"), "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
        return quantize.unpack_all(tensors, file.metadata())


def autoencoder(folder: Path = WEIGHTS) -> dict[str, Tensor]:
    """The autoencoder's weights (TAESD's architecture, 16 channels), float16."""
    return load_file(_present(folder / "vae.safetensors"))


def _present(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is not there: the world with language has to be trained first, in eight "
            "minutes on a GPU or some hours without; demo/language/README.md says how."
        )
    return path


def put(trained: Path, folder: Path = WEIGHTS) -> None:
    """Stores the results of training that are there."""
    folder.mkdir(exist_ok=True)
    for name in NETWORKS:
        if (trained / f"{name}.safetensors").exists():
            tensors, metadata = quantize.pack_all(load_file(trained / f"{name}.safetensors"))
            save_file(tensors, folder / f"{name}.int4.safetensors", metadata=metadata)
    for name in ("vae.safetensors", "judge.safetensors"):
        shutil.copyfile(trained / name, folder / name)


if __name__ == "__main__":
    put(Path(sys.argv[1]))
