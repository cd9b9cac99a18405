"""`python -m bench.speed NAME [--quick]`: measures one piece and prints it as JSON."""

from __future__ import annotations

import argparse
import json
import os
from importlib import import_module

from bench.speed import NAMES

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported, by the piece


def main() -> None:
    """One piece in this process."""
    parser = argparse.ArgumentParser(prog="bench.speed", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--quick", action="store_true", help="smaller; all within three minutes")
    arguments = parser.parse_args()
    found = import_module(f"bench.speed.{arguments.name}").measure(arguments.quick)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
