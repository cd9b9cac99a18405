"""Small pictures of latents, as the host shows them while it draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import latent_preview
import torch
from torch import Tensor

__all__ = ["previewer"]


def previewer(model: Any) -> Callable[[Tensor], Any]:
    """Turns latents of a model into what the host's progress bar takes as a preview, or into None.

    Where the user has chosen no kind of preview, the one that costs nothing is used: a linear map
    from latents to colours.
    """
    latents = model.get_model_object("latent_format")
    found = latent_preview.get_previewer(model.load_device, latents)
    if found is None and latents.latent_rgb_factors is not None:
        found = latent_preview.Latent2RGBPreviewer(
            latents.latent_rgb_factors, latents.latent_rgb_factors_bias
        )

    @torch.no_grad()
    def preview(denoised: Tensor) -> Any:
        return found.decode_latent_to_preview_image("JPEG", denoised.float()) if found else None

    return preview
