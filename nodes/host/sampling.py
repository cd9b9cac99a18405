"""Pictures drawn with the host's own samplers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import comfy.sample
import comfy.samplers
import torch
from torch import Tensor

__all__ = [
    "Sampling",
    "conditioning",
    "decode",
    "empty_latent",
    "sample",
    "samplers",
    "schedulers",
]


def samplers() -> list[str]:
    """Those there are now: other packs add theirs, also after this one was imported."""
    return list(comfy.samplers.KSampler.SAMPLERS)


def schedulers() -> list[str]:
    """See `samplers`."""
    return list(comfy.samplers.KSampler.SCHEDULERS)


@dataclass(frozen=True)
class Sampling:
    """How to draw, in the words of the host's KSampler."""

    n_steps: int
    cfg: float
    sampler: str = "euler"
    scheduler: str = "normal"


def sample(  # noqa: PLR0913
    model: Any,
    positive: list,
    negative: list,
    latent: Tensor,
    seed: int,
    how: Sampling,
    on_step: Callable[[int, Tensor], None],
) -> Tensor:
    """Latents of one run of the host's sampler; cancelling takes effect within a step.

    Args:
        on_step: called with the number of steps done and what the model sees so far.
    """

    def after_step(step: int, denoised: Tensor, *_: Any) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        on_step(step + 1, denoised)

    return comfy.sample.sample(
        model,
        comfy.sample.prepare_noise(latent, seed),
        how.n_steps,
        how.cfg,
        how.sampler,
        how.scheduler,
        positive,
        negative,
        latent,
        callback=after_step,
        disable_pbar=True,
        seed=seed,
    )


def empty_latent(model: Any, width: int, height: int) -> Tensor:
    """`[1, channels, height / 8, width / 8]`."""
    channels = model.get_model_object("latent_format").latent_channels
    return torch.zeros(1, channels, max(1, height // 8), max(1, width // 8))


def conditioning(clip: Any, prompt: str) -> list:
    """What the host's CLIPTextEncode gives."""
    return clip.encode_from_tokens_scheduled(clip.tokenize(prompt))


def decode(vae: Any, latents: Tensor) -> Tensor:
    """Pictures, `[n, height, width, 3]` in [0, 1] on the CPU."""
    return vae.decode(latents).float().cpu()
