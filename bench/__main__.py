"""`python run.py bench [quality|speed|all] [--quick]`: measures, and keeps what is finished.

Everything goes into one JSON file, piece by piece: ended and started again, it goes on where it
was. `bench/README.md` describes the protocol and the file.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from bench.quality import scenes
from bench.store import Store, stamp
from bench.tasks import OBJECTS_TASK, STYLES_TASK, Task, from_file
from launch import cache

Piece = tuple[str, Callable[[], Any]]


def main() -> int:
    """Runs the pieces that the file does not hold yet; gives the exit code."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    try:
        _run(arguments)
    except (ValueError, OSError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped; finished pieces are kept. The same command goes on.", file=sys.stderr)
        return 130
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py bench", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["quality", "speed", "all"], default="all")
    parser.add_argument("--quick", action="store_true", help="few pictures, within ten minutes")
    parser.add_argument("--json", type=Path, help="the file to go on with")
    parser.add_argument("--only", action="append", metavar="GLOB", help="pieces of these names")
    parser.add_argument("--seeds", type=int, help="pictures per concept and family (16, quick: 4)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--checkpoint", type=Path, help="your own SD 1.x, SD 2.x or SDXL")
    parser.add_argument("--prompts", type=Path, help="what to erase from it, see bench/README.md")
    parser.add_argument("--classifier", type=Path, help="folder of a CLIP model that judges")
    parser.add_argument("--resolution", type=int, help="of pictures (64; your own: 512)")
    arguments = parser.parse_args()
    if arguments.checkpoint and not (arguments.prompts and arguments.classifier):
        parser.error("--checkpoint needs --prompts and --classifier: see bench/README.md")
    return arguments


def _run(arguments: argparse.Namespace) -> None:
    amount = scenes.QUICK if arguments.quick else scenes.FULL
    if arguments.seeds:
        amount = replace(amount, bare=arguments.seeds, held_out=arguments.seeds)
    name = arguments.checkpoint.name if arguments.checkpoint else "demo"
    default = cache.folder("bench") / ("quick.json" if arguments.quick else "results.json")
    store = Store(arguments.json or default, stamp(name) | {"pictures": asdict(amount)})
    with tqdm(unit="piece", disable=not sys.stderr.isatty()) as bar:
        pieces = [
            p for p in _pieces(arguments, store, amount, bar) if _wanted(p[0], arguments.only)
        ]
        bar.reset(len(pieces))
        for piece, measure in pieces:
            bar.set_description(piece)
            known = piece in store.pieces
            store.once(piece, measure)
            bar.update()
            tqdm.write(f"{'kept' if known else 'done'}  {piece}")
    print(f"\n{store.path}")


def _wanted(name: str, patterns: list[str] | None) -> bool:
    return not patterns or any(fnmatch(name, pattern) for pattern in patterns)


def _pieces(arguments: argparse.Namespace, store: Store, amount: Any, bar: Any) -> Iterator[Piece]:
    if arguments.what in ("quality", "all"):
        yield from _quality(arguments, store, amount, bar)


def _quality(arguments: argparse.Namespace, store: Store, amount: Any, bar: Any) -> Iterator[Piece]:
    from bench.judge import ClipJudge, DemoJudge  # noqa: PLC0415  (the host takes seconds)
    from bench.peers import peers  # noqa: PLC0415
    from bench.studio import Studio  # noqa: PLC0415
    from launch.demo import checkpoint  # noqa: PLC0415

    own = arguments.checkpoint
    studio = Studio(own or checkpoint(), arguments.resolution or (512 if own else 64))
    drawn = [0]

    def on_batch(n: int) -> None:
        drawn[0] += n
        bar.set_postfix(pictures=drawn[0])

    for task in from_file(arguments.prompts) if own else (OBJECTS_TASK, STYLES_TASK):
        judge = ClipJudge(arguments.classifier, task.labels) if own else DemoJudge()
        _check_known(task, judge)
        course = scenes.Scenes(
            studio, task, judge, amount, arguments.quick, store.pictures, on_batch
        )
        yield from course.pieces(peers())


def _check_known(task: Task, judge: Any) -> None:
    unknown = [name for name in task.watched if not judge.knows(name)]
    if unknown:
        raise ValueError(
            f"{judge.name} cannot say whether it sees {', '.join(unknown)} (task {task.name!r}). "
            "Add them to the task's labels, or leave them away."
        )


if __name__ == "__main__":
    sys.exit(main())
