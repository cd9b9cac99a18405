"""Stores the results of training small, in the folder that `demo.assemble` reads.

python -m demo.train.store [FOLDER]       default: demo/weights
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file

from demo import assemble, quantize
from demo.train.common import work


def main(folder: Path = assemble.WEIGHTS) -> None:
    """Packs the UNet to four bits, copies the rest, and says the model's new fingerprint."""
    tensors, metadata = quantize.pack_all(load_file(work("unet.safetensors")))
    save_file(tensors, folder / "unet.int4.safetensors", metadata=metadata)
    for name in ("vae.safetensors", "classifier.safetensors"):
        shutil.copyfile(work(name), folder / name)
    if folder == assemble.WEIGHTS:
        print("Put this into demo/assemble.py:", assemble.fingerprint(assemble.checkpoint()))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
