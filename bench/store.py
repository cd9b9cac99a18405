"""Results in one JSON file, piece by piece: whatever ends a run loses one piece at the most."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from launch import cache, comfyui

__all__ = ["PROTOCOL", "NotKeptError", "Store", "accelerator", "stamp"]

PROTOCOL = 2
"""Counted up when figures of before are not to be compared with those of now."""


class NotKeptError(OSError):
    """What was measured cannot be written, so there is no use in going on."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            f"{path} could not be written ({error.strerror}). All pieces finished before are "
            "kept; make room and run the same command again."
        )


def accelerator() -> str:
    """Name of the one that torch sees and ComfyUI would use; empty where there is none."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    others = ("xpu", torch.xpu.is_available()), ("mps", torch.backends.mps.is_available())
    return next((name for name, there in others if there), "")


def stamp(checkpoint: str, device: str = "cpu") -> dict[str, Any]:
    """What figures depend on: protocol, pack, host, torch, machine, checkpoint."""
    return {
        "device": device,
        "sepme": _version(cache.REPOSITORY / "pyproject.toml"),
        "comfyui": _version(comfyui.prepare() / "comfyui_version.py"),
        "protocol": PROTOCOL,
        "torch": torch.__version__,
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "checkpoint": checkpoint,
    }


class Store:
    """A JSON file of pieces.

    Args:
        path: read if it is there. One of another stamp is set aside, never mixed and never lost.
        stamp: see `stamp`.
    """

    def __init__(self, path: Path, stamp: dict[str, Any]) -> None:
        self.path = path
        self.content: dict[str, Any] = {"stamp": stamp, "pieces": {}}
        if not path.exists():
            return
        known = _read(path)
        if known.get("stamp") == stamp:
            self.content = known
        else:
            self._set_aside(known.get("stamp"))

    @property
    def pieces(self) -> dict[str, Any]:
        """Finished pieces by name."""
        return self.content["pieces"]

    @property
    def seconds(self) -> dict[str, float]:
        """How long finished pieces took, with what they share counted where it was first needed."""
        return self.content.setdefault("seconds", {})

    @property
    def pictures(self) -> Path:
        """A folder beside the file for pictures to look at."""
        return self.path.with_name(f"{self.path.stem} pictures")

    def once(self, name: str, measure: Callable[[], Any]) -> Any:
        """The result of a piece: kept from before, or measured now and written at once.

        Raises:
            NotKeptError: the file cannot be written; what it held before is still there.
        """
        if name not in self.pieces:
            started = time.perf_counter()
            # As it will be read, so that a fresh figure and a kept one are the same thing.
            self.pieces[name] = json.loads(json.dumps(measure()))
            self.seconds[name] = round(time.perf_counter() - started, 1)
            self.write()
        return self.pieces[name]

    def write(self) -> None:
        """Replaces the file as a whole."""
        temporary = self.path.with_suffix(".tmp")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_text(json.dumps(self.content, indent=1) + "\n", encoding="utf-8")
            temporary.replace(self.path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise NotKeptError(self.path, error) from error

    def _set_aside(self, other: Any) -> None:
        number = 1
        while (aside := self.path.with_suffix(f".{number}.json")).exists():
            number += 1
        self.path.replace(aside)
        if self.pictures.exists():
            self.pictures.rename(aside.with_name(f"{aside.stem} pictures"))
        ours = self.content["stamp"]
        kinds = [k for k in ours if not isinstance(other, dict) or other.get(k) != ours[k]]
        told = ", ".join(f"{k} was {(other or {}).get(k)!r}, is {ours[k]!r}" for k in kinds)
        print(f"{self.path.name} holds figures of other circumstances ({told}).")
        print(f"They are not mixed: kept in {aside.name}, and everything is measured again.\n")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return content if isinstance(content["pieces"], dict) else {}
    except (ValueError, KeyError, TypeError):
        return {}


def _version(path: Path) -> str:
    """Of the first line like `version = "1.2"`."""
    return re.search(r'version\w* = "(.+)"', path.read_text(encoding="utf-8"))[1]


def _processor() -> str:
    """The processor's name where the system tells it."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        return next(x.split(":")[1].strip() for x in told.splitlines() if "model name" in x)
    except (OSError, StopIteration):
        pass
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return platform.processor() or platform.machine()
