"""Pictures one can read at a glance, drawn with Pillow, which every host ships."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from ..sepme_core.increment import Increment
from .drawing import GREY, GRID, INK, MARGIN, WIDTH, as_image, dot, font, short

__all__ = ["erasure_plot"]

ROW, LABEL = 40, 170
PROTECTED, CONCEPT, ZONE = "#2f7ed8", "#d8572f", "#eef1f7"
SERIES = ("#d8572f", "#2f7ed8", "#3a9d5d", "#8b5cd6", "#c79a1b", "#4aa5b8")
CURVE_HEIGHT = 260
Result = tuple[Increment, Sequence[float]]


def erasure_plot(results: Sequence[Result]) -> Tensor:
    """Margins of all concepts and, where there was training, the correlation.

    Args:
        results: increments, each with its stopping statistic after every step of training.
    Returns:
        one IMAGE, `[1, height, width, 3]` float32 in [0, 1].
    """
    planned = [increment for increment, _ in results if increment.separable]
    trained = [(i.concept.name, statistics) for i, statistics in results if statistics]
    height = MARGIN + (3 * ROW + ROW * len(planned) if planned else 0)
    height += (CURVE_HEIGHT + 2 * ROW if trained else 0) + MARGIN
    image = Image.new("RGB", (WIDTH, max(height, 3 * ROW)), "white")
    draw = ImageDraw.Draw(image)
    top = MARGIN
    if planned:
        top = _margins(draw, planned, top)
    if trained:
        _curves(draw, trained, top)
    return as_image(image)


def _margins(draw: ImageDraw.ImageDraw, increments: Sequence[Increment], top: int) -> int:
    draw.text(
        (MARGIN, top),
        "How far prompts reach into a concept, from 0 to 1",
        fill=INK,
        font=font(20),
    )
    top += ROW
    left, right = LABEL, WIDTH - MARGIN
    for increment in increments:
        zone, y = increment.dead_zone, top + ROW // 2
        draw.text((MARGIN, top + 6), short(increment.concept.name), fill=INK, font=font(17))
        at = [
            left + round(v * (right - left))
            for v in (zone.largest_protected, zone.threshold, zone.smallest_concept)
        ]
        draw.rectangle((left, top + 4, at[1], top + ROW - 4), fill=ZONE)
        draw.line((left, y, right, y), fill=GRID, width=2)
        draw.line((at[1], top + 4, at[1], top + ROW - 4), fill=GREY, width=2)
        dot(draw, at[0], y, PROTECTED)
        dot(draw, at[2], y, CONCEPT)
        top += ROW
    for x, color, text in (
        (left, PROTECTED, "protected, at most"),
        (left + 180, GREY, "dead zone"),
        (left + 300, CONCEPT, "concept, at least"),
    ):
        dot(draw, x + 8, top + ROW // 2, color)
        draw.text((x + 20, top + 7), text, fill=INK, font=font(16))
    return top + 2 * ROW


def _curves(
    draw: ImageDraw.ImageDraw, trained: Sequence[tuple[str, Sequence[float]]], top: int
) -> None:
    draw.text(
        (MARGIN, top), "Correlation with the concept, by step (log scale)", fill=INK, font=font(20)
    )
    top += ROW
    left, right, bottom = LABEL, WIDTH - MARGIN, top + CURVE_HEIGHT
    values = np.concatenate([np.abs(statistics) for _, statistics in trained]).clip(1e-7)
    low, high = np.log10(values.min()) - 0.1, np.log10(values.max()) + 0.1
    for power in range(int(np.ceil(low)), int(np.floor(high)) + 1):
        y = bottom - (power - low) / (high - low) * CURVE_HEIGHT
        draw.line((left, y, right, y), fill=GRID, width=1)
        draw.text((left - 60, y - 9), f"1e{power}", fill=GREY, font=font(15))
    n_steps = max(len(statistics) for _, statistics in trained)
    for i, (name, statistics) in enumerate(trained):
        color = SERIES[i % len(SERIES)]
        logs = np.log10(np.abs(statistics).clip(1e-7))
        xs = left + np.arange(len(logs)) / max(n_steps - 1, 1) * (right - left)
        ys = bottom - (logs - low) / (high - low) * CURVE_HEIGHT
        draw.line(list(zip(xs.tolist(), ys.tolist(), strict=True)), fill=color, width=3)
        draw.text(
            (MARGIN, top + 22 * i),
            short(name),
            fill=color,
            font=font(16),
        )
    draw.text((right - 90, bottom + 6), f"{n_steps} steps", fill=GREY, font=font(15))
