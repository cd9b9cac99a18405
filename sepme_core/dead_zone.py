"""The dead zone: the relative component below which a token counts as not showing a concept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from .concepts import quoted
from .errors import NonFiniteError, NotSeparableError

__all__ = ["DeadZone", "choose_dead_zone"]

# Half-way between the protected rows and the concept's own. Measured on a sentence encoder (see
# docs/choices.md): a fifth of the way lets through 5-6 % of the protected prompts in phrasings that
# nobody listed, a half less than 1 %, and no phrasing of a concept was missed even at 0.6.
POSITION = 1 / 2
# Ordinary prompts may push it further up, but never nearer to the concept than this.
HIGHEST = 2 / 3


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
    own: Mapping[str, float],
    protected: Mapping[str, float],
    *,
    threshold: float | None = None,
    floor: float = 0.0,
    ordinary: float = 0.0,
) -> DeadZone:
    """Places the threshold between the protected prompts and the concept's own.

    Args:
        own: the concept's prompts, each with its strongest token's component; every one must keep
            a token above the threshold.
        protected: the same for the prompts of which no token may reach it.
        threshold: the user's own choice, in [0, 1); None chooses from the data. Chosen too low it
            accepts a leak, which the report states.
        floor: component that rounding alone can give a token; the concept must stand above it.
        ordinary: component that nearly all tokens of ordinary prompts stay below.

    Raises:
        NotSeparableError: some protected prompt reaches as far into the basis as the concept
            itself; the message names it.
    """
    nearest, largest = max(protected.items(), key=lambda item: item[1], default=("", 0.0))
    weakest, smallest = min(own.items(), key=lambda item: item[1])
    if smallest <= floor:
        raise NotSeparableError(
            f"its own prompt {weakest!r} reaches only {smallest:.2g} beyond the protected ones, no "
            f"further than rounding does ({floor:.2g}). Protect fewer prompts, or erase it "
            "together with what is in its way (write one behind '|' as a synonym of the other)."
        )
    if threshold is None:
        if smallest <= largest:
            raise NotSeparableError(
                f"{quoted(nearest)}, which is protected, reaches {largest:.3f} into the concept's "
                f"directions, its own prompt {weakest!r} only {smallest:.3f}: they cannot be told "
                "apart. Erase the two together (write one behind '|' as a synonym of the other), "
                "stop protecting the one in the way, or set dead_zone yourself and accept the "
                "leak that the report then states."
            )
        least = largest + POSITION * (smallest - largest)
        most = largest + HIGHEST * (smallest - largest)
        threshold = min(max(least, ordinary), most)
    return DeadZone(threshold, largest, smallest, nearest)
