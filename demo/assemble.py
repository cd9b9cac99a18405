"""Puts the demo checkpoint together: `python -m demo.assemble FILE`."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from demo import quantize, text_encoder

WEIGHTS = Path(__file__).parent / "weights"
UNET_PREFIX, VAE_PREFIX = "model.diffusion_model.", "first_stage_model."
# Of all tensors, by name and bits; changes when, and only when, the model does.
SHA256 = "b49c3b1e3c5540dff07a782a6d1482005bfd1a5f9e9a75001b1426cae9743c4a"


def assemble(path: Path) -> Path:
    """Writes the checkpoint, once; a second call only checks that the file is the right one.

    Args:
        path: where it is to be, e.g. `models/checkpoints/sepme_demo.safetensors`.

    Returns:
        The same path.

    Raises:
        RuntimeError: the parts in `weights/` do not give the model that was tested.
    """
    if _is_complete(path):
        return path
    tensors = checkpoint()
    found = fingerprint(tensors)
    if found != SHA256:
        raise RuntimeError(
            f"The demo model's parts give a model with the SHA-256 {found}, expected {SHA256}.\n"
            f"The files in {WEIGHTS} are damaged or edited: get them anew with git. After training "
            "new ones, put the new value into demo/assemble.py."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    # Aside and renamed last: nobody ever sees half a file. The process id keeps two apart.
    aside = path.with_suffix(f".{os.getpid()}.part")
    try:
        save_file(tensors, aside, metadata={"format": "pt", "sepme.demo": SHA256})
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return path


def checkpoint() -> dict[str, Tensor]:
    """All tensors of the checkpoint, float16, under SD1.5's keys."""
    tensors = text_encoder.state_dict()
    tensors |= {UNET_PREFIX + name: tensor for name, tensor in unet().items()}
    tensors |= {VAE_PREFIX + name: tensor for name, tensor in vae().items()}
    return tensors


def unet() -> dict[str, Tensor]:
    """The UNet's weights, float16, under the network's own names."""
    with safe_open(WEIGHTS / "unet.int4.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        return quantize.unpack_all(tensors, file.metadata())


def vae() -> dict[str, Tensor]:
    """The autoencoder's weights (TAESD's architecture), float16 but for two float32 scalars."""
    return load_file(WEIGHTS / "vae.safetensors")


def fingerprint(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bits, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _is_complete(path: Path) -> bool:
    """Whether that file is this model: its own word for it, and no byte missing at the end."""
    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get("sepme.demo") == SHA256
    except Exception:  # any reason why it cannot be read is a reason to write it anew
        return False


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m demo.assemble FILE.safetensors")
    print(assemble(Path(sys.argv[1])))
