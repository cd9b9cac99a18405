"""Where everything that can be made again lives: `.sepme/` beside run.py, or SEPME_CACHE."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from launch.errors import SetupError

REPOSITORY = Path(__file__).resolve().parent.parent


def folder(*parts: str) -> Path:
    """A folder of the cache, made if it does not exist yet.

    Args:
        parts: names below the cache's root, e.g. `"logs"`; none for the root itself.
    """
    root = Path(os.environ.get("SEPME_CACHE") or REPOSITORY / ".sepme").expanduser().absolute()
    path = root.joinpath(*parts)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(
            f"The cache folder {path} cannot be made: {error}.\n"
            "Set SEPME_CACHE to a folder that you may write to."
        ) from error
    return path


def require_space(gigabytes: float, purpose: str) -> None:
    """Refuses to begin what the disk cannot hold.

    Args:
        gigabytes: what must be free on the cache's disk, in 10^9 bytes.
        purpose: what the space is for, to complete "<purpose> needs about ...".

    Raises:
        SetupError: less is free; free some or move the cache with SEPME_CACHE.
    """
    free = shutil.disk_usage(folder()).free / 1e9
    if free < gigabytes:
        raise SetupError(
            f"{purpose} needs about {gigabytes:g} GB on the disk of {folder()}, "
            f"but only {free:.1f} GB are free.\n"
            "Free some space, or set SEPME_CACHE to a folder on another disk."
        )


def tail(path: Path, n_lines: int = 15) -> str:
    """The last lines of a log, indented for a message."""
    if not path.exists():
        return "    (nothing was written)"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join("    " + line for line in lines[-n_lines:])
