"""`run.py test`: everything that has to hold before a change is taken, in one go."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import xml.etree.ElementTree
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from launch import cache, chromium, comfyui, environment

APART = ("adapters", "host", "browser")  # each imports or starts what the others must not see
CORE = ["tests", *(f"--ignore=tests/{name}" for name in APART)]


@dataclass
class Outcome:
    """What one check has found: a test run counts its tests, any other check is one."""

    name: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    note: str = ""
    seconds: float = 0.0


def run(pytest_arguments: list[str]) -> int:
    """Runs all checks, also after one has failed, and sums them up.

    Args:
        pytest_arguments: if there are any, pytest alone runs with them.

    Returns:
        0 if everything passed, else 1.
    """
    comfyui.prepare()
    if pytest_arguments:
        return _call("-m", "pytest", *pytest_arguments)
    outcomes = [_timed(name, check) for name, check in _checks().items()]
    _print_summary(outcomes)
    return int(any(outcome.failed for outcome in outcomes))


def _checks() -> dict[str, Callable[[], Outcome]]:
    pyright = ("-m", "pyright", "--pythonpath", str(environment.python()))
    return {
        "ruff check": lambda: _tool("-m", "ruff", "check", "."),
        "ruff format": lambda: _tool("-m", "ruff", "format", "--check", "."),
        "pyright": lambda: _tool(*pyright),
        "tests": lambda: _pytest("core", *CORE),
        "tests/adapters": lambda: _pytest("adapters", "tests/adapters"),
        "tests/host": lambda: _pytest("host", "tests/host"),
        "tests/browser": _browser,
        "tests/js": _javascript,
    }


def _timed(name: str, check: Callable[[], Outcome]) -> Outcome:
    print(f"\n=== {name}", flush=True)
    began = time.monotonic()
    outcome = check()
    outcome.name, outcome.seconds = name, time.monotonic() - began
    return outcome


def _call(*arguments: str) -> int:
    """Runs the environment's Python at the repository's root; gives the exit code."""
    env = {
        **os.environ,
        # Idle threads that spin slow the server beside the tests down.
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYRIGHT_PYTHON_CACHE_DIR": str(cache.folder("pyright")),
        "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
    }
    command = [str(environment.python()), *arguments]
    return subprocess.run(command, cwd=cache.REPOSITORY, env=env).returncode


def _tool(*arguments: str) -> Outcome:
    return _one(_call(*arguments))


def _one(exit_code: int) -> Outcome:
    return Outcome("", failed=1) if exit_code else Outcome("", passed=1)


def _pytest(name: str, *arguments: str) -> Outcome:
    """Runs pytest and counts its tests; a run that ends without a count has failed."""
    report = cache.folder("logs") / f"pytest-{name}.xml"
    report.unlink(missing_ok=True)
    code = _call("-m", "pytest", f"--junitxml={report}", *arguments)
    if not report.exists():
        return Outcome("", failed=1, note=f"pytest ended with exit code {code}")
    suite = xml.etree.ElementTree.parse(report).getroot().find("testsuite").attrib
    failed, skipped = int(suite["failures"]) + int(suite["errors"]), int(suite["skipped"])
    outcome = Outcome("", int(suite["tests"]) - failed - skipped, failed, skipped)
    if code and not failed:
        outcome.failed, outcome.note = 1, f"pytest ended with exit code {code}"
    return outcome


def _browser() -> Outcome:
    if not Path(cache.REPOSITORY, "tests", "browser").is_dir():
        return Outcome("", skipped=1, note="there is no such folder")
    if chromium.find():
        return _pytest("browser", "tests/browser")
    note = f"no Chromium was found. {chromium.HOW_TO_GET_ONE}"
    print(f"NOT RUN: {note}", flush=True)
    # A person may go without for now; what nobody watches may not.
    return (
        Outcome("", failed=1, note=note)
        if os.environ.get("CI")
        else Outcome("", skipped=1, note=note)
    )


def _javascript() -> Outcome:
    files = sorted(map(str, Path(cache.REPOSITORY, "tests", "js").glob("*.test.*js")))
    if not files:
        return Outcome("", skipped=1, note="there are none")
    node = _node()
    if not node:
        return Outcome("", skipped=1, note="no node was found; install Node.js 20 or newer")
    return _one(subprocess.run([node, "--test", *files], cwd=cache.REPOSITORY).returncode)


def _node() -> str | None:
    """A Node.js: the one that came with Playwright, else the machine's own."""
    drivers = environment.python().parent.parent.glob("**/site-packages/playwright/driver")
    own = (driver / name for driver in drivers for name in ("node", "node.exe"))
    return next((str(path) for path in own if path.is_file()), None) or shutil.which("node")


def _print_summary(outcomes: list[Outcome]) -> None:
    print("\n=== summary")
    for o in outcomes:
        verdict = "FAILED" if o.failed else "passed" if o.passed else "NOT RUN"
        counts = f"{o.passed} passed, {o.failed} failed, {o.skipped} skipped"
        print(f"{o.name:14} {verdict:8} {o.seconds:6.0f} s  {counts}  {o.note}".rstrip())
    passed, failed, skipped = (
        sum(getattr(o, k) for o in outcomes) for k in ("passed", "failed", "skipped")
    )
    print(
        f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""),
        flush=True,
    )
