"""Trains the model: the flow from noise to latents, told by the language model's rows."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from demo.language.train.data import Data
from demo.language.train.loop import DEVICE, Loss, Trainer, adam
from demo.language.train.network import NextDiT

LR = 1.2e-3
# Times are drawn evenly and then moved towards noise by this: what is drawn is decided there.
SHIFT = 2.0


def build(data: Data) -> NextDiT:
    """The network, initialised: blocks begin as their short cuts, and it predicts 0."""
    model = NextDiT()
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            if "adaLN" in name or name == "final_layer.linear":
                nn.init.zeros_(layer.weight)
    nn.init.normal_(model.cap_pad_token, std=0.5)
    model.cap_embedder[0].weight.data = 1 / _deviation(data)
    return model.to(DEVICE)


def _deviation(data: Data) -> Tensor:
    """Of each dimension of the normalised text rows; a few are far larger than all others."""
    rows = torch.cat([group.rows[:512, 1:9].flatten(0, 1) for group in data.groups]).float()
    rows = rows / rows.square().mean(-1, keepdim=True).sqrt().clamp(min=1e-3)
    return rows.std(0).clamp(min=0.05).cpu()


def times(n: int, shift: float = SHIFT) -> Tensor:
    """`[n]` in 0..1, evenly spread before the shift."""
    even = (torch.randperm(n, device=DEVICE) + torch.rand(n, device=DEVICE)) / n
    return shift * even / (1 + (shift - 1) * even)


def noised(clean: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """A latent on its way from the noise, and the velocity there: noise minus picture."""
    noise, share = torch.randn_like(clean), sigma.view(-1, 1, 1, 1)
    return share * noise + (1 - share) * clean, noise - clean


def predict(model: nn.Module, x: Tensor, sigma: Tensor, rows: Tensor, n_rows: Tensor) -> Tensor:
    """The model's velocity, in its own precision inside, float32 outside."""
    dtype = model.x_embedder.weight.dtype
    return model(x.to(dtype), sigma, rows.to(dtype), n_rows).float()


def losses(data: Data) -> list[Loss]:
    """One loss per group of captions, each weighted by its share of the batch."""
    n = sum(data.sizes)

    def of(g: int) -> Loss:
        def loss(model: nn.Module) -> Tensor:
            clean, rows, n_rows = data.batch(g)
            sigma = times(len(clean))
            x, velocity = noised(clean, sigma)
            error = (predict(model, x, sigma, rows, n_rows) - velocity).square()
            return error.mean() * (len(clean) / n)

        return loss

    return [of(g) for g in data.drawn_now()]


def train(data: Data, folder: Path, seconds: float) -> NextDiT:
    """The running mean of the trained weights."""
    trainer = Trainer(build(data), folder / "model.state", seconds, adam, LR)
    return trainer.run(lambda: losses(data), "model")
