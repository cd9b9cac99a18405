"""A certificate as a picture: who moves whom, how much room there is, and how much is left."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from ..sepme_core.certificate import Certificate, LeakMatrix
from .drawing import GREY, GRID, INK, MARGIN, WIDTH, as_image, dot, font, short
from .heat_map import SIDE, HeatMap, draw_scale, ticks

__all__ = ["certificate_plot"]

GAP, LABEL, HEAD = 36, 150, 34
GOOD, BAD, ZONE = "#2c8a4e", "#c3262b", "#eef1f7"
# Held-out prompts in the same colour, lighter.
DOTS = (
    ("others, given", "#1f5fa8"),
    ("others, held-out", "#8db8e8"),
    ("own, given", "#c2481f"),
    ("own, held-out", "#f0a585"),
)


def certificate_plot(certificate: Certificate) -> Tensor:
    """Heat maps, margins and capacity, one below the other.

    Returns:
        one IMAGE, `[1, height, width, 3]` float32 in [0, 1].
    """
    maps = [
        _heat_map(certificate, matrix, prompts, mode)
        for mode in ("exact", "merged")
        for matrix, prompts in (
            (certificate.constraint, "given prompts"),
            (certificate.held_out, "held-out prompts"),
        )
    ]
    panel = max(m.size[0] for m in maps), max(m.size[1] for m in maps)
    width = max(WIDTH, 2 * panel[0] + GAP + 2 * MARGIN)
    heights = (HEAD + GAP, panel[1] + GAP, panel[1] + GAP, 90, _margins_height(certificate), 110)
    image = Image.new("RGB", (width, MARGIN + sum(heights)), "white")
    draw, top = ImageDraw.Draw(image), MARGIN
    tops = [top + sum(heights[:k]) for k in range(len(heights))]
    _headline(draw, certificate, tops[0])
    second = max(MARGIN + panel[0] + GAP, width // 2)
    for k, heat_map in enumerate(maps):
        heat_map.draw(image, (MARGIN, second)[k % 2], tops[1 + k // 2])
    draw_scale(draw, MARGIN, tops[3])
    _margins(draw, certificate, tops[4], width)
    _capacity(draw, certificate, tops[5], width)
    return as_image(image)


def _heat_map(certificate: Certificate, matrix: LeakMatrix, prompts: str, mode: str) -> HeatMap:
    exact = mode == "exact"
    leak = matrix.exact if exact else matrix.linear
    protected = [p.exact if exact else p.linear for p in matrix.protected]
    return HeatMap(
        f"{mode} on {prompts}",
        certificate.names,
        leak.numpy(),
        np.array(protected),
        certificate.same.numpy(),
    )


def _headline(draw: ImageDraw.ImageDraw, certificate: Certificate, top: int) -> None:
    text, color = _verdict(certificate)
    draw.text((MARGIN, top), text, color, font(22))
    explained = (
        "Leak: change over a layer's own output. Rows erase, columns are seen; blue is meant."
    )
    draw.text((MARGIN, top + HEAD), explained, GREY, font(16))


def _verdict(certificate: Certificate) -> tuple[str, str]:
    n, n_leaking = len(certificate.names), len(certificate.leaking)
    n_loose = n - sum(certificate.separable)
    who = short(certificate.names[0]) if n == 1 else f"{n} increments"
    if n_loose:
        return f"{who}, {n_loose} NOT SEPARABLE", BAD
    if n_leaking:
        return f"{who}: {n_leaking} {'pair leaks' if n_leaking == 1 else 'pairs leak'}", BAD
    if any(leak.exact for leak in certificate.constraint.protected):
        return f"{who}: some protected prompts move", BAD
    return f"{who}: nothing protected moves", GOOD


def _row_height(certificate: Certificate) -> int:
    n = len(certificate.names)
    return 28 if n <= SIDE // 28 else max(1, SIDE // n)


def _margins_height(certificate: Certificate) -> int:
    return 2 * HEAD + GAP + _row_height(certificate) * len(certificate.names)


def _margins(draw: ImageDraw.ImageDraw, certificate: Certificate, top: int, width: int) -> None:
    draw.text((MARGIN, top), "How far prompts reach into a concept, from 0 to 1", INK, font(20))
    height, left, right = _row_height(certificate), LABEL + MARGIN, width - MARGIN - 10
    _legend(draw, MARGIN, top + HEAD)
    top += 2 * HEAD
    for j, separable in enumerate(certificate.separable):
        if separable:
            _margin(draw, certificate, j, (left, top + j * height, right, top + (j + 1) * height))
    for j in ticks(len(certificate.names), height):
        at = top + j * height + height // 2
        draw.text((left - 10, at), short(certificate.names[j]), INK, font(14), anchor="rm")


def _legend(draw: ImageDraw.ImageDraw, left: int, top: int) -> None:
    draw.line((left, top, left, top + 16), fill=GREY, width=2)
    draw.text((left + 8, top), "dead zone", INK, font(14))
    left += 24 + round(font(14).getlength("dead zone"))
    for name, color in DOTS:
        dot(draw, left + 6, top + 9, color, 6)
        draw.text((left + 16, top), name, INK, font(14))
        left += 26 + round(font(14).getlength(name))


def _margin(
    draw: ImageDraw.ImageDraw, certificate: Certificate, j: int, box: tuple[int, int, int, int]
) -> None:
    left, top, right, bottom = box
    given, new = certificate.constraint.margins[j], certificate.held_out.margins[j]
    roomy, middle = bottom - top >= 14, (top + bottom) // 2
    zone = left + given.threshold * (right - left)
    draw.rectangle((left, top, zone, bottom - 1 - roomy), fill=ZONE)
    draw.line((zone, top, zone, bottom - 1 - roomy), fill=GREY, width=1 + roomy)
    if roomy:
        draw.line((left, middle, right, middle), fill=GRID)
    values = (given.foreign, new.foreign, given.own, new.own)
    for value, (_, color) in zip(values, DOTS, strict=True):
        dot(draw, left + value * (right - left), middle, color, 7 if roomy else 2)


def _capacity(draw: ImageDraw.ImageDraw, certificate: Certificate, top: int, width: int) -> None:
    used, total = certificate.rank, certificate.d_text
    text = f"Capacity: {used} of {total} directions used by all bases together, {total - used} left"
    draw.text((MARGIN, top), text, INK, font(20))
    left, right, top = MARGIN, width - MARGIN, top + HEAD
    draw.rectangle((left, top, right, top + 24), fill=ZONE)
    draw.rectangle((left, top, left + (right - left) * used / total, top + 24), fill="#5b8fcb")
