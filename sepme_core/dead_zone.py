"""The dead zone: the relative component below which a token counts as not showing a concept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from .embeddings import EncodedPrompt, relative_component
from .errors import NonFiniteError, NotSeparableError

__all__ = ["DeadZone", "choose_dead_zone"]

# A third of the way from the protected rows to the concept's own. Measured on the demo model and
# on a sentence encoder: words and objects nobody listed reach 0.2, held-out phrasings of the
# concept stay above 0.7, so the threshold sits nearer to the protected side, but clear of it.
POSITION = 1 / 3


@dataclass(frozen=True)
class DeadZone:
    """A threshold on ‖e Dᵀ‖/‖e‖ and the data that it was chosen from.

    Args:
        threshold: tokens below it pass untouched, to the bit. 0 switches the dead zone off.
        largest_protected: largest component of any token of any protected prompt.
        smallest_concept: smallest, over the concept's prompts, of the strongest token's component.
        nearest: the protected prompt that `largest_protected` belongs to.

    Raises:
        NonFiniteError: a number is NaN or infinite; no token would ever count as reaching it.
    """

    threshold: float
    largest_protected: float
    smallest_concept: float
    nearest: str = ""

    def __post_init__(self) -> None:
        for name in ("threshold", "largest_protected", "smallest_concept"):
            if not math.isfinite(getattr(self, name)):
                raise NonFiniteError(f"The dead zone's {name} is {getattr(self, name)}.")

    @property
    def margin(self) -> float:
        """Room between protected and concept rows: the best single figure for separability."""
        return self.smallest_concept - self.largest_protected


def choose_dead_zone(
    basis: Tensor,
    concept: Sequence[EncodedPrompt],
    protected: Sequence[EncodedPrompt],
    *,
    threshold: float | None = None,
    floor: float = 0.0,
) -> DeadZone:
    """Places the threshold between the protected rows and the concept's own.

    Args:
        basis: `[n_basis, d_text]` orthonormal rows.
        concept: the concept's prompts; each must keep at least one token above the threshold.
        protected: prompts of which no token may reach it.
        threshold: the user's own choice, in [0, 1); None chooses from the data.
        floor: component that rounding alone can give a token; the concept must stand above it.

    Raises:
        NotSeparableError: some protected prompt reaches as far into the basis as the concept
            itself; the message names it.
    """
    strongest = [(_peak(p, basis), p.text) for p in protected]
    largest, nearest = max(strongest, default=(0.0, ""))
    smallest, weakest = min((_peak(p, basis), p.text) for p in concept)
    if smallest <= floor:
        raise NotSeparableError(
            f"its own prompt {weakest!r} reaches only {smallest:.2g} beyond the protected ones, no "
            f"further than rounding does ({floor:.2g}). Protect fewer prompts, or use truncated "
            "protection."
        )
    if smallest <= largest:
        raise NotSeparableError(
            f"the protected prompt {nearest!r} reaches {largest:.3f} into the concept's "
            f"directions, the concept's own prompt {weakest!r} only {smallest:.3f}: they cannot be "
            "told apart. Remove the protected prompt, make it a synonym, or drop the phrasing."
        )
    if threshold is None:
        threshold = largest + POSITION * (smallest - largest)
    return DeadZone(threshold, largest, smallest, nearest)


def _peak(prompt: EncodedPrompt, basis: Tensor) -> float:
    return float(relative_component(prompt.embeddings, basis).max())
