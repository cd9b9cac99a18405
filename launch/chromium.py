"""Finds the browser that the tests open the web page with."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from launch.errors import SetupError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
HOW_TO_GET_ONE = (
    "Install one (Debian, Ubuntu: `apt-get install chromium`; elsewhere Chrome or Chromium), "
    "or set SEPME_CHROMIUM to its program file."
)


def find() -> Path | None:
    """The program file of a Chromium, Chrome or Edge on this machine, or None.

    Raises:
        SetupError: SEPME_CHROMIUM is set, but there is no such file.
    """
    chosen = os.environ.get("SEPME_CHROMIUM")
    if chosen:
        if not Path(chosen).is_file():
            raise SetupError(f"SEPME_CHROMIUM is {chosen}, but there is no such file.")
        return Path(chosen)
    found = [path for name in NAMES if (path := shutil.which(name))]
    found += [path for path in PLACES if Path(path).is_file()]
    return Path(found[0]) if found else None
