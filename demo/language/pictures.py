"""The training pictures of the world with language: every object in every style."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from demo.pictures import SIZE, to_tensor

FILE = Path(__file__).parent / "pictures.npz"


def training_pictures(path: Path = FILE) -> Tensor:
    """Every object in every style, `[n_objects, n_styles, 3, 64, 64]` float32 in 0..1, on white."""
    with np.load(path) as data:
        images = data["images"]
    return to_tensor(images.reshape(-1, SIZE, SIZE, 3)).unflatten(0, images.shape[:2])
