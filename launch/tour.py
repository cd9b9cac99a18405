"""`run.py screenshots`: the README's tour, taken by the browser tests and made small.

The tests leave `tour-*.png` among their screenshots; `docs/tour` keeps them as WebP.
"""

from __future__ import annotations

import subprocess

from launch import cache, checks, environment

TOUR = cache.REPOSITORY / "docs" / "tour"


def refresh() -> int:
    """Runs the tests that take the pictures, then stores these; gives the exit code."""
    code = checks.run(["tests/browser", "-m", "tour"])
    if code:
        return code
    command = [str(environment.python()), "-m", "launch.tour"]
    return subprocess.run(command, cwd=cache.REPOSITORY).returncode


def main() -> None:
    """Stores the pictures; runs in the environment, which has Pillow."""
    from PIL import Image

    TOUR.mkdir(exist_ok=True)
    for taken in sorted(cache.folder("screenshots").glob("tour-*.png")):
        kept = TOUR / f"{taken.stem.removeprefix('tour-')}.webp"
        with Image.open(taken) as picture:
            picture.convert("RGB").save(kept, quality=80, method=6)
        print(f"Made {kept}", flush=True)


if __name__ == "__main__":
    main()
