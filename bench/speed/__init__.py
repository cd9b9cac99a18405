"""Speed, memory and size, each piece on its own: `python -m bench.speed NAME [--quick]`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from launch import cache

__all__ = ["NAMES", "PIECES"]

NAMES = ("size", "scale", "basis", "profile", "overhead", "memory")


def _in_a_process(name: str, quick: bool) -> dict[str, Any]:
    """A process each: models of real size are gone after it, and the host is not in ours.

    Threads that wait must not spin, or a second busy process on the machine slows them tenfold. But
    the closed form and applying are thousands of small products, and in ComfyUI threads do spin:
    waking them would take longer than the products.
    """
    command = [sys.executable, "-m", "bench.speed", name, *["--quick"] * quick]
    small_products = name in ("scale", "overhead")
    waiting = {**os.environ, "OMP_WAIT_POLICY": "ACTIVE" if small_products else "PASSIVE"}
    done = subprocess.run(
        command, cwd=cache.REPOSITORY, env=waiting, check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout)


PIECES: dict[str, Callable[[bool], dict[str, Any]]] = {
    name: partial(_in_a_process, name) for name in NAMES
}
"""Name -> what measures it, given whether to be quick; what it gives can be written as JSON."""
