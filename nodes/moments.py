"""Second moments of preserve lists, kept in `models/sepme/cache`: the same list is encoded once."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError

from ..sepme_core.denoiser import Progress
from ..sepme_core.embeddings import EncodedPrompt, TextEncoder
from ..sepme_core.errors import IncrementFileError
from ..sepme_core.preserve import Moment, MomentOf, second_moment
from ..sepme_core.safetensors_file import from_safetensors, to_safetensors
from . import cache, files

__all__ = ["kept_moments"]

log = logging.getLogger(__name__)


def kept_moments(encode: TextEncoder, key: str, on_step: Callable[[Progress], None]) -> MomentOf:
    """Moments from the disk where they are known.

    Args:
        key: tells text encoders and their rounding apart.
    """
    return partial(_moment, encode=encode, key=key, on_step=on_step)


def _moment(
    captions: Sequence[str], encode: TextEncoder, key: str, on_step: Callable[[Progress], None]
) -> Moment:
    name = hashlib.sha256("\n".join([key, *captions]).encode()).hexdigest()[:32]
    path = files.cache_folder() / f"captions-{name}.safetensors"
    known = _read(path)
    if known is not None:
        cache.used(path)
        return known
    moment = second_moment(captions, encode, on_step)
    try:
        cache.write(path, _to_bytes(moment))
    except IncrementFileError as error:
        log.warning("SepME: captions are encoded again next time: %s", error)
    return moment


def _to_bytes(moment: Moment) -> bytes:
    rows = {f"sample.{i:03}": p.embeddings for i, p in enumerate(moment.sample)}
    told = {f"words.{i:03}": str(p.n_words) for i, p in enumerate(moment.sample)}
    told["n_prompts"] = str(moment.n_prompts)
    return to_safetensors({"matrix": moment.matrix, **rows}, told)


def _read(path: Path) -> Moment | None:
    """None where there is nothing, or nothing that can be used."""
    try:
        tensors, told = from_safetensors(path.read_bytes())
        sample = tuple(
            EncodedPrompt("", tensors[k], int(told[k.replace("sample", "words")]))
            for k in sorted(tensors)
            if k.startswith("sample.")
        )
        matrix = tensors["matrix"]
        if bool(torch.isfinite(matrix).all()):
            return Moment(matrix, int(told["n_prompts"]), sample)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        pass
    return None
