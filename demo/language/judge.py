"""Says which of the 120 objects is on a picture, and in which style."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from demo.language.vocabulary import OBJECTS, STYLES

WEIGHTS = Path(__file__).parent / "weights" / "judge.safetensors"
WIDTHS = (32, 64, 128, 192)


class Residual(nn.Module):
    """Two convolutions beside a short cut, the first of them strided."""

    def __init__(self, d_in: int, d_out: int):
        super().__init__()
        self.first = nn.Conv2d(d_in, d_out, 3, stride=2, padding=1, bias=False)
        self.second = nn.Conv2d(d_out, d_out, 3, padding=1, bias=False)
        self.skip = nn.Conv2d(d_in, d_out, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(d_out), nn.BatchNorm2d(d_out)])

    def forward(self, x: Tensor) -> Tensor:
        """`[n, d_in, h, w]` to `[n, d_out, h / 2, w / 2]`."""
        inner = F.relu(self.norms[0](self.first(x)))
        return F.relu(self.norms[1](self.second(inner)) + self.skip(F.avg_pool2d(x, 2)))


class Judge(nn.Module):
    """Strided residual blocks, then one linear head for the object and one for the style."""

    def __init__(self):
        super().__init__()
        widths = zip((3, *WIDTHS), WIDTHS, strict=False)
        self.blocks = nn.ModuleList([Residual(d_in, d_out) for d_in, d_out in widths])
        self.object = nn.Linear(2 * WIDTHS[-1], len(OBJECTS))
        self.style = nn.Linear(sum(WIDTHS[1:]), len(STYLES))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `[n, n_objects]` and `[n, n_styles]` of pictures `[n, 3, 64, 64]` in 0..1."""
        x, means = images * 2 - 1, []
        for block in self.blocks:
            x = block(x)
            means.append(x.mean((2, 3)))
        features = torch.cat([means[-1], x.amax((2, 3))], 1)
        features = F.dropout(features, 0.2, self.training)
        # Line width and colour are told by the early layers as well.
        return self.object(features), self.style(torch.cat(means[1:], 1))


def load(path: Path = WEIGHTS) -> Judge:
    """The trained judge, ready to judge."""
    model = Judge()
    model.load_state_dict({name: part.float() for name, part in load_file(path).items()})
    return model.eval()


@torch.inference_mode()
def judge(images: Tensor, model: Judge | None = None) -> tuple[Tensor, Tensor]:
    """What is on each picture.

    Args:
        images: `[n, 3, 64, 64]` float in 0..1.
        model: the judge; by default the trained one is loaded.

    Returns:
        Indices into `OBJECTS` `[n]` and into `STYLES` `[n]`.

    Raises:
        ValueError: pictures of another shape.
    """
    if images.ndim != 4 or images.shape[1:] != (3, 64, 64):
        raise ValueError(
            f"the judge takes pictures [n, 3, 64, 64], got {list(images.shape)}; it knows the "
            "size of the world with language only."
        )
    objects, styles = (model or load())(images.float())
    return objects.argmax(1), styles.argmax(1)


def halves(images: Tensor) -> tuple[Tensor, Tensor]:
    """The left and the right object of pictures with two, each as a picture of its own."""
    middle = images[..., 16:48, :]
    left, right = middle[..., :32], middle[..., 32:]
    return tuple(
        F.interpolate(half, scale_factor=2, mode="bilinear", align_corners=False)
        for half in (left, right)
    )
