"""The paper's own procedure: trained coefficients on the whole null space, from bare names.

SRS-ME, variant "separate", as `sepme_core.paper` runs it: Eq. 24-26 (basis), 27-36 (objective), 37
(stopping rule). Each increment is computed once; any subset is added to the weights.
"""

from __future__ import annotations

from bench.peers import Fitted, Peer
from bench.peers.ours import concepts_of, erasures, stack_of, subsets
from bench.studio import Studio
from bench.tasks import Task

__all__ = ["PEER"]

BETA = 1e-2  # published: 1e-4, which moves nothing here within its 1000 steps
MIN_STEPS = 120  # published: 10; its rule is met after 55, when a cat is still drawn every time


def _fit(studio: Studio, task: Task) -> Fitted:
    from sepme_pack.sepme_core.config import (  # noqa: PLC0415  (there once the studio is)
        BasisConfig,
        EraseConfig,
        PaperConfig,
    )

    config = EraseConfig(
        method="paper separate",
        basis=BasisConfig(protection="full"),
        paper=PaperConfig(beta=BETA, min_steps=MIN_STEPS),
    )
    # Its basis has no room for phrasings.
    found = erasures(studio, concepts_of(task, templates=False), config)
    return subsets(studio, task, stack_of(found), studio.host.apply_merged)


PEER = Peer("SepME (paper)", "SRS-ME Eq. 24-37, separate", _fit, takes_minutes=True)
