"""How much of everything a training takes: on a GPU, on two cores, and to see that it runs."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Sizes:
    """Numbers of pictures per step, of what is cached, and seconds per stage."""

    autoencoder: int  # pictures per step
    cut: int  # the autoencoder learns from squares of so many pixels
    judge: int
    redrawn: float  # share of the judge's pictures that went through the autoencoder
    model: int
    variants: int  # cached latents per object and style
    pair_variants: int  # and per caption of two objects
    captions: float  # share of the training captions that are encoded
    measured: float  # share of the captions that are drawn and judged at the end
    judged: int  # fresh scenes that the judge is tried on
    seconds: dict[str, float]  # by `loop.clock`


ON_GPU = Sizes(
    autoencoder=256,
    cut=64,
    judge=512,
    redrawn=2 / 3,
    model=1024,
    variants=256,
    pair_variants=8,
    captions=1.0,
    measured=1.0,
    judged=4096,
    seconds={"pictures": 130, "model": 240, "few": 90},
)
# Convolutions learn from cut-outs as well, for a quarter of the price; encoding all captions would
# take an hour; and redrawing costs ten times what judging does.
ON_CPU = Sizes(
    autoencoder=16,
    cut=32,
    judge=64,
    redrawn=1 / 16,
    model=64,
    variants=8,
    pair_variants=4,
    captions=0.1,
    measured=0.15,
    judged=256,
    seconds={"pictures": 3000, "model": 14000, "few": 3000},
)
REHEARSAL = Sizes(
    autoencoder=4,
    cut=32,
    judge=8,
    redrawn=0.5,
    model=4,
    variants=1,
    pair_variants=1,
    captions=1.0,
    measured=1.0,
    judged=8,
    seconds={"pictures": 0.01, "model": 0.01, "few": 0.01},
)
HERE = ON_GPU if torch.cuda.is_available() else ON_CPU
