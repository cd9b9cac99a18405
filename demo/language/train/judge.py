"""Trains the judge: on real scenes and on what the autoencoder makes of noisy latents of them."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from demo.autoencoder import Autoencoder
from demo.language.judge import Judge, halves
from demo.language.train.autoencoder import random_labels
from demo.language.train.loop import DEVICE, GPU, Loss, Trainer, adam
from demo.language.train.scenes import Scenes
from demo.language.train.sizes import Sizes
from demo.train.classifier import spoil

LR = 2e-3


@torch.no_grad()
def _batch(scenes: Scenes, autoencoder: Autoencoder, sizes: Sizes) -> tuple[Tensor, Tensor, Tensor]:
    """Single objects and halves of pairs, some through the autoencoder, some soft and noisy."""
    objects, styles, second = random_labels(scenes, sizes.judge)
    n = sizes.judge // 4
    single = scenes.single(objects[2 * n :], styles[2 * n :])
    images = torch.cat([scenes.pair(objects[:n], second[:n], styles[:n]), single])
    redrawn = torch.randperm(len(images))[: round(sizes.redrawn * len(images))]
    images[redrawn] = redraw(images[redrawn], autoencoder, 0.4)
    images = spoil(images, int(torch.randint(3, (1,))))
    left, right = halves(images[:n])
    objects = torch.cat([objects[:n], second[:n], objects[2 * n :]])
    styles = torch.cat([styles[:n], styles[:n], styles[2 * n :]])
    return torch.cat([left, right, images[n:]]), objects, styles


@torch.no_grad()
def redraw(images: Tensor, autoencoder: Autoencoder, noise: float) -> Tensor:
    """Pictures encoded, disturbed by up to that deviation, and decoded."""
    with torch.autocast(DEVICE.type, torch.bfloat16, enabled=GPU):
        latents = autoencoder.encode(images)
        amount = noise * torch.rand(len(images), 1, 1, 1, device=DEVICE)
        return autoencoder.decode(latents + amount * torch.randn_like(latents)).float().clamp(0, 1)


def train(
    scenes: Scenes, autoencoder: Autoencoder, folder: Path, sizes: Sizes, seconds: float
) -> Judge:
    """The judge of objects and styles."""
    model = Judge().to(DEVICE, memory_format=torch.channels_last)
    trainer = Trainer(model, folder / "judge.state", seconds, adam, LR, mixed=True)
    trainer.run(lambda: [_loss(scenes, autoencoder, sizes)], "judge")
    return model.eval()


def _loss(scenes: Scenes, autoencoder: Autoencoder, sizes: Sizes) -> Loss:
    def of(model: nn.Module) -> Tensor:
        images, objects, styles = _batch(scenes, autoencoder, sizes)
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=GPU):
            object_logits, style_logits = model(
                images.contiguous(memory_format=torch.channels_last)
            )
        loss = F.cross_entropy(object_logits.float(), objects, label_smoothing=0.05)
        return loss + F.cross_entropy(style_logits.float(), styles, label_smoothing=0.05)

    return of


@torch.no_grad()
def accuracy(
    model: Judge, scenes: Scenes, autoencoder: Autoencoder | None, n: int
) -> dict[str, float]:
    """Shares of right answers on fresh scenes, real or redrawn without noise."""
    right: dict[str, list[Tensor]] = {"object": [], "style": [], "left": [], "right": []}
    size = min(n, 64)
    for _ in range(n // size):
        objects, styles, second = random_labels(scenes, size)
        single, pair = scenes.single(objects, styles), scenes.pair(objects, second, styles)
        if autoencoder is not None:
            single, pair = (redraw(part, autoencoder, 0.0) for part in (single, pair))
        object_logits, style_logits = model(single)
        right["object"].append(object_logits.argmax(1) == objects)
        right["style"].append(style_logits.argmax(1) == styles)
        sides = zip(("left", "right"), halves(pair), (objects, second), strict=True)
        for name, half, wanted in sides:
            right[name].append(model(half)[0].argmax(1) == wanted)
    return {name: torch.cat(parts).float().mean().item() for name, parts in right.items()}
