"""The demo model's autoencoder: TAESD's architecture, in plain torch.

ComfyUI runs the same weights through its own copy of this architecture; this one is for training
and for tests that need no ComfyUI. Latents `[n, 4, 8, 8]` have zero mean and unit variance.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

D_LATENT, D_HIDDEN = 4, 64


class Clamp(nn.Module):
    """Holds latents softly within -3..3."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; nearly the identity within -1..1."""
        return torch.tanh(x / 3) * 3


class Block(nn.Module):
    """Three convolutions beside a short cut."""

    def __init__(self, d_in: int, d_out: int):
        super().__init__()
        self.conv = nn.Sequential(
            _convolution(d_in, d_out),
            nn.ReLU(),
            _convolution(d_out, d_out),
            nn.ReLU(),
            _convolution(d_out, d_out),
        )
        self.skip = nn.Conv2d(d_in, d_out, 1, bias=False) if d_in != d_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """`[n, d_in, h, w]` to `[n, d_out, h, w]`."""
        return F.relu(self.conv(x) + self.skip(x))


class Autoencoder(nn.Module):
    """Pictures in 0..1 to latents an eighth as wide and high, and back.

    A checkpoint stores `vae_scale` = 0.18215 and `vae_shift` = 0: ComfyUI divides an encoder's
    output by the one and multiplies latents by SD1.5's factor, which is the same number, so that
    its UNet sees exactly what this encoder gives.

    Args:
        d_latent: channels of a latent; the first world has 4, the one with language 16.
    """

    def __init__(self, d_latent: int = D_LATENT):
        super().__init__()
        self.taesd_encoder = nn.Sequential(
            _convolution(3, D_HIDDEN),
            Block(D_HIDDEN, D_HIDDEN),
            *_halving(),
            *_halving(),
            *_halving(),
            _convolution(D_HIDDEN, d_latent),
        )
        self.taesd_decoder = nn.Sequential(
            Clamp(),
            _convolution(d_latent, D_HIDDEN),
            nn.ReLU(),
            *_doubling(),
            *_doubling(),
            *_doubling(),
            Block(D_HIDDEN, D_HIDDEN),
            _convolution(D_HIDDEN, 3),
        )

    def encode(self, images: Tensor) -> Tensor:
        """Latents `[n, d_latent, h / 8, w / 8]` of pictures `[n, 3, h, w]` in 0..1."""
        return self.taesd_encoder(images)

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures, which may leave 0..1 a little, of latents."""
        return self.taesd_decoder(latents)


def load(weights: dict[str, Tensor]) -> Autoencoder:
    """An autoencoder with the weights of a checkpoint (without prefix), ready to use."""
    model = Autoencoder(weights["taesd_decoder.1.weight"].shape[1])
    scalars = ("vae_scale", "vae_shift")
    model.load_state_dict({k: v.float() for k, v in weights.items() if k not in scalars})
    return model.eval()


def _convolution(d_in: int, d_out: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(d_in, d_out, 3, padding=1, stride=stride, bias=bias)


def _halving() -> list[nn.Module]:
    step = _convolution(D_HIDDEN, D_HIDDEN, stride=2, bias=False)
    return [step, *(Block(D_HIDDEN, D_HIDDEN) for _ in range(3))]


def _doubling() -> list[nn.Module]:
    blocks = [Block(D_HIDDEN, D_HIDDEN) for _ in range(3)]
    return [*blocks, nn.Upsample(scale_factor=2), _convolution(D_HIDDEN, D_HIDDEN, bias=False)]
