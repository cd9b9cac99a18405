"""What the training scripts share."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import torch
from torch import Tensor

from demo.pictures import SIZE
from launch import cache, comfyui


def work(name: str) -> Path:
    """A file in the folder of the training's results."""
    return cache.folder("train") / name


def begin(description: str, steps: int) -> int:
    """Reads `--steps` from the command line and seeds torch; gives the number of steps."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--steps", type=int, default=steps, help=f"default: {steps}")
    torch.manual_seed(0)
    return parser.parse_args().steps


def import_comfy() -> None:
    """Makes ComfyUI's modules importable, set to the CPU; call it before importing any."""
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    sys.path.insert(0, str(comfyui.prepare()))
    sys.argv = ["train", "--cpu"]
    import comfy.options

    comfy.options.enable_args_parsing()


def augment(images: Tensor) -> Tensor:
    """Shifts by up to three pixels on white, mirrors some, and changes the colours a little.

    Args:
        images: `[n, 3, 64, 64]` in 0..1, on white.
    """
    moved = torch.stack([_shift(_mirror(image)) for image in images])
    contrast = 1 + 0.08 * torch.randn(len(images), 3, 1, 1)
    return (1 - (1 - moved) * contrast).clamp(0, 1)


def _mirror(image: Tensor) -> Tensor:
    return image.flip(-1) if torch.rand(1) < 0.3 else image


def _shift(image: Tensor) -> Tensor:
    dx, dy = (int(v) for v in torch.randint(-3, 4, (2,)))
    x0, x1, y0, y1 = max(0, dx), min(SIZE, SIZE + dx), max(0, dy), min(SIZE, SIZE + dy)
    moved = torch.ones_like(image)
    moved[:, y0:y1, x0:x1] = image[:, y0 - dy : y1 - dy, x0 - dx : x1 - dx]
    return moved
