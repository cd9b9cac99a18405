"""Teaches the model to draw without guidance and in few steps, as Z-Image-Turbo does.

First its velocity at CFG 1 becomes the guided one at CFG 4 (guidance distillation); then one step
on a grid of few becomes as long as several of that first pupil (progressive distillation).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from demo.language.config import CFG, FEW_STEPS
from demo.language.train.data import Data
from demo.language.train.evaluate import sigmas
from demo.language.train.loop import GPU, Loss, Trainer, adam
from demo.language.train.model import noised, predict, times
from demo.language.train.network import NextDiT

LR, SUBSTEPS = 3e-4, 4


def train(teacher: NextDiT, data: Data, folder: Path, seconds: float) -> NextDiT:
    """The pupil of the pupil: at CFG 1, `FEW_STEPS` steps of Euler on the usual grid."""
    guided = copy.deepcopy(teacher).to(torch.bfloat16 if GPU else torch.float32)
    trainer = Trainer(
        copy.deepcopy(teacher), folder / "guidance.state", 0.45 * seconds, adam, LR, 0.995
    )
    pupil = trainer.run(
        lambda: _losses(data, lambda *x: _guided(guided, data, *x), on_grid=False), "guidance"
    )
    frozen = copy.deepcopy(pupil).to(torch.bfloat16 if GPU else torch.float32)
    trainer = Trainer(copy.deepcopy(pupil), folder / "few.state", 0.55 * seconds, adam, LR, 0.995)
    return trainer.run(
        lambda: _losses(data, lambda *x: _longer(frozen, *x), on_grid=True), "few steps"
    )


def _losses(data: Data, target: Callable, on_grid: bool) -> list[Loss]:
    """The model's velocity becomes the target's; at times of the short grid or at any."""
    grid = sigmas(FEW_STEPS)
    n = sum(data.sizes)

    def of(g: int) -> Loss:
        def loss(model: nn.Module) -> Tensor:
            clean, rows, n_rows = data.batch(g)
            step = torch.randint(FEW_STEPS, (len(clean),), device=clean.device)
            sigma = grid[step] if on_grid else times(len(clean))
            x, _ = noised(clean, sigma)
            with torch.no_grad():
                wanted = target(x, sigma, grid[step + 1], rows, n_rows)
            error = (predict(model, x, sigma, rows, n_rows) - wanted).square()
            return error.mean() * (len(clean) / n)

        return loss

    return [of(g) for g in data.drawn_now()]


def _guided(teacher, data, x, sigma, _until, rows, n_rows) -> Tensor:
    """The guided velocity."""
    with_prompt = predict(teacher, x, sigma, rows, n_rows)
    without = predict(teacher, x, sigma, *data.nothing(len(x)))
    return without + CFG * (with_prompt - without)


def _longer(teacher, x, sigma, until, rows, n_rows) -> Tensor:
    """The mean velocity of several small steps to the next time of the grid."""
    now = x
    for i in range(SUBSTEPS):
        at = sigma + (until - sigma) * i / SUBSTEPS
        velocity = predict(teacher, now, at, rows, n_rows)
        now = now + velocity * ((until - sigma) / SUBSTEPS).view(-1, 1, 1, 1)
    return (now - x) / (until - sigma).view(-1, 1, 1, 1)
