"""Puts together what training begins with: `python -m demo.language.train.prepare`.

Fetches the language model and writes, into the cache's folder `train/language`, `captions.npz` (2
MB) and the language model's layers in two halves (31 and 33 MB), each small enough to travel alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from demo.language import tokenizer
from demo.language.config import LANGUAGE_MODEL, LAYER
from demo.language.gguf import File
from demo.language.train.captions import measured, tabulate, training
from demo.train.common import work
from launch import language_model

N_LAYERS = LANGUAGE_MODEL["num_hidden_layers"] + 1 + LAYER


def write(gguf: Path, folder: Path) -> None:
    """Writes `captions.npz`, `layers_0.npz` and `layers_1.npz`."""
    file = File(gguf)
    tokens = tokenizer.build(file)
    sets = {"training": tabulate(training(), tokens), "measured": tabulate(measured(), tokens)}
    used = np.unique(np.concatenate([part["ids"].ravel() for part in sets.values()]))[1:]
    arrays = {"used": used, "embedded": file.tensor("token_embd.weight")[used].numpy()}
    for name, part in sets.items():
        print(name, len(part["ids"]), "captions, the longest of", part["ids"].shape[1], "tokens")
        arrays |= {f"{name}.{key}": value for key, value in part.items()}
    np.savez_compressed(folder / "captions.npz", **arrays)
    for half in (0, 1):
        np.savez(folder / f"layers_{half}.npz", **_layers(file, half))


def _layers(file: File, half: int) -> dict[str, np.ndarray]:
    """The first or the second half of the layers that are needed, as they are stored."""
    chosen = range(half * N_LAYERS // 2, (half + 1) * N_LAYERS // 2)
    names = [name for name in file.names() if name.startswith("blk.")]
    return {name: file.raw(name) for name in names if int(name.split(".")[1]) in chosen}


def main() -> None:
    """Fetches and writes."""
    folder = work("language")
    folder.mkdir(exist_ok=True)
    write(language_model.prepare(), folder)
    print(folder)


if __name__ == "__main__":
    main()
