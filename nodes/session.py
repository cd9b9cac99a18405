"""A host MODEL and its CLIP as the core wants them, for one run of a node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..sepme_core.embeddings import TextEncoder
from ..sepme_core.increment import Provenance, Stack
from ..sepme_core.preserve import MomentOf
from . import host
from .moments import kept_moments

__all__ = ["Session", "identify", "open_session"]


@dataclass(frozen=True, eq=False)
class Session:
    """What computing and measuring need.

    Args:
        model: a clone of the host's model without increments.
        encode: prompts -> embeddings, rounded as the model will receive them.
        weights: of the text-only layers by module path, `[d_out, d_text]` float32.
        dtype: in which the model receives prompts.
        provenance: family and fingerprints.
        moment_of: second moments of captions, kept on disk.
    """

    model: Any
    encode: TextEncoder
    weights: dict[str, Tensor]
    dtype: torch.dtype
    provenance: Provenance
    moment_of: MomentOf


def open_session(model: Any, clip: Any, stack: Stack | None = None) -> Session:
    """Looks at a MODEL and its CLIP; neither is changed.

    Args:
        stack: increments that shall be used with them.
    Raises:
        IncompatibleError: an unknown model family, or a stack from another text encoder.
    """
    plain = host.without_increments(model)
    family = host.family_of(plain)
    provenance = identify(plain, clip)
    if stack:
        host.check_same_encoder([e.increment for e in stack.entries], provenance.text_encoder)
    dtype = host.compute_dtype(plain)
    encode = host.encode_prompts(clip, dtype, family.d_text)
    moment_of = kept_moments(encode, f"{host.encoder_digest(clip)} {dtype}", host.NodeProgress())
    return Session(plain, encode, host.text_only_weights(plain), dtype, provenance, moment_of)


def identify(model: Any, clip: Any) -> Provenance:
    """Family and fingerprints of a MODEL and its CLIP, without the increments on it.

    Raises:
        IncompatibleError: an unknown model family.
    """
    return Provenance(
        family=host.family_of(model).name,
        base=host.model_fingerprint(host.without_increments(model)),
        text_encoder=host.text_encoder_fingerprint(clip),
    )
