"""The errors a user can meet. Each message says what, got, expected, and what to do."""

from __future__ import annotations

__all__ = [
    "ConceptError",
    "IncompatibleError",
    "IncrementFileError",
    "NonFiniteError",
    "NotSeparableError",
    "SepMEError",
]


class SepMEError(Exception):
    """Base of every error this package raises on purpose."""


class ConceptError(SepMEError):
    """A concept set cannot be read: a name is empty or given twice, a template lacks `{}`."""


class NotSeparableError(SepMEError):
    """A concept lies inside the span of the protected ones, so nothing can tell it apart.

    Args:
        concept: which one; empty when all together are too many.
    """

    def __init__(self, message: str, concept: str = "") -> None:
        super().__init__(message)
        self.concept = concept


class IncompatibleError(SepMEError):
    """Model, text encoder and increment do not belong together."""


class IncrementFileError(SepMEError):
    """An increment file is corrupt, truncated, foreign or newer than this version reads."""


class NonFiniteError(SepMEError):
    """A computed or stored number is NaN or infinite."""
