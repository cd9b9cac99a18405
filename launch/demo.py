"""`run.py demo` and `run.py ui`: the pack at work on the demo model, through a real ComfyUI."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.parse
import webbrowser
from pathlib import Path

from launch import cache, comfyui, environment
from launch.errors import SetupError
from launch.server import Server

CHECKPOINT = "sepme_demo.safetensors"
EXAMPLES = cache.REPOSITORY / "example_workflows"
STORIES = "[1-9]_*.json"
"""The demo model's; 0 is for one's own, and reads hundreds of captions before it draws."""
SECONDS_PER_WORKFLOW = 900


def demo(port: int | None = None, ui: bool = False) -> int:
    """Runs every example workflow, saves its pictures, and says what is to be seen on them.

    Args:
        port: the server's port; None takes a free one.
        ui: leave the web page open afterwards, on the first example.

    Returns:
        The exit code: 0 if all went well.
    """
    began = time.monotonic()
    with ready_server(port) as server:
        pictures = _fresh(cache.folder() / "pictures")
        for example in sorted(EXAMPLES.glob(STORIES)):
            _run_example(server, example, pictures)
        code = score(pictures)
        print(f"\nPictures: {pictures}\nDone in {time.monotonic() - began:.0f} s.", flush=True)
        if ui:
            _leave_open(server)
    return code


def ui(port: int | None = None) -> int:
    """Opens the web page with the pack and the demo model, until Ctrl+C."""
    with ready_server(port) as server:
        _leave_open(server)
    return 0


def ready_server(port: int | None = None) -> Server:
    """A server, not yet started, that has the pack and the demo checkpoint."""
    host = comfyui.prepare()
    base = comfyui.base_directory(cache.folder("base"), [checkpoint()])
    return Server(port, base, host=host)


def checkpoint() -> Path:
    """The demo checkpoint's file, assembled in the environment if it is not there yet."""
    path = cache.folder("models") / CHECKPOINT
    if not path.exists():
        print("Assembling the demo checkpoint …", flush=True)
    command = [str(environment.python()), "-m", "demo.assemble", str(path)]
    answer = subprocess.run(command, cwd=cache.REPOSITORY, capture_output=True, text=True)
    if answer.returncode:
        raise SetupError(f"The demo checkpoint could not be assembled:\n{answer.stderr.strip()}")
    return path


def prompt_of(server: Server, example: Path) -> dict:
    """An example workflow as the server runs it.

    Checkpoints that earlier runs of it have saved are removed: each is as large as the model.
    """
    from launch.workflow import to_prompt

    prompt = to_prompt(json.loads(example.read_text(encoding="utf-8")), server.object_info())
    for node in prompt.values():
        if node["class_type"] == "CheckpointSave":
            saved = (server.base_directory / "output").glob(
                f"{node['inputs']['filename_prefix']}_*"
            )
            for file in saved:
                file.unlink()
    return prompt


def score(pictures: Path) -> int:
    """Prints what the demo's classifier sees on the pictures; gives the exit code."""
    command = [str(environment.python()), "-m", "demo.score", str(pictures)]
    return subprocess.run(command, cwd=cache.REPOSITORY).returncode


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _run_example(server: Server, example: Path, pictures: Path) -> None:
    """Runs one workflow and saves every SaveImage node's pictures, sorted by its prefix."""
    prompt = prompt_of(server, example)
    print(f"Running {example.stem} …", end=" ", flush=True)
    began = time.monotonic()
    entry = server.run(prompt, SECONDS_PER_WORKFLOW)
    print(f"{time.monotonic() - began:.0f} s", flush=True)
    for node_id, node in prompt.items():
        if node["class_type"] == "SaveImage":
            name = node["inputs"]["filename_prefix"].split("/")[-1]
            _save(server, server.images(entry, node_id), pictures / example.stem / name)


def _save(server: Server, images: list[dict], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        (folder / f"{number:02}.png").write_bytes(server.picture(image))


def _leave_open(server: Server) -> None:
    """Opens the browser on the first example workflow, and waits for Ctrl+C."""
    examples = sorted(path.stem for path in EXAMPLES.glob(STORIES))
    # The page takes a template by name; a host that does not know this just opens as always.
    query = urllib.parse.urlencode({"template": examples[0], "source": "sepme"}) if examples else ""
    url = f"{server.url}/?{query}"
    print(f"\nComfyUI runs at {url}\nStop it with Ctrl+C.", flush=True)
    webbrowser.open(url)
    try:
        while True:
            server.require_alive()
            time.sleep(1)
    except KeyboardInterrupt:
        print("\nStopped.")
