"""Makes `sepme_core`, `launch` and `demo` importable without hiding the host's own modules."""

import sys
from pathlib import Path

REPOSITORY = str(Path(__file__).resolve().parent.parent)

# `python -m pytest` puts the current folder first on the path, where our `nodes` folder would hide
# the host's nodes.py. Last is the right place for it.
sys.path[:] = [entry for entry in sys.path if entry not in ("", REPOSITORY)] + [REPOSITORY]


def pytest_addoption(parser):
    """`--all-pages` is the long form of the tests that open ComfyUI's page."""
    parser.addoption(
        "--all-pages",
        action="store_true",
        help="what is to survive in the page, in all its versions and renderers",
    )
