"""Says what is on a picture, and in which style: the judge of everything the demo shows."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from demo.vocabulary import OBJECTS, STYLES

WEIGHTS = Path(__file__).parent / "weights" / "classifier.safetensors"
WIDTHS = (24, 48, 72, 96)


class Classifier(nn.Module):
    """Four strided convolutions, then one linear head for the object and one for the style."""

    def __init__(self):
        super().__init__()
        layers: list[nn.Module] = []
        for d_in, d_out in zip((3, *WIDTHS), WIDTHS, strict=False):
            convolution = nn.Conv2d(d_in, d_out, 3, stride=2, padding=1)
            layers += [convolution, nn.BatchNorm2d(d_out), nn.ReLU()]
        self.f = nn.Sequential(*layers)
        # Which object it is depends on where things are; the style does not.
        self.o = nn.Linear(WIDTHS[-1] * 16, len(OBJECTS))
        self.s = nn.Linear(WIDTHS[-1], len(STYLES))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `[n, n_objects]` and `[n, n_styles]` of pictures `[n, 3, 64, 64]` in 0..1."""
        features = self.f(images * 2 - 1)
        dropped = F.dropout(features.flatten(1), 0.3, self.training)
        return self.o(dropped), self.s(features.mean((2, 3)))


def load(path: Path = WEIGHTS) -> Classifier:
    """The trained classifier, ready to judge."""
    model = Classifier()
    model.load_state_dict(load_file(path))
    return model.eval()


@torch.inference_mode()
def classify(images: Tensor, model: Classifier | None = None) -> tuple[Tensor, Tensor]:
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
            f"the classifier takes pictures [n, 3, 64, 64], got {list(images.shape)}; it knows "
            "the demo model's size only."
        )
    objects, styles = (model or load())(images.float())
    return objects.argmax(1), styles.argmax(1)
