"""How large a model draws: from its network, so that nobody has to look it up."""

from __future__ import annotations

from typing import Any

from ...sepme_core.errors import ConceptError, IncompatibleError
from .layers import family_of

__all__ = ["SMALLEST", "picture_size"]

SMALLEST = 64
"""Below it hardly any network has cells left to draw with."""


def picture_size(model: Any, width: int = 0, height: int = 0) -> tuple[int, int]:
    """Width and height of pictures in pixels, where 0 stands for what the model was trained on.

    A family is trained for one number of cells at the bottom of its UNet; every level above
    doubles it. So a network with fewer levels than its family's draws as much smaller.

    Raises:
        IncompatibleError: an unknown family, and no size is given.
        ConceptError: a size too small to draw.
    """
    for name, given in (("width", width), ("height", height)):
        if 0 < given < SMALLEST:
            raise ConceptError(
                f"The {name} of the pictures is {given} pixels, expected {SMALLEST} or more, or 0 "
                "for the size that the model was trained on."
            )
    if width and height:
        return width, height
    own = _trained_on(model)
    return width or own, height or own


def _trained_on(model: Any) -> int:
    """A side in pixels; the autoencoders of these families make 8 of a cell."""
    try:
        family = family_of(model)
    except IncompatibleError as error:
        raise IncompatibleError(
            f"The size that this model was trained on is not known. Set it yourself. ({error})"
        ) from error
    predicts_v = model.model.model_type.name == "V_PREDICTION"
    cells = family.cells_v if predicts_v and family.cells_v else family.cells
    return 8 * cells * 2 ** (len(model.model.diffusion_model.channel_mult) - 1)
