"""`python -m bench`: measures, prints a table, writes one JSON file. Resumes where it was ended."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench import cost, erasing, paper
from launch import cache, comfyui
from launch.demo import checkpoint
from launch.server import Server

PIECES: dict[str, Callable[..., Iterator[tuple[str, dict]]]] = {
    "accuracy": partial(erasing.accuracy, n_seeds=16),
    "identity": erasing.identity,
    "identity_three": partial(erasing.identity, protected=3),
    "paper": partial(paper.variants, n_seeds=16),
    "cost": cost.sides,
}


def main() -> None:
    """Runs every piece that the JSON file does not hold yet."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--json", type=Path, default=cache.folder("bench") / "erasing.json")
    parser.add_argument("--only", choices=["floors", *PIECES], action="append")
    arguments = parser.parse_args()
    path: Path = arguments.json
    results = json.loads(path.read_text()) if path.exists() else {}
    with _own_server() as server:
        if "floors" not in results:
            results["floors"] = erasing.floors(server, n_seeds=16)
            _write(path, results)
        for name, piece in PIECES.items():
            if not arguments.only or name in arguments.only:
                _run(name, piece, server, results, path)
    print(f"\n{path}")


def _own_server() -> Server:
    """A server with a folder of its own: two on one folder clear each other's pictures."""
    folder = Path(tempfile.mkdtemp(prefix="sepme-bench-"))
    return Server(base_directory=comfyui.base_directory(folder, [checkpoint()]))


def _run(name: str, piece: Callable, server: Server, results: dict, path: Path) -> None:
    known = results.setdefault(name, {})
    if len(known) >= (len(paper.RUNS) if name == "paper" else len(erasing.OBJECTS)):
        print(f"{name}: kept from before")
        return
    for key, result in piece(server, skip=set(known)):
        known[key] = result
        print(f"{name} {key}: {result}", flush=True)
        _write(path, results)


def _write(path: Path, results: dict) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(results, indent=1))
    temporary.replace(path)


if __name__ == "__main__":
    main()
