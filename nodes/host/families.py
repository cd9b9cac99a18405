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
        cells: at the bottom of the UNet, on a side, while it draws a picture of the size that the
            family was trained on.
        architecture: in the words of `modelspec`, for exported files.
        base_version: in those of the `ss_` keys.
        diffusers_names: whether LoRA files of the family name layers after diffusers' blocks;
            those of the others keep the checkpoint's own names.
        text_only: pattern of module paths of the text-only layers.
        cross_attention: pattern of all linear layers of the cross-attention blocks.
        cells_v: as `cells`, for models that predict v, where those were trained on another size.
    """

    name: str
    network: str
    d_text: int
    cells: int
    architecture: str
    base_version: str
    diffusers_names: bool = False
    text_only: str = r".*\.attn2\.to_[kv]$"
    cross_attention: str = r".*\.attn2\.(to_[qkv]|to_out\.0)$"
    cells_v: int = 0


FAMILIES = (
    Family("sd1", "UNetModel", 768, 8, "stable-diffusion-v1", "sd_v1", diffusers_names=True),
    Family(
        "sd2",
        "UNetModel",
        1024,
        8,
        "stable-diffusion-v2-512",
        "sd_v2",
        diffusers_names=True,
        cells_v=12,
    ),
    Family(
        "sdxl_refiner", "UNetModel", 1280, 16, "stable-diffusion-xl-v1-refiner", "sdxl_refiner_v1-0"
    ),
    Family("sdxl", "UNetModel", 2048, 32, "stable-diffusion-xl-v1-base", "sdxl_base_v1-0"),
)

PICTURE_CONTEXT = frozenset({"SVD_img2vid", "SV3D_u", "SV3D_p", "Stable_Zero123"})
"""The host's models whose UNet has a known width, but receives a picture in place of text."""
