"""When and where increments act."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...sepme_core.errors import ConceptError

__all__ = ["Window"]


@dataclass(frozen=True)
class Window:
    """When and where exact application acts."""

    start_percent: float = 0.0
    end_percent: float = 1.0
    positive_only: bool = False

    def __post_init__(self) -> None:
        if self.start_percent > self.end_percent:
            raise ConceptError(
                f"start_percent is {self.start_percent:g}, end_percent {self.end_percent:g}: "
                "nothing would ever be erased. The end must not come before the start."
            )

    def within(self, start: float, end: float) -> Window:
        """What is left of the window in a part of the sampling.

        Raises:
            ConceptError: nothing is.
        """
        first, last = max(self.start_percent, start), min(self.end_percent, end)
        if first > last:
            raise ConceptError(
                f"A row acts from {start:g} to {end:g}, but the stack is applied from "
                f"{self.start_percent:g} to {self.end_percent:g}: the row would never act. Let "
                "them overlap, or switch the row off."
            )
        return replace(self, start_percent=first, end_percent=last)

    def covers(self, other: Window) -> bool:
        """Whether it acts wherever the other does."""
        return (
            self.start_percent <= other.start_percent
            and other.end_percent <= self.end_percent
            and (other.positive_only or not self.positive_only)
        )

    @property
    def always(self) -> bool:
        """At every time."""
        return (self.start_percent, self.end_percent) == (0.0, 1.0)

    @property
    def whole(self) -> bool:
        """At every time, for both prompts."""
        return self.always and not self.positive_only
