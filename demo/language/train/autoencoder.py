"""Trains the autoencoder on endless scenes: first both halves, then the decoder alone."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from demo.autoencoder import Autoencoder
from demo.language.config import MODEL
from demo.language.train.loop import DEVICE, GPU, Loss, Trainer
from demo.language.train.scenes import Scenes
from demo.language.train.sizes import Sizes
from demo.train.muon import Muon
from demo.train.vae import initialise, loss

LR, NOISE, SHARE_JOINT = 2e-3, 0.4, 0.65


def draw(scenes: Scenes, n: int) -> Tensor:
    """Random scenes `[n, 3, 64, 64]`: three quarters with one object, the rest with two."""
    objects, styles, second = random_labels(scenes, n)
    n_pairs = n // 4
    return torch.cat(
        [
            scenes.pair(objects[:n_pairs], second[:n_pairs], styles[:n_pairs]),
            scenes.single(objects[n_pairs:], styles[n_pairs:]),
        ]
    )


def random_labels(scenes: Scenes, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Objects, styles and second objects `[n]` each."""
    n_objects, n_styles = scenes.images.shape[:2]
    high = (n_objects, n_styles, n_objects)
    return tuple(torch.randint(limit, (n,), device=DEVICE) for limit in high)


def train(scenes: Scenes, folder: Path, sizes: Sizes, seconds: float) -> Autoencoder:
    """The autoencoder; its latents have zero mean and unit variance per channel."""
    model = Autoencoder(MODEL["in_channels"])
    initialise(model)
    model = model.to(DEVICE, memory_format=torch.channels_last)
    normalise = nn.BatchNorm2d(MODEL["in_channels"], affine=False, momentum=0.05).to(DEVICE)
    file, share = folder / "autoencoder.state", SHARE_JOINT
    joint = Trainer(model, file, share * seconds, Muon, LR, decay=0.99, mixed=True)
    model = joint.run(lambda: [_loss(scenes, sizes, normalise)], "autoencoder")
    _fold(model, scenes, sizes.autoencoder)
    file, share = folder / "decoder.state", 1 - SHARE_JOINT
    parameters = list(model.taesd_decoder.parameters())
    decoder = Trainer(model, file, share * seconds, Muon, LR / 2, 0.99, parameters, mixed=True)
    return decoder.run(lambda: [_loss(scenes, sizes, None)], "decoder")


def _loss(scenes: Scenes, sizes: Sizes, normalise: nn.Module | None) -> Loss:
    """On noisy latents, so that what the model draws a little wrong is forgiven later."""

    def of(model: nn.Module) -> Tensor:
        images = _cut(draw(scenes, sizes.autoencoder), sizes.cut)
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=GPU):
            with torch.set_grad_enabled(normalise is not None):
                latents = model.encode(images).float()
                latents = latents if normalise is None else normalise(latents)
            noise = NOISE * torch.rand(len(images), 1, 1, 1, device=DEVICE)
            drawn = model.decode(latents + noise * torch.randn_like(latents))
        return loss(drawn.float(), images)

    return of


def _cut(images: Tensor, size: int) -> Tensor:
    """A square out of each picture, in steps of the latents' eight pixels."""
    if size == images.shape[-1]:
        return images
    corners = torch.randint((images.shape[-1] - size) // 8 + 1, (len(images), 2)) * 8
    cuts = zip(images, corners.tolist(), strict=True)
    return torch.stack([image[:, y : y + size, x : x + size] for image, (y, x) in cuts])


@torch.no_grad()
def _fold(model: Autoencoder, scenes: Scenes, n: int) -> None:
    """Puts the latents' mean and deviation into the encoder's last convolution."""
    latents = torch.cat([model.encode(draw(scenes, n)) for _ in range(4)])
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    last = model.taesd_encoder[-1]
    last.weight.div_(deviation.view(-1, 1, 1, 1))
    last.bias.sub_(mean).div_(deviation)
