"""From a session to increments: what all nodes that compute share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..sepme_core.concepts import Concept
from ..sepme_core.erase import Erasure, erase
from . import host
from .kept import Kept
from .session import Session

__all__ = ["compute"]


def compute(
    session: Session,
    clip: Any,
    kept: Kept,
    chosen: Sequence[Concept],
    progress: host.NodeProgress,
    latent: dict[str, Any] | None = None,
) -> list[Erasure]:
    """One increment for each chosen concept, on the host's loaded model.

    Args:
        kept: where they will be kept: it knows what they depend on.
        latent: pictures of the concept to train on instead of drawn ones.
    """
    task, denoiser, latents = kept.task, None, None
    if task.config.draws:
        denoiser = host.HostDenoiser(session.model, clip, task.resolution, progress.drawing)
        denoiser.load()
        progress.picture = denoiser.preview
        latents = denoiser.model_latents(latent["samples"]) if latent else None
    return erase(
        task.concepts,
        chosen,
        session.encode,
        session.weights,
        task.config,
        beside=kept.erased,
        dtype=session.dtype,
        provenance=session.provenance,
        denoiser=denoiser,
        latents=latents,
        moment_of=session.moment_of,
        on_step=progress,
    )
