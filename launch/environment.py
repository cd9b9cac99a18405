"""The virtual environment that run.py makes for itself in its cache, and torch in it.

torch is installed only where there is none, so that a CUDA or ROCm build that you put into the
environment stays. SEPME_TORCH replaces what is installed then; its text goes to `pip install`,
e.g. SEPME_TORCH="torch torchvision --index-url <the index of your build>".
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from launch import cache
from launch.errors import SetupError

NEWEST = (3, 13)
TORCH = "torch==2.14.1 torchvision==0.29.1"
REQUIREMENTS = ("requirements-host.txt", "requirements-dev.txt")
# The default torch for Linux brings its CUDA libraries along.
GIGABYTES_FIRST, GIGABYTES_LATER = 8.0, 0.3

_VERSIONS_OF_TORCH = """
from importlib.metadata import PackageNotFoundError, version
for name in ("torch", "torchvision", "torchaudio"):
    try:
        print(f"{name}=={version(name)}")
    except PackageNotFoundError:
        pass
"""
_HAS_ACCELERATOR = """
import torch
print(torch.cuda.is_available() or torch.backends.mps.is_available()
      or (hasattr(torch, "xpu") and torch.xpu.is_available()))
"""


def note_untried_python(version: tuple[int, int] = sys.version_info[:2]) -> None:
    """Says so when this Python is newer than what was tried; run.py itself refuses older ones."""
    if version > NEWEST:
        found, newest = (".".join(map(str, v)) for v in (version, NEWEST))
        print(f"Note: Python {found} is newer than what was tried (up to {newest}).")


def python() -> Path:
    """The interpreter that has torch and the host's requirements: the cache's own, else this."""
    own = _interpreter()
    return own if own.exists() else Path(sys.executable)


def prepare(host_requirements: list[str]) -> Path:
    """Makes the environment complete; a second call with the same requirements is instant.

    Args:
        host_requirements: what the host in use asks for beyond the pins, as pip requirements.

    Returns:
        The environment's interpreter.

    Raises:
        SetupError: no space, or pip failed (with the end of its output).
    """
    note_untried_python()
    stamp = cache.folder() / "environment.stamp"
    wanted = _fingerprint(host_requirements)
    if _interpreter().exists() and stamp.exists() and stamp.read_text() == wanted:
        return _interpreter()
    _make()
    _install_torch()
    _install_requirements(host_requirements)
    stamp.write_text(wanted)
    return _interpreter()


def pip(*arguments: str, doing: str) -> None:
    """Runs the environment's pip with its output in a log.

    Args:
        arguments: what follows `pip` on the command line.
        doing: what this is for, to be told to the user.

    Raises:
        SetupError: pip failed; the message shows the end of its output and where the rest is.
    """
    log = cache.folder("logs") / "pip.log"
    print(f"{doing} …", flush=True)
    command = [str(_interpreter()), "-m", "pip", "--disable-pip-version-check", *arguments]
    with log.open("w", encoding="utf-8") as file:
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT).returncode
    if code:
        raise SetupError(
            f"{doing}: pip failed. The end of its output:\n{cache.tail(log)}\n"
            f"All of it: {log}\n"
            "Check the network (and the proxy, if there is one), then run the same command again."
        )


@lru_cache
def has_accelerator(interpreter: Path) -> bool:
    """Whether that interpreter's torch sees a GPU that ComfyUI can use."""
    command = [str(interpreter), "-W", "ignore", "-c", _HAS_ACCELERATOR]
    answer = subprocess.run(command, capture_output=True, text=True)
    return answer.stdout.strip().endswith("True")


def _interpreter() -> Path:
    venv = cache.folder() / "venv"
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _fingerprint(host_requirements: list[str]) -> str:
    parts = [(Path(__file__).parent / name).read_text(encoding="utf-8") for name in REQUIREMENTS]
    parts += [*host_requirements, TORCH, str(sys.version_info[:2])]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _make() -> None:
    """Makes the empty environment, or anew where a newer Python has taken the place of its own."""
    if _works(_interpreter()):
        cache.require_space(GIGABYTES_LATER, "Updating the environment")
        return
    cache.require_space(GIGABYTES_FIRST, "The first set-up")
    venv = _interpreter().parent.parent
    print(f"Making the environment {venv} …", flush=True)
    command = [sys.executable, "-m", "venv", "--clear", str(venv)]
    answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if answer.returncode:
        raise SetupError(
            f"Python could not make a virtual environment:\n{answer.stdout.strip()}\n"
            "On Debian and Ubuntu, `apt install python3-venv` is usually what is missing."
        )


def _works(interpreter: Path) -> bool:
    if not interpreter.exists():
        return False
    command = [str(interpreter), "-c", "import sys, pip; print(sys.version_info[:2])"]
    answer = subprocess.run(command, capture_output=True, text=True)
    return answer.returncode == 0 and answer.stdout.strip() == str(sys.version_info[:2])


def _install_torch() -> None:
    if "torch==" in _torch_pins():
        return
    wanted = shlex.split(os.environ.get("SEPME_TORCH") or TORCH)
    pip("install", *wanted, doing="Installing torch (a few GB the first time)")


def _install_requirements(host_requirements: list[str]) -> None:
    """Everything else, held to the torch that is there: a dependency must not replace it."""
    constraints = cache.folder() / "constraints.txt"
    constraints.write_text(_torch_pins(), encoding="utf-8")
    extra = cache.folder() / "requirements-comfyui.txt"
    extra.write_text("\n".join(host_requirements) + "\n", encoding="utf-8")
    files = [str(Path(__file__).parent / name) for name in REQUIREMENTS]
    if host_requirements:
        # Another host than the pinned one decides its own versions.
        files = [files[1], str(extra)]
    options = [word for file in files for word in ("-r", file)]
    pip("install", "-c", str(constraints), *options, doing="Installing what ComfyUI needs")


def _torch_pins() -> str:
    """`torch==…` and its companions, one a line, as installed in the environment."""
    command = [str(_interpreter()), "-c", _VERSIONS_OF_TORCH]
    return subprocess.run(command, capture_output=True, text=True).stdout
