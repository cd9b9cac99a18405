"""What all pictures share: colours, letters, dots, and the way into the host's IMAGE."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

__all__ = ["GREY", "GRID", "INK", "MARGIN", "WIDTH", "as_image", "dot", "font", "short"]

WIDTH, MARGIN = 640, 20
INK, GREY, GRID = "#1f2430", "#7a8194", "#e3e6ee"


def as_image(image: Image.Image) -> Tensor:
    """One IMAGE, `[1, height, width, 3]` float32 in [0, 1]."""
    return torch.from_numpy(np.asarray(image.convert("RGB"), dtype=np.float32) / 255)[None]


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The letters that Pillow brings along."""
    return ImageFont.load_default(size)


def dot(draw: ImageDraw.ImageDraw, x: float, y: float, color: str, radius: int = 7) -> None:
    """A filled circle around a point."""
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)


def short(name: str) -> str:
    """A name that fits a label."""
    return name if len(name) <= 16 else f"{name[:15]}…"
