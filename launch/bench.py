"""`run.py bench`: hands over to the `bench` package, which runs in the environment."""

from __future__ import annotations

import os
import subprocess

from launch import cache, comfyui, environment


def run(arguments: list[str]) -> int:
    """Runs `python -m bench` with those arguments; gives its exit code."""
    comfyui.prepare()
    command = [str(environment.python()), "-m", "bench", *arguments]
    # Read when torch is loaded: waiting threads would take the other cores away.
    surroundings = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    return subprocess.run(command, cwd=cache.REPOSITORY, env=surroundings).returncode
