"""The paper's own procedure: trained coefficients on the whole null space, from bare names.

SRS-ME, variant "separate", as `sepme_core.paper` runs it: Eq. 24-26 (basis), 27-36 (objective), 37
(stopping rule). Each increment is computed once; any subset is added to the weights.
"""

from __future__ import annotations

from typing import Any

from bench.peers import Fitted, Peer
from bench.studio import Studio
from bench.tasks import State, Task

__all__ = ["PEER"]

BETA = 1e-2  # published: 1e-4, which moves nothing here within its 1000 steps
MIN_STEPS = 120  # published: 10; its rule is met after 55, when a cat is still drawn every time


def _fit(studio: Studio, task: Task) -> Fitted:
    from sepme_pack.sepme_core.concepts import (  # noqa: PLC0415  (there once the studio is)
        Concept,
        ConceptSet,
    )
    from sepme_pack.sepme_core.config import (  # noqa: PLC0415
        BasisConfig,
        EraseConfig,
        PaperConfig,
    )
    from sepme_pack.sepme_core.erase import erase  # noqa: PLC0415
    from sepme_pack.sepme_core.increment import Stack  # noqa: PLC0415

    concepts = ConceptSet(
        tuple(map(Concept, task.erasable)),
        templates=(),  # its basis has no room for phrasings
        protected_concepts=task.protected,
        protected_prompts=("watermark",),
    )
    config = EraseConfig(
        method="paper separate",
        basis=BasisConfig(protection="full"),
        paper=PaperConfig(beta=BETA, min_steps=MIN_STEPS),
    )
    with studio.host.computing():
        found = erase(
            concepts,
            concepts.concepts,
            studio.encode,
            studio.weights,
            config,
            dtype=studio.dtype,
            denoiser=studio.denoiser(),
        )
    stack = Stack.of(e.increment for e in found)

    def without(erased: State) -> Any:
        chosen = stack.without(n for n in task.erasable if n not in erased)
        return studio.host.apply_merged(studio.model, chosen, studio.host.Window())

    return without


PEER = Peer("SepME (paper)", "SRS-ME Eq. 24-37, separate", _fit)
