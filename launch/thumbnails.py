"""Makes the pictures by which the page offers the example workflows, by running them.

    python -m launch.thumbnails

in an environment that `run.py` has prepared. One column of pictures for each SaveImage node,
headed by its title, and one row for each prompt; where SepME Compare draws, its own grid.
"""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from launch import demo
from launch.server import Server

CELL, HEADING, CAPTION, GAP = 144, 40, 28, 6
SIDE = 600  # of a grid's square
# About as many pictures side by side as below each other: the page shows thumbnails as squares.
N_ACROSS = 4
SECONDS_PER_WORKFLOW = 900


def main() -> None:
    """Runs every example workflow and writes its thumbnail beside it."""
    with demo.ready_server() as server:
        # In order of their names: a later one loads what an earlier one saves.
        for file in sorted(demo.EXAMPLES.glob("*.json")):
            thumbnail(server, file).save(file.with_suffix(".jpg"), quality=88, optimize=True)
            print(f"Made {file.with_suffix('.jpg')}", flush=True)


def thumbnail(server: Server, file: Path) -> Image.Image:
    """Runs a workflow and puts its pictures together."""
    prompt = demo.prompt_of(server, file)
    entry = server.run(prompt, SECONDS_PER_WORKFLOW)
    blocks = {
        node["_meta"]["title"]: [
            Image.open(io.BytesIO(server.picture(image))) for image in server.images(entry, key)
        ]
        for key, node in prompt.items()
        if node["class_type"] == "SaveImage"
    }
    rows = {
        node["_meta"]["title"]: node["inputs"]["text"]
        for node in prompt.values()
        if node["class_type"] == "CLIPTextEncode" and node["inputs"]["text"]
    }
    if not rows:
        return grid(next(iter(blocks.values()))[0])
    return montage(blocks, [rows[title] for title in sorted(rows)])


def grid(picture: Image.Image) -> Image.Image:
    """A labelled grid on a square, since the page would cut it off otherwise."""
    side = max(picture.size)
    sheet = Image.new("RGB", (side, side), picture.convert("RGB").getpixel((0, 0)))
    sheet.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return sheet.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def montage(blocks: dict[str, list[Image.Image]], rows: list[str]) -> Image.Image:
    """Blocks of pictures side by side under their titles, with a caption over every row.

    Args:
        blocks: for each title its pictures, row by row.
        rows: the captions; each block has as many rows.
    """
    n_across = max(1, N_ACROSS // len(blocks))
    width = n_across * CELL
    size = (
        len(blocks) * (width + GAP) + GAP,
        HEADING + len(rows) * (CAPTION + CELL) + GAP,
    )
    sheet = Image.new("RGB", size, "#1e1e22")
    draw = ImageDraw.Draw(sheet)
    for row, caption in enumerate(rows):
        middle = HEADING + row * (CAPTION + CELL) + CAPTION // 2
        _centred(draw, (size[0] // 2, middle), caption, 17, "#b8b8c0")
    for place, (title, pictures) in enumerate(blocks.items()):
        left = GAP + place * (width + GAP)
        _centred(draw, (left + width // 2, HEADING // 2 + 2), title, 19, "white")
        n_seeds = len(pictures) // len(rows)
        for row in range(len(rows)):
            top = HEADING + row * (CAPTION + CELL) + CAPTION
            for column, picture in enumerate(pictures[row * n_seeds :][:n_across]):
                sheet.paste(picture.resize((CELL, CELL)), (left + column * CELL, top))
    return sheet


def _centred(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, colour: str
) -> None:
    draw.text(place, text, fill=colour, font=ImageFont.load_default(size), anchor="mm")


if __name__ == "__main__":
    main()
