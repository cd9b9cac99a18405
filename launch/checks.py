"""`run.py test`: everything that has to hold before a change is taken, in one go."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from launch import cache, chromium, comfyui, environment

APART = ("adapters", "host", "browser")  # each imports or starts what the others must not see
ALL_PAGES = "--all-pages"  # tests/browser in every page and renderer, which takes its time
CORE = ["tests", *(f"--ignore=tests/{name}" for name in APART)]
AT_ONCE = 2
"""Checks that run side by side: a page waits for its server much of the time."""
_RUNNING: set[subprocess.Popen[bytes]] = set()


@dataclass
class Outcome:
    """What one check has found: a test run counts its tests, any other check is one."""

    name: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    note: str = ""
    seconds: float = 0.0


Check = Callable[[Path], Outcome]
"""Runs something with its output in the given file."""


def run(pytest_arguments: list[str]) -> int:
    """Runs all checks, two at a time and also after one has failed, and sums them up.

    What a check prints comes in one piece when it is done.

    Args:
        pytest_arguments: if there are any, pytest alone runs with them; `--all-pages` alone is all
            checks, those of the page in all its versions.

    Returns:
        0 if everything passed, else 1.
    """
    comfyui.prepare()
    if pytest_arguments not in ([], [ALL_PAGES]):
        return _call("-m", "pytest", *pytest_arguments)
    outcomes = _side_by_side(_checks(pytest_arguments) if pytest_arguments else _checks())
    _print_summary(outcomes)
    return int(any(outcome.failed for outcome in outcomes))


def _side_by_side(checks: dict[str, Check]) -> list[Outcome]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            return list(pool.map(_timed, checks, checks.values()))
        except BaseException:  # stopped: nothing that was started may go on without us
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(_RUNNING):  # which others still add to and take from
                process.send_signal(signal.SIGTERM if os.name == "nt" else signal.SIGINT)
            raise


def _checks(browser_arguments: Sequence[str] = ()) -> dict[str, Check]:
    """What is run, by name: the longest first, so that none is left alone at the end."""
    pyright = ("-m", "pyright", "--pythonpath", str(environment.python()))
    return {
        "tests/browser": lambda log: _browser(log, *browser_arguments),
        "tests/adapters": lambda log: _pytest("adapters", "tests/adapters", log=log),
        "tests/host": lambda log: _pytest("host", "tests/host", log=log),
        "tests": lambda log: _pytest("core", *CORE, log=log),
        "pyright": lambda log: _tool(*pyright, log=log),
        "ruff check": lambda log: _tool("-m", "ruff", "check", ".", log=log),
        "ruff format": lambda log: _tool("-m", "ruff", "format", "--check", ".", log=log),
        "tests/js": _javascript,
    }


def _timed(name: str, check: Check) -> Outcome:
    log = cache.folder("logs") / f"check-{name.replace('/', '-').replace(' ', '-')}.log"
    log.unlink(missing_ok=True)
    print(f"--- {name} begins", flush=True)
    began = time.monotonic()
    outcome = check(log)
    outcome.name, outcome.seconds = name, time.monotonic() - began
    printed = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    sys.stdout.write(f"\n=== {name}\n{printed}")
    sys.stdout.flush()
    return outcome


def _call(*arguments: str, log: Path | None = None) -> int:
    """Runs the environment's Python at the repository's root; see `_run`."""
    return _run([str(environment.python()), *arguments], log)


def _run(command: list[str], log: Path | None) -> int:
    """Runs a command at the repository's root; gives its exit code.

    Args:
        log: the file that its output goes to; None shows it as it comes.
    """
    env = {
        **os.environ,
        # Idle threads that spin slow the server beside the tests down.
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYRIGHT_PYTHON_CACHE_DIR": str(cache.folder("pyright")),
        "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
    }
    if log is None:
        return subprocess.run(command, cwd=cache.REPOSITORY, env=env).returncode
    with (
        log.open("wb") as file,
        subprocess.Popen(
            command, cwd=cache.REPOSITORY, env=env, stdout=file, stderr=subprocess.STDOUT
        ) as process,
    ):
        _RUNNING.add(process)
        code = process.wait()
        _RUNNING.discard(process)
    return code


def _tool(*arguments: str, log: Path) -> Outcome:
    return _one(_call(*arguments, log=log))


def _one(exit_code: int) -> Outcome:
    return Outcome("", failed=1) if exit_code else Outcome("", passed=1)


def _pytest(name: str, *arguments: str, log: Path | None = None) -> Outcome:
    """Runs pytest and counts its tests; a run that ends without a count has failed."""
    report = cache.folder("logs") / f"pytest-{name}.xml"
    report.unlink(missing_ok=True)
    code = _call("-m", "pytest", f"--junitxml={report}", *arguments, log=log)
    if not report.exists():
        return Outcome("", failed=1, note=f"pytest ended with exit code {code}")
    suite = xml.etree.ElementTree.parse(report).getroot().find("testsuite").attrib
    failed, skipped = int(suite["failures"]) + int(suite["errors"]), int(suite["skipped"])
    outcome = Outcome("", int(suite["tests"]) - failed - skipped, failed, skipped)
    if code and not failed:
        outcome.failed, outcome.note = 1, f"pytest ended with exit code {code}"
    return outcome


def _browser(log: Path, *arguments: str) -> Outcome:
    if not Path(cache.REPOSITORY, "tests", "browser").is_dir():
        return Outcome("", skipped=1, note="there is no such folder")
    if chromium.find():
        return _pytest("browser", "tests/browser", *arguments, log=log)
    note = f"no Chromium was found. {chromium.HOW_TO_GET_ONE}"
    print(f"NOT RUN: {note}", flush=True)
    # A person may go without for now; what nobody watches may not.
    return (
        Outcome("", failed=1, note=note)
        if os.environ.get("CI")
        else Outcome("", skipped=1, note=note)
    )


def _javascript(log: Path) -> Outcome:
    files = sorted(map(str, Path(cache.REPOSITORY, "tests", "js").glob("*.test.*js")))
    if not files:
        return Outcome("", skipped=1, note="there are none")
    node = _node()
    if not node:
        return Outcome("", skipped=1, note="no node was found; install Node.js 20 or newer")
    return _one(_run([node, "--test", *files], log))


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
