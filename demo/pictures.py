"""The forty training pictures, and pictures from and to files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

SIZE = 64
FILE = Path(__file__).parent / "pictures.npz"


def training_pictures(path: Path = FILE) -> tuple[Tensor, Tensor, Tensor]:
    """Every object in every style.

    Returns:
        Pictures `[40, 3, 64, 64]` float32 in 0..1, their objects `[40]`, their styles `[40]`.
    """
    with np.load(path) as data:
        images, objects, styles = data["imgs"], data["obj"], data["style"]
    return to_tensor(images), torch.from_numpy(objects), torch.from_numpy(styles)


def to_tensor(images: np.ndarray) -> Tensor:
    """`[n, height, width, 3]` uint8 to `[n, 3, height, width]` float32 in 0..1."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def read(files: Sequence[object]) -> Tensor:
    """Pictures of one size as `[n, 3, height, width]` float32 in 0..1.

    Args:
        files: paths or open binary files, whatever Pillow takes.
    """
    arrays = []
    for file in files:
        with Image.open(file) as image:
            arrays.append(np.asarray(image.convert("RGB")))
    return to_tensor(np.stack(arrays))
