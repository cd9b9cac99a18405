"""Trains the classifier on augmented, blurred and noisy training pictures."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from demo import pictures
from demo.classifier import Classifier
from demo.train.common import augment, begin, work

STEPS = 500
LR = 2e-3


def spoil(images: Tensor, step: int) -> Tensor:
    """What a small diffusion model does to pictures: every third sharp, the others soft; noise."""
    if step % 3 == 1:
        images = F.interpolate(F.avg_pool2d(images, 2), scale_factor=2, mode="bilinear")
    elif step % 3 == 2:
        images = F.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
    return (images + 0.05 * torch.rand(1, device=images.device) * torch.randn_like(images)).clamp(
        0, 1
    )


def main() -> None:
    """Trains and writes `classifier.safetensors`."""
    steps = begin(__doc__, STEPS)
    images, objects, styles = pictures.training_pictures()
    model = Classifier()
    optimiser = torch.optim.AdamW(model.parameters(), LR, weight_decay=1e-2)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = LR * (1 - step / steps)
        object_logits, style_logits = model(spoil(augment(images), step))
        loss = F.cross_entropy(object_logits, objects, label_smoothing=0.05)
        loss = loss + F.cross_entropy(style_logits, styles, label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 100 == 0:
            print(f"step {step} of {steps}: loss {loss.item():.4f}", flush=True)
    save_file(model.state_dict(), work("classifier.safetensors"))


if __name__ == "__main__":
    main()
