"""What increments depend on beside the models: the one definition for nodes, cache and page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..sepme_core.concepts import ConceptSet
from ..sepme_core.config import EraseConfig
from ..sepme_core.increment import Stack
from . import host

__all__ = ["RECIPE", "Task"]

RECIPE = 3
"""To be raised when the same task gives other increments than before."""


@dataclass(frozen=True)
class Task:
    """What is to be computed, the same however it is spelled; made by `of`.

    Args:
        concepts: all that are known together, in an order that does not depend on the lines'.
        resolution: of drawn pictures, in pixels; 0 where none are drawn, or the model decides.
        pictures: digest of pictures that are given instead; empty for none.
    """

    concepts: ConceptSet
    config: EraseConfig
    resolution: int = 0
    pictures: str = ""

    @classmethod
    def of(
        cls,
        concepts: ConceptSet,
        config: EraseConfig,
        resolution: int = 0,
        latent: Mapping[str, Any] | None = None,
    ) -> Task:
        """Leaves out what the method does not use.

        Args:
            latent: the host's LATENT with pictures of the concept.
        """
        given = host.digest(latent["samples"]) if latent and config.draws else ""
        return cls(concepts.in_order(), config, resolution * (config.draws and not given), given)

    def drawn_at(self, resolution: int) -> Task:
        """The same at the resolution that a model has decided on."""
        draws = self.config.draws and not self.pictures
        return replace(self, resolution=resolution) if draws else self

    def protecting(self, known: Stack) -> Task:
        """The same, which also protects the concepts of increments that are in use."""
        concepts = self.concepts.also_protecting(known.concepts).in_order()
        return replace(self, concepts=concepts)

    @property
    def digest(self) -> str:
        """The same for all spellings of one task; the page compares it with what it shows."""
        given = [RECIPE, asdict(self.concepts), self.config.used(), self.resolution, self.pictures]
        return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:32]
