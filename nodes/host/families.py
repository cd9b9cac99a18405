"""Which layers of a model see text and never an image, per family. Data, not code."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FAMILIES", "PICTURE_CONTEXT", "Family"]


@dataclass(frozen=True)
class Family:
    """A model family whose text-only layers are known.

    Args:
        name: stored in increment files.
        network: class name of the host's diffusion model.
        d_text: text width.
        text_only: pattern of module paths of the text-only layers.
        cross_attention: pattern of all linear layers of the cross-attention blocks.
    """

    name: str
    network: str
    d_text: int
    text_only: str = r".*\.attn2\.to_[kv]$"
    cross_attention: str = r".*\.attn2\.(to_[qkv]|to_out\.0)$"


FAMILIES = (
    Family("sd1", "UNetModel", 768),
    Family("sd2", "UNetModel", 1024),
    Family("sdxl_refiner", "UNetModel", 1280),
    Family("sdxl", "UNetModel", 2048),
)

PICTURE_CONTEXT = frozenset({"SVD_img2vid", "SV3D_u", "SV3D_p", "Stable_Zero123"})
"""The host's models whose UNet has a known width, but receives a picture in place of text."""
