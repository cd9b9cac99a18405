"""Draws the pack's icon and banner: a picture of many tiles, one of them lifted out.

    python -m launch.mark

in an environment that `run.py` has prepared.
"""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from launch.cache import REPOSITORY

FINE = 4  # drawn that much larger, then made smaller: round corners without steps
TOP, BOTTOM = (44, 40, 84), (22, 20, 44)
TILES = ["#6d8bff", "#7ea6ff", "#8ec3ff", "#6a7cf0", "#7b98fa", "#86b4f7", "#6570dd", "#6f86ea"]
LIFTED, PLACE = "#ff8a5c", "#9a98c0"
SAYS = ("Take a concept out of your model.", "What you protect stays, to the bit.")


def main() -> None:
    """Writes both pictures, in the shapes that the registry wants: square, and 21:9."""
    icon().save(REPOSITORY / "docs" / "icon.png", optimize=True)
    banner().quantize(128).save(REPOSITORY / "docs" / "banner.png", optimize=True)


def icon(side: int = 400) -> Image.Image:
    """The mark alone, with round corners."""
    sheet = _ground((side * FINE, side * FINE))
    _mark(sheet, (0, 0), side * FINE)
    corners = Image.new("L", sheet.size)
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, *sheet.size), side * FINE // 6, fill=255)
    sheet.putalpha(corners)
    return sheet.resize((side, side), Image.Resampling.LANCZOS)


def banner(width: int = 1344, height: int = 576) -> Image.Image:
    """The mark with the name beside it."""
    sheet = _ground((width * FINE, height * FINE))
    side = height * FINE
    _mark(sheet, (side // 8, 0), side)
    draw, left = ImageDraw.Draw(sheet), side + side // 6
    draw.text((left, side * 0.42), "SepME", "white", ImageFont.load_default(side * 0.22), "ls")
    for line, words in enumerate(SAYS):
        place = (left, side * (0.55 + 0.09 * line))
        draw.text(place, words, "#cfd0ee", ImageFont.load_default(side * 0.063), "ls")
    return sheet.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


def _ground(size: tuple[int, int]) -> Image.Image:
    """Darker towards the bottom."""
    ramp = Image.linear_gradient("L").resize(size)
    return Image.composite(Image.new("RGBA", size, BOTTOM), Image.new("RGBA", size, TOP), ramp)


def _mark(sheet: Image.Image, corner: tuple[int, int], side: int) -> None:
    """Three times three tiles; the last of the first row floats above its empty place."""
    tile, gap = side * 0.19, side * 0.035
    left = corner[0] + side * 0.155
    bottom = corner[1] + side * 0.155 + 3 * tile + 2 * gap + side * 0.05
    places = [
        (left + column * (tile + gap), bottom - (3 - row) * tile - (2 - row) * gap)
        for row in range(3)
        for column in range(3)
    ]
    draw = ImageDraw.Draw(sheet)
    empty = places.pop(2)
    for place, colour in zip(places, TILES, strict=True):
        draw.rounded_rectangle(_box(place, tile), tile * 0.2, fill=colour)
    draw.rounded_rectangle(_box(empty, tile), tile * 0.2, outline=PLACE, width=round(side * 0.012))
    lifted = (empty[0] + side * 0.085, empty[1] - side * 0.105)
    _shadow(sheet, _box((lifted[0], lifted[1] + side * 0.03), tile), side)
    draw.rounded_rectangle(_box(lifted, tile), tile * 0.2, fill=LIFTED)


def _shadow(sheet: Image.Image, box: tuple[float, float, float, float], side: int) -> None:
    dark = Image.new("L", sheet.size)
    ImageDraw.Draw(dark).rounded_rectangle(box, side * 0.04, fill=170)
    sheet.paste("#0b0a1c", (0, 0), dark.filter(ImageFilter.GaussianBlur(side * 0.022)))


def _box(place: tuple[float, float], side: float) -> tuple[float, float, float, float]:
    return (*place, place[0] + side, place[1] + side)


if __name__ == "__main__":
    main()
