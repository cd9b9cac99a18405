"""From a session to increments: what all nodes that compute share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..sepme_core.concepts import Concept
from ..sepme_core.erase import Erasure, erase
from ..sepme_core.errors import NotSeparableError
from ..sepme_core.increment import Increment, Stack
from . import host
from .kept import Account, Kept, Refusal, account_of
from .session import Session, open_session

__all__ = ["compute", "find_or_compute"]


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


def find_or_compute(  # noqa: PLR0913
    model: Any,
    clip: Any,
    kept: Kept,
    chosen: Sequence[Concept],
    known: Stack,
    latent: dict[str, Any] | None = None,
) -> tuple[list[tuple[Increment, Account]], list[Concept]]:
    """One increment for each chosen concept with what is said of it, and which were not known yet.

    Args:
        known: increments that are used with them.
        latent: pictures of the concept to train on instead of drawn ones.
    Raises:
        NotSeparableError: a concept cannot be erased, as was found out now or before.
    """
    found = _known(kept, chosen)
    missing = [c for c in chosen if c.name not in found]
    if missing and (kept.task.config.method == "paper joint" or kept.task.pictures):
        missing = list(chosen)  # solved together; and pictures show one concept, as is checked
    if missing:
        found |= _made(model, clip, kept, missing, known, latent)
    return [found[c.name] for c in chosen], missing


def _known(kept: Kept, chosen: Sequence[Concept]) -> dict[str, tuple[Increment, Account]]:
    """What need not be computed, by the concept's name.

    Raises:
        NotSeparableError: it is known that a concept cannot be erased.
    """
    found = {c.name: (c, kept.find(c)) for c in chosen}
    for concept, result in found.values():
        if isinstance(result, Refusal):
            raise NotSeparableError(result.reason, concept.name)
    return {n: (known, kept.account(c)) for n, (c, known) in found.items() if known}


def _made(  # noqa: PLR0913
    model: Any,
    clip: Any,
    kept: Kept,
    missing: Sequence[Concept],
    known: Stack,
    latent: dict[str, Any] | None,
) -> dict[str, tuple[Increment, Account]]:
    """Computes what is missing, and keeps it; by the concept's name."""
    with host.computing(), host.memory_explained(kept.task.config.method):
        session = open_session(model, clip, known)
        try:
            erasures = compute(session, clip, kept, missing, host.NodeProgress(), latent)
        except NotSeparableError as error:
            for concept in (c for c in missing if c.name == error.concept):
                kept.keep(concept, Refusal(str(error)))
            raise
    for concept, erasure in zip(missing, erasures, strict=True):
        kept.keep(concept, erasure)
    return {c.name: (e.increment, account_of(e)) for c, e in zip(missing, erasures, strict=True)}
