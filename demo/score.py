"""Prints what the classifier sees: `python -m demo.score FOLDER`, as `run.py demo` leaves it."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from demo import pictures
from demo.classifier import classify
from demo.vocabulary import OBJECTS

GRID = "grid"  # the examples' name for many pictures in one, with letters: nothing to classify


def seen(files: list[Path]) -> Counter[str]:
    """How many of those pictures show which object; enlarged ones are brought back to size."""
    images = pictures.read(files)
    factor = images.shape[-1] // pictures.SIZE  # the examples enlarge by repeating pixels
    objects, _ = classify(images[..., ::factor, ::factor])
    return Counter(OBJECTS[index] for index in objects.tolist())


def table(folder: Path) -> list[tuple[str, str, str]]:
    """Rows (workflow, name of the pictures, what is on them) for `<workflow>/<name>/*.png`."""
    rows = []
    groups = (path for path in folder.glob("*/*") if path.is_dir() and path.name != GRID)
    for group in sorted(groups):
        counts = seen(sorted(group.glob("*.png"))).most_common()
        drawn = ", ".join(f"{n} x {name}" for name, n in counts)
        rows.append((group.parent.name, group.name, drawn))
    return rows


def main(folder: Path) -> None:
    """Prints the table of a folder, with columns as wide as they need."""
    rows = [("workflow", "pictures", "what the classifier sees"), *table(folder)]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for row in rows:
        print(f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m demo.score FOLDER")
    main(Path(sys.argv[1]))
