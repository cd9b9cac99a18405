"""Trains the autoencoder from scratch: first both halves, then the decoder alone.

Latents are batch-normalised during the first half, and the statistics are then folded into the
encoder's last convolution: its latents have zero mean and unit variance per channel.
"""

from __future__ import annotations

import math

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from demo import pictures
from demo.autoencoder import Autoencoder, Block
from demo.train.common import augment, begin, work
from demo.train.muon import Muon

STEPS = 2500
SHARE_JOINT = 0.6
BATCH = 4


def initialise(model: Autoencoder) -> None:
    """He initialisation; blocks start near their short cut, pictures start light grey."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    for block in model.modules():
        if isinstance(block, Block):
            block.conv[4].weight.data.mul_(0.2)
    model.taesd_encoder[-1].weight.data.mul_(0.5)
    model.taesd_decoder[-1].weight.data.mul_(0.1)
    model.taesd_decoder[-1].bias.data.fill_(0.8)


def loss(drawn: Tensor, wanted: Tensor) -> Tensor:
    """Differences of pixels, the white background counting half, and of their gradients."""
    difference = drawn - wanted
    weight = 1 + (wanted.amin(1, keepdim=True) < 0.98).float()
    edges = difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()
    pixels = (weight * difference.abs()).mean() + 2 * (weight * difference.square()).mean()
    return pixels + 0.5 * edges


def train(encode, decode, parameters: list[Tensor], steps: int, lr: float, images: Tensor) -> None:
    """Trains those parameters on noisy latents, so that a sloppy UNet is forgiven later."""
    optimiser = Muon(parameters, lr)
    for step in range(steps):
        cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimiser.param_groups:
            group["lr"] = lr * min(1, (step + 1) / 40) * (0.02 + 0.98 * cosine)
        batch = augment(images[torch.randint(len(images), (BATCH,))])
        latents = encode(batch)
        latents = latents + 0.3 * torch.rand(BATCH, 1, 1, 1) * torch.randn_like(latents)
        value = loss(decode(latents), batch)
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        if step % 100 == 0:
            print(f"step {step} of {steps}: loss {value.item():.4f}", flush=True)


@torch.no_grad()
def fold_statistics(model: Autoencoder, images: Tensor) -> None:
    """Puts the latents' mean and deviation into the encoder's last convolution."""
    latents = torch.cat([model.encode(augment(images)) for _ in range(3)])
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    last = model.taesd_encoder[-1]
    last.weight.div_(deviation.view(-1, 1, 1, 1))
    last.bias.sub_(mean).div_(deviation)


def main() -> None:
    """Trains and writes `vae.safetensors`, with the keys of a checkpoint without prefix."""
    steps = begin(__doc__, STEPS)
    images, _, _ = pictures.training_pictures()
    model = Autoencoder()
    initialise(model)
    normalise = nn.BatchNorm2d(4, affine=False, momentum=0.05)
    joint = round(steps * SHARE_JOINT)
    parameters = list(model.parameters())
    train(lambda x: normalise(model.encode(x)), model.decode, parameters, joint, 3e-3, images)
    fold_statistics(model, images)
    frozen = torch.no_grad()(model.encode)
    decoder = list(model.taesd_decoder.parameters())
    train(frozen, model.decode, decoder, steps - joint, 1.5e-3, images)
    weights = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    scalars = {"vae_scale": torch.tensor(0.18215), "vae_shift": torch.tensor(0.0)}
    save_file(weights | scalars, work("vae.safetensors"))


if __name__ == "__main__":
    main()
