"""Endless training pictures out of the 480: moved, turned, scaled, tinted, and two side by side."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

# Luminance, and two axes of colour; a turn of the latter two is a shift of the hue.
YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


class Scenes:
    """Draws scenes of given objects and styles.

    Args:
        images: `[n_objects, n_styles, 3, 64, 64]` in 0..1, on white.
    """

    def __init__(self, images: Tensor):
        self.images = images
        self.small = F.avg_pool2d(images.flatten(0, 1), 2).unflatten(0, images.shape[:2])

    def single(self, objects: Tensor, styles: Tensor) -> Tensor:
        """One object each, `[n, 3, 64, 64]`."""
        n, device = len(objects), self.images.device
        scale = _uniform(n, 0.8, 1.05, device)
        shift = _uniform(n, -0.1, 0.1, device), _uniform(n, -0.1, 0.1, device)
        return _tint(_place(self.images[objects, styles], scale, shift))

    def pair(self, left: Tensor, right: Tensor, styles: Tensor) -> Tensor:
        """Two objects each, side by side, in one style, `[n, 3, 64, 64]`."""
        n, device = len(left), self.images.device
        picture = torch.ones(1, device=device)
        for objects, side in ((left, -0.5), (right, 0.5)):
            shift = side + _uniform(n, -0.03, 0.03, device), _uniform(n, -0.08, 0.08, device)
            scale = _uniform(n, 0.44, 0.5, device)
            picture = picture * _place(self.small[objects, styles], scale, shift)
        return _tint(picture)


def _uniform(n: int, low: float, high: float, device: torch.device) -> Tensor:
    return low + (high - low) * torch.rand(n, device=device)


def _place(images: Tensor, scale: Tensor, shift: tuple[Tensor, Tensor]) -> Tensor:
    """Puts each picture on a white square of 64, turned a little, a third of them mirrored."""
    n, device = len(images), images.device
    angle = _uniform(n, -8, 8, device) * math.pi / 180
    mirror = torch.where(torch.rand(n, device=device) < 0.3, -1.0, 1.0)
    cosine, sine = angle.cos() / scale, angle.sin() / scale
    # From places of the new picture to places of the old one.
    rows = torch.stack([mirror * cosine, mirror * sine, -sine, cosine], 1).view(n, 2, 2)
    offset = -rows @ torch.stack(shift, 1).unsqueeze(-1)
    grid = F.affine_grid(torch.cat([rows, offset], 2), [n, 3, 64, 64], align_corners=False)
    return 1 - F.grid_sample(1 - images, grid, align_corners=False)


def _tint(images: Tensor) -> Tensor:
    """Shifts hue and contrast a little; every second picture gets a light tint all over."""
    n, device = len(images), images.device
    angle = _uniform(n, -0.15, 0.15, device)
    turned = torch.zeros(n, 3, 3, device=device)
    turned[:, 0, 0] = 1
    turned[:, 1, 1] = turned[:, 2, 2] = angle.cos()
    turned[:, 1, 2], turned[:, 2, 1] = -angle.sin(), angle.sin()
    yiq = YIQ.to(device)
    colours = torch.linalg.inv(yiq) @ turned @ yiq
    images = torch.einsum("nij,njhw->nihw", colours, images)
    images = 1 - (1 - images) * _uniform(n, 0.85, 1.1, device).view(-1, 1, 1, 1)
    tint = 1 - 0.22 * torch.rand(n, 3, device=device)
    tint[torch.rand(n, device=device) < 0.5] = 1
    return (images * tint[:, :, None, None]).clamp(0, 1)
