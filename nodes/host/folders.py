"""Model folders as the host knows them, and which of them its user has put first."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import folder_paths
import yaml
from comfy.cli_args import args

__all__ = ["own_folder", "register_folder"]

log = logging.getLogger(__name__)


def own_folder(kind: str) -> Path:
    """The folder below the host's own `models`, on this machine."""
    return Path(folder_paths.models_dir) / kind


def register_folder(kind: str, endings: set[str]) -> None:
    """Makes the host list its own folder of a kind that is new to it; those of the user stay.

    The host has read extra model paths before any node pack is there, so they would come first for
    a new kind, saves included. The order is that of its own kinds: before its own folder only what
    is marked `is_default`, behind it the rest.
    """
    known = folder_paths.folder_names_and_paths.get(kind)
    paths = list(known[0]) if known else []
    ours = str(own_folder(kind))
    if ours not in paths:
        first = set(_defaults(kind))
        paths.sort(key=lambda path: path not in first)
        paths.insert(sum(path in first for path in paths), ours)
    folder_paths.folder_names_and_paths[kind] = (paths, endings)


def _defaults(kind: str) -> Iterator[str]:
    """Folders of sections of `extra_model_paths.yaml` that are the default for new files."""
    beside = Path(folder_paths.__file__).with_name("extra_model_paths.yaml")
    for config in (beside, *chain(*(args.extra_model_paths_config or []))):
        try:
            yield from _of_config(Path(config), kind)
        except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
            log.debug("SepME: %s says nothing of defaults: %s", config, error)


def _of_config(config: Path, kind: str) -> Iterator[str]:
    sections: dict[str, dict[str, Any] | None] = yaml.safe_load(config.read_text("utf-8")) or {}
    for section in filter(None, sections.values()):
        base = os.path.expandvars(os.path.expanduser(section.get("base_path", "")))
        folder = config.absolute().parent / base
        for line in filter(None, section.get(kind, "").split("\n")):
            if section.get("is_default"):
                yield os.path.normpath(folder / line)
