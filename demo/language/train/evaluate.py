"""Draws and judges: the table that training ends with."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from demo.language.config import MODEL, SHIFT
from demo.language.judge import Judge, halves
from demo.language.train.loop import DEVICE, GPU
from demo.language.train.model import predict
from demo.language.train.text_rows import Captions

PART = 1024 if GPU else 32  # pictures drawn together
PARTS = ("object", "second", "style")  # the columns of `Captions.objects`


class Drawing(NamedTuple):
    """What draws: a network, an autoencoder, and the empty prompt's rows and their number."""

    model: nn.Module
    autoencoder: nn.Module
    nothing: tuple[Tensor, Tensor]


def sigmas(n_steps: int) -> Tensor:
    """`[n_steps + 1]` from 1 to 0: even steps, shifted as the host shifts them."""
    even = torch.linspace(1, 0, n_steps + 1, device=DEVICE)
    return SHIFT * even / (1 + (SHIFT - 1) * even)


@torch.no_grad()
def draw(drawing: Drawing, captions: Captions, cfg: float, n_steps: int) -> Tensor:
    """Pictures `[n, 3, 64, 64]` of those captions by Euler's method."""
    pictures = []
    for rows, n_rows in zip(captions.rows.split(PART), captions.n_rows.split(PART), strict=True):
        noise = torch.randn(len(rows), MODEL["in_channels"], 8, 8, device=DEVICE)
        latents = sample(drawing, noise, rows, n_rows, cfg, sigmas(n_steps))
        pictures.append(drawing.autoencoder.decode(latents).clamp(0, 1))
    return torch.cat(pictures)


@torch.no_grad()
def sample(
    drawing: Drawing, x: Tensor, rows: Tensor, n_rows: Tensor, cfg: float, grid: Tensor
) -> Tensor:
    """Latents, of noise `[n, 16, 8, 8]` and captions' rows and numbers of rows."""
    empty = [part.expand(len(x), *part.shape[1:]) for part in drawing.nothing]
    for now, until in zip(grid, grid[1:], strict=False):
        sigma = now.expand(len(x))
        velocity = predict(drawing.model, x, sigma, rows, n_rows)
        if cfg != 1:
            without = predict(drawing.model, x, sigma, *empty)
            velocity = without + cfg * (velocity - without)
        x = x + (until - now) * velocity
    return x


@torch.no_grad()
def table(
    drawing: Drawing, judge: Judge, groups: list[Captions], cfg: float, n_steps: int
) -> tuple[dict[str, dict[str, float]], Tensor]:
    """Shares of pictures that show what their caption names, by kind; and all names' pictures."""
    right: dict[tuple[str, str], list[bool]] = {}
    shown: list[Tensor] = []
    for group in groups:
        pictures = draw(drawing, group, cfg, n_steps)
        answers = _answers(judge, pictures, group.objects)
        for column, part in enumerate(PARTS):
            for n in (group.objects[:, column] >= 0).nonzero().flatten().tolist():
                right.setdefault((group.kinds[n], part), []).append(bool(answers[n, column]))
        named = torch.tensor([kind == "name" for kind in group.kinds], device=DEVICE)
        order = group.objects[named, 0].argsort(stable=True)
        shown.append(pictures[named][order])
    found: dict[str, dict[str, float]] = {}
    for (kind, part), found_right in sorted(right.items()):
        found.setdefault(kind, {})[part] = round(sum(found_right) / len(found_right), 4)
    return found, torch.cat(shown)


def _answers(judge: Judge, pictures: Tensor, wanted: Tensor) -> Tensor:
    """`[n, 3]` bool: whether object, second object and style are on the picture, as wanted."""
    objects, styles = (logits.argmax(1) for logits in judge(pictures))
    left, right = (judge(half)[0].argmax(1) for half in halves(pictures))
    first = torch.where(wanted[:, 1] < 0, objects, left)
    return torch.stack([first, right, styles], 1) == wanted
