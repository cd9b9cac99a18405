"""From a session to increments: what all nodes that compute share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..sepme_core.concepts import Concept, ConceptSet
from ..sepme_core.config import EraseConfig
from ..sepme_core.erase import Erasure, erase
from ..sepme_core.increment import Stack
from . import host
from .session import Session

__all__ = ["compute", "protecting"]


def compute(  # noqa: PLR0913
    session: Session,
    clip: Any,
    concepts: ConceptSet,
    chosen: Sequence[Concept],
    config: EraseConfig,
    resolution: int,
    progress: host.NodeProgress,
    latent: dict[str, Any] | None = None,
    *,
    beside: Sequence[Concept] = (),
) -> list[Erasure]:
    """One increment for each chosen concept, on the host's loaded model.

    Args:
        resolution: of the pictures that methods which train draw, in pixels.
        latent: pictures of the concept to train on instead of drawn ones.
        beside: what else is erased, or may be switched on.
    """
    denoiser = latents = None
    if config.method != "closed form":
        denoiser = host.HostDenoiser(session.model, clip, resolution, progress.drawing)
        denoiser.load()
        progress.picture = denoiser.preview
        latents = denoiser.model_latents(latent["samples"]) if latent else None
    return erase(
        concepts,
        chosen,
        session.encode,
        session.weights,
        config,
        beside=beside,
        dtype=session.dtype,
        provenance=session.provenance,
        denoiser=denoiser,
        latents=latents,
        moment_of=session.moment_of,
        on_step=progress,
    )


def protecting(concepts: ConceptSet, known: Stack | None) -> ConceptSet:
    """The same set, which also protects the concepts of increments that are in use."""
    return concepts.also_protecting((known or Stack()).concepts)
