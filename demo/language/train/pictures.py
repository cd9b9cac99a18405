"""Makes pictures.npz: every object in every style, from the three packages of the first world.

`python -m demo.language.train.pictures OPENMOJI GOOGLE TWITTER`, the `package` folders that
`demo.train.pictures` names.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from demo.language.pictures import FILE
from demo.language.vocabulary import STYLES, THINGS
from demo.train.pictures import on_white, openmoji


def draw(code: str, style: str, packages: dict[str, Path]) -> np.ndarray:
    """One emoji in one style, `[64, 64, 3]` uint8."""
    if style in ("openmoji", "outline"):
        return openmoji(packages["openmoji"], code, style == "outline")
    vendor = "google" if style == "noto" else "twitter"
    # Emoji that are text by default carry a mark that asks for the picture.
    names = (f"{code.lower()}.png", f"{code.lower()}-fe0f.png")
    folder = packages[vendor] / "img" / vendor / "64"
    (path,) = (folder / name for name in names if (folder / name).exists())
    return on_white(path)


def main() -> None:
    """Draws all and writes `pictures.npz`: `[n_objects, n_styles, 64, 64, 3]`."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("openmoji", "google", "twitter"):
        parser.add_argument(name, type=Path, help="folder of the unpacked package")
    packages = vars(parser.parse_args())
    images = [[draw(thing.code, style, packages) for style in STYLES] for thing in THINGS]
    np.savez_compressed(FILE, images=np.array(images))


if __name__ == "__main__":
    main()
