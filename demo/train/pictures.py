"""Makes pictures.npz, the forty training pictures, from three npm packages.

Fetch and unpack them first (`npm pack NAME`, `tar xf`), and give their `package` folders in this
order: openmoji@17.0.0, emoji-datasource-google@16.0.0 (Noto Emoji) and
emoji-datasource-twitter@16.0.0 (Twemoji): these give the stored pictures to the bit. Drawing SVG
needs the Python package resvg-py.
"""

from __future__ import annotations

import argparse
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from demo.pictures import SIZE
from demo.train import common
from demo.vocabulary import OBJECTS, STYLES

CODES = dict(
    zip(
        OBJECTS,
        "1F431 1F436 1F339 1F697 1F355 1F3B8 1F3E0 1F34E 1F41F 1F680".split(),
        strict=True,
    )
)
COLOURED_LAYERS = ("color", "color-foreground", "hair", "skin", "skin-shadow")


def on_white(file: object) -> np.ndarray:
    """The picture in that file, `[64, 64, 3]` uint8 on white."""
    picture = Image.open(file).convert("RGBA")
    white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
    white.alpha_composite(picture)
    return np.asarray(white.convert("RGB").resize((SIZE, SIZE), Image.Resampling.LANCZOS))


def without_group(svg: str, name: str) -> str:
    """That SVG without its group of that id, whatever is nested in it."""
    start = re.search(rf'<g id="{name}"[^>]*>', svg)
    if not start or start.group().endswith("/>"):
        return svg
    depth = 1
    for tag in re.finditer(r"<g\b[^>]*?(/?)>|</g>", svg[start.end() :]):
        depth += -1 if tag.group() == "</g>" else tag.group(1) != "/"
        if depth == 0:
            return svg[: start.start()] + svg[start.end() + tag.end() :]
    return svg


def openmoji(package: Path, code: str, outline: bool) -> np.ndarray:
    """One OpenMoji drawing, in colour or as its black outline alone."""
    import resvg_py

    (path,) = package.glob(f"src/*/*/{code}.svg")
    svg = without_group(path.read_text(encoding="utf-8"), "grid")
    for layer in COLOURED_LAYERS if outline else ():
        svg = without_group(svg, layer)
    # The live area of the 72 units wide canvas, so that it fills the tile as the others do.
    svg = svg.replace('viewBox="0 0 72 72"', 'viewBox="4 4 64 64"')
    drawn = resvg_py.svg_to_bytes(svg_string=svg, width=SIZE * 4, height=SIZE * 4)
    return on_white(io.BytesIO(bytes(drawn)))


def draw(name: str, style: str, packages: dict[str, Path]) -> np.ndarray:
    """One object in one style, `[64, 64, 3]` uint8."""
    code = CODES[name]
    if style in ("openmoji", "outline"):
        return openmoji(packages["openmoji"], code, style == "outline")
    vendor = "google" if style == "noto" else "twitter"
    return on_white(packages[vendor] / "img" / vendor / "64" / f"{code.lower()}.png")


def main() -> None:
    """Draws all and writes `pictures.npz` into the training folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("openmoji", "google", "twitter"):
        parser.add_argument(name, type=Path, help="folder of the unpacked package")
    packages = vars(parser.parse_args())
    pairs = [(i, j) for i in range(len(OBJECTS)) for j in range(len(STYLES))]
    images = np.stack([draw(OBJECTS[i], STYLES[j], packages) for i, j in pairs])
    objects, styles = np.array(pairs).T
    np.savez_compressed(common.work("pictures.npz"), imgs=images, obj=objects, style=styles)


if __name__ == "__main__":
    main()
