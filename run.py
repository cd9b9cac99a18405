"""SepME's one command: `python run.py demo | test | ui | bench | screenshots`.

Needs nothing but Python 3.10 to 3.13; everything else goes into the cache folder `.sepme/`.
"""

import argparse
import signal
import sys

# Before any other import: an older Python could not even read the modules below.
if sys.version_info < (3, 10):
    found = ".".join(str(part) for part in sys.version_info[:2])
    print(f"Python {found} is too old: run.py needs 3.10 to 3.13.", file=sys.stderr)
    print("Start it with a newer one, e.g. `python3.13 run.py demo`.", file=sys.stderr)
    sys.exit(2)

from launch.errors import SetupError, WorkflowError

ENVIRONMENT = """\
environment variables:
  COMFYUI_PATH   your own ComfyUI folder, used as it is; unset: version 0.3.75 is fetched
  SEPME_TORCH    what to give to `pip install` for torch, e.g. "torch torchvision --index-url ..."
                 for CUDA or ROCm; a torch that the environment has already is never replaced
  SEPME_CACHE    folder for the environment, ComfyUI, checkpoint, logs and pictures (.sepme)
  SEPME_CHROMIUM the browser for the tests, where it is not found by itself
"""


def main(arguments: list[str]) -> int:
    """Runs the command named in the arguments; gives its exit code."""
    chosen, rest = _parser().parse_known_args(arguments)
    if rest and chosen.command not in ("test", "bench"):
        _parser().error(f"unknown arguments: {' '.join(rest)}")
    try:
        return _run(chosen, rest)
    except (SetupError, WorkflowError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130


def _run(chosen: argparse.Namespace, rest: list[str]) -> int:
    from launch import bench, checks, demo, tour

    if chosen.command == "demo":
        return demo.demo(chosen.port, chosen.ui)
    if chosen.command == "ui":
        return demo.ui(chosen.port)
    if chosen.command == "test":
        return checks.run(rest)
    if chosen.command == "screenshots":
        return tour.refresh()
    return bench.run(rest)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="SepME: take concepts out of a diffusion model, and put them back.",
        epilog=ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo", help="run the example workflows, save and score the pictures"
    )
    demo.add_argument("--ui", action="store_true", help="leave ComfyUI's web page open afterwards")
    page = commands.add_parser(
        "ui", help="open ComfyUI's web page with the pack and the demo model"
    )
    for command in (demo, page):
        command.add_argument("--port", type=int, help="port of the server (default: a free one)")
    commands.add_parser(
        "test",
        help="run all checks (--all-pages: in all pages); further arguments go to pytest alone",
    )
    commands.add_parser("bench", help="measure quality and speed")
    commands.add_parser("screenshots", help="take the pictures of the README's tour anew")
    return parser


if __name__ == "__main__":
    # A server that was started must not outlive a run that is ended from outside.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A console that cannot show every character must not end the run.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")
    sys.exit(main(sys.argv[1:]))
