"""A leak matrix as a picture: rows erase, columns are seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from .drawing import GREY, INK, font, short

__all__ = ["HeatMap", "draw_scale", "ticks"]

N_NUMBERED = 12  # concepts; of more, colours tell more than numbers
SIDE = 600  # of a heat map without numbers
LETTERS, GAP, TITLE = 14, 8, 44
DECADES = 6  # of the colour scale, up to 1
DARK = 3e-3  # from here on the colours call for white letters
# Nothing, then from the faintest leak to one as large as the output itself.
LEAKING = ("#f1f3f7", "#fdf0c4", "#f5a04c", "#d33a2c", "#6d0f2b")
MOVED = ("#ffffff", "#dfe9f5", "#a9c6e6", "#5b8fcb", "#1f4f96")
PROTECTED = "protected"


@dataclass(frozen=True, eq=False)
class HeatMap:
    """One matrix with its labels.

    Args:
        leak: `[n, n]`, row j erases, column i is seen.
        protected: `[n]`, on all that a row protects: one more column.
        same: `[n, n]` bool; where an increment meets its own concept, it is meant to move it.
    """

    title: str
    names: Sequence[str]
    leak: np.ndarray
    protected: np.ndarray
    same: np.ndarray

    @property
    def cell(self) -> tuple[int, int]:
        """Width and height of one cell."""
        n = len(self.names)
        return (52, 32) if n <= N_NUMBERED else (max(1, SIDE // n),) * 2

    @property
    def label(self) -> int:
        """Room for the names, to the left and above."""
        names = (*map(short, self.names), PROTECTED)
        return GAP + math.ceil(max(font(LETTERS).getlength(name) for name in names))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height with title and labels."""
        n, (width, height) = len(self.names), self.cell
        columns = n * width + GAP + max(width, LETTERS)
        return self.label + columns, TITLE + self.label + n * height

    def draw(self, image: Image.Image, left: int, top: int) -> None:
        """Into a picture, at its upper left corner."""
        draw, (width, height), n = ImageDraw.Draw(image), self.cell, len(self.names)
        draw.text((left, top), self.title, fill=INK, font=font(18))
        x, y = left + self.label, top + TITLE + self.label
        last = x + n * width + GAP
        rows = _cells(self.leak, self.same, self.cell)
        image.paste(Image.fromarray(rows), (x, y))
        column = _cells(
            self.protected[:, None], np.zeros((n, 1), bool), (max(width, LETTERS), height)
        )
        image.paste(Image.fromarray(column), (last, y))
        for k in ticks(n, height):
            middle = y + k * height + height // 2
            draw.text((x - GAP, middle), short(self.names[k]), INK, font(LETTERS), anchor="rm")
        for k in ticks(n, width):
            _upright(image, short(self.names[k]), x + k * width + width // 2, y - GAP)
        _upright(image, PROTECTED, last + max(width, LETTERS) // 2, y - GAP)
        if n <= N_NUMBERED:
            self._numbers(draw, x, y)

    def _numbers(self, draw: ImageDraw.ImageDraw, x: int, y: int) -> None:
        (width, height), n = self.cell, len(self.names)
        for j in range(n):
            for i, value in enumerate((*self.leak[j], self.protected[j])):
                at = (
                    x + i * width + width // 2 + (GAP if i == n else 0),
                    y + j * height + height // 2,
                )
                color = "white" if value > DARK else INK
                draw.text(at, _number(float(value)), color, font(LETTERS), anchor="mm")


def ticks(n: int, step: int) -> range:
    """Which of n rows or columns, `step` pixels apart, are named: as many as do not overlap."""
    return range(0, n, math.ceil((LETTERS + 2) / step))


def draw_scale(draw: ImageDraw.ImageDraw, left: int, top: int) -> None:
    """What the colours mean."""
    step, y = 64, top + 22
    for palette, text in ((LEAKING, "on others"), (MOVED, "on the concept itself")):
        draw.text((left, y), text, INK, font(LETTERS), anchor="lm")
        shades = _colors(np.logspace(-DECADES, 0, step * DECADES), palette)
        for x, color in enumerate(shades.tolist()):
            draw.line((left + 220 + x, y - 8, left + 220 + x, y + 8), fill=tuple(color))
        draw.rectangle((left + 170, y - 8, left + 200, y + 8), fill=palette[0], outline=GREY)
        y += 24
    draw.text((left + 185, top), "0", INK, font(LETTERS), anchor="mm")
    for power in range(DECADES + 1):
        label = "1" if power == DECADES else f"1e-{DECADES - power}"
        draw.text((left + 220 + step * power, top), label, INK, font(LETTERS), anchor="mm")


def _cells(values: np.ndarray, same: np.ndarray, cell: tuple[int, int]) -> np.ndarray:
    """Pixels `[n * height, m * width, 3]`, with a white line between cells that leave room."""
    colors = np.where(same[..., None], _colors(values, MOVED), _colors(values, LEAKING))
    pixels = colors.repeat(cell[1], 0).repeat(cell[0], 1)
    if min(cell) >= LETTERS:
        pixels[:: cell[1]] = 255
        pixels[:, :: cell[0]] = 255
    return pixels


def _colors(values: np.ndarray, palette: Sequence[str]) -> np.ndarray:
    """On a log scale from 1e-6 to 1; nothing at all has a colour of its own. uint8 `[..., 3]`."""
    stops = np.array([[int(c[k : k + 2], 16) for k in (1, 3, 5)] for c in palette])
    share = np.log10(np.clip(values, 10.0**-DECADES, 1)) / DECADES + 1
    at = share * (len(stops) - 2)
    channels = [np.interp(at, range(len(stops) - 1), stops[1:, c]) for c in range(3)]
    colors = np.where(values[..., None] > 0, np.stack(channels, -1), stops[0])
    return colors.round().astype(np.uint8)


def _number(value: float) -> str:
    if value == 0 or value >= 0.095:
        return f"{value:.1f}" if value else "0"
    if value >= 0.0095:
        return f"{value:.2f}"
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def _upright(image: Image.Image, text: str, x: int, bottom: int) -> None:
    """Letters that run upwards, centred at x."""
    letters = font(LETTERS)
    box = Image.new("L", (math.ceil(letters.getlength(text)) + 2, LETTERS + 4), 0)
    ImageDraw.Draw(box).text((1, box.height // 2), text, 255, letters, anchor="lm")
    mask = box.rotate(90, expand=True)
    image.paste(INK, (x - mask.width // 2, bottom - mask.height), mask)
