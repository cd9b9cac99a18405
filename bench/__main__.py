"""`python run.py bench [all|quality|speed|choices]`: measures, and keeps what is finished.

Everything goes into one JSON file, piece by piece: ended and started again, it goes on where it
was. `bench/README.md` describes the protocol and the file.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from bench import tables
from bench.quality import scenes
from bench.store import NotKeptError, Store, accelerator, stamp
from launch import cache

WHAT = ("all", "quality", "speed", "choices")


def main() -> int:
    """Runs the pieces that the file does not hold yet; gives the exit code."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    try:
        failed = _run(arguments)
    except (ValueError, OSError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped; finished pieces are kept. The same command goes on.", file=sys.stderr)
        return 130
    for piece, error in failed.items():
        print(f"\n{piece} failed: {type(error).__name__}: {error}", file=sys.stderr)
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py bench", description=__doc__)
    parser.add_argument(
        "what", nargs="?", choices=WHAT, help="all: quality and speed; --checkpoint: quality alone"
    )
    parser.add_argument("--quick", action="store_true", help="few pictures, to see that all works")
    parser.add_argument("--json", type=Path, help="the file to go on with")
    parser.add_argument("--only", action="append", metavar="GLOB", help="pieces of these names")
    parser.add_argument("--seeds", type=int, help="pictures per concept and family (16, quick: 2)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--checkpoint", type=Path, help="your own SD 1.x, SD 2.x or SDXL")
    parser.add_argument("--prompts", type=Path, help="what to erase from it, see bench/README.md")
    parser.add_argument("--classifier", type=Path, help="folder of a CLIP model that judges")
    parser.add_argument("--resolution", type=int, help="of pictures (64; your own: 512)")
    arguments = parser.parse_args()
    own = arguments.prompts, arguments.classifier
    if arguments.checkpoint and not all(own):
        parser.error("--checkpoint needs --prompts and --classifier: see bench/README.md")
    if not arguments.checkpoint and any((*own, arguments.resolution)):
        parser.error("--prompts, --classifier and --resolution go with --checkpoint")
    arguments.what = arguments.what or ("quality" if arguments.checkpoint else "all")
    if arguments.checkpoint and arguments.what != "quality":
        parser.error(f"{arguments.what} does not measure your checkpoint; leave --checkpoint away")
    return arguments


def _run(arguments: argparse.Namespace) -> dict[str, Exception]:
    """Gives the pieces that failed: each costs nothing but itself."""
    from bench.pieces import Bench  # noqa: PLC0415  (the host takes seconds to import)

    amount = scenes.QUICK if arguments.quick else scenes.FULL
    if arguments.seeds:
        amount = replace(amount, bare=arguments.seeds, held_out=arguments.seeds)
    own = _own(arguments)
    kind = "quick" if arguments.quick else "results"
    default = f"{own.checkpoint.stem} {kind}.json" if own else f"{kind}.json"
    told = (own.told, accelerator() or "cpu") if own else ("demo",)
    circumstances = stamp(*told) | {"pictures": asdict(amount)}
    store = Store(arguments.json or cache.folder("bench") / default, circumstances)
    with tqdm(unit="piece", disable=not sys.stderr.isatty()) as bar:
        drawn = Counter()

        def on_batch(n: int) -> None:
            drawn.update(pictures=n)
            bar.set_postfix(drawn)

        with closing(Bench(amount, arguments.quick, store.pictures, on_batch, own)) as bench:
            tasks = bench.tasks
            pieces = [p for p in _pieces(bench, arguments.what) if _wanted(p[0], arguments.only)]
            failed = _measured(pieces, store, bar)
    minutes = sum(store.seconds.get(piece, 0) for piece, _ in pieces) / 60
    print(f"\nMeasuring took {minutes:.1f} minutes, earlier runs of this file included.")
    print(store.path)
    written = tables.report(store.path, tasks) if store.pieces else []
    for path in written:
        print(path)
    if written:
        print(f"\n{written[0].read_text(encoding='utf-8')}")
    return failed


def _measured(
    pieces: list[tuple[str, Callable[[], Any]]], store: Store, bar: Any
) -> dict[str, Exception]:
    """Measures what the store does not hold; gives the pieces that failed."""
    failed: dict[str, Exception] = {}
    bar.reset(len(pieces))
    for piece, measure in pieces:
        bar.set_description(piece)
        word = "kept" if piece in store.pieces else "done"
        try:
            store.once(piece, measure)
        except NotKeptError:
            raise
        except Exception as error:  # noqa: BLE001  (the next one may do)
            failed[piece], word = error, "FAILED"
        bar.update()
        tqdm.write(f"{word}  {piece}")
    return failed


def _own(arguments: argparse.Namespace) -> Any:
    from bench.pieces import Own  # noqa: PLC0415

    given = arguments.checkpoint, arguments.prompts, arguments.classifier
    return Own(*given, arguments.resolution or 512) if arguments.checkpoint else None


def _pieces(bench: Any, what: str) -> list[tuple[str, Callable[[], Any]]]:
    kinds = ("quality", "speed") if what == "all" else (what,)
    return [piece for kind in kinds for piece in getattr(bench, kind)()]


def _wanted(name: str, patterns: list[str] | None) -> bool:
    return not patterns or any(fnmatch(name, pattern) for pattern in patterns)


if __name__ == "__main__":
    sys.exit(main())
