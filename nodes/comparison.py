"""Before and after on the same seeds: drawn, compared, and laid out as one labelled picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ..sepme_core.denoiser import Progress
from . import host
from .drawing import GREY, INK, MARGIN, as_image, font

__all__ = ["Pair", "comparison_plot", "comparison_report", "draw_pairs"]

LABEL, GAP, HEADER, CAPTION = 200, 12, 40, 30
LARGEST = 384  # of a shown picture, in pixels; the pictures themselves come out whole
SMALLEST = 140  # of a column or row, for its letters
AMPLIFIED = 4
SAME, OTHER = "#2c8a4f", GREY


@dataclass(frozen=True, eq=False)
class Pair:
    """One prompt and seed, drawn by both models.

    Args:
        before, after: `[height, width, 3]` in [0, 1].
        identical: whether even the latents agree to the bit.
    """

    prompt: str
    seed: int
    before: Tensor
    after: Tensor
    identical: bool

    @property
    def difference(self) -> float:
        """Mean difference of a colour, as a share of the whole range."""
        return float((self.before - self.after).abs().mean())

    @property
    def verdict(self) -> str:
        """What stands below the picture."""
        return "identical" if self.identical else f"differs by {self.difference:.1%}"


def draw_pairs(  # noqa: PLR0913
    models: tuple[Any, Any],
    clip: Any,
    vae: Any,
    prompts: Sequence[str],
    negative: str,
    seeds: Sequence[int],
    how: host.Sampling,
    size: tuple[int, int],
) -> list[Pair]:
    """All pictures of one model, then all of the other: weights are not swapped in between.

    Args:
        size: width and height in pixels.
    """
    cases = [(prompt, seed) for prompt in prompts for seed in seeds]
    unwanted = host.conditioning(clip, negative)
    wanted = {prompt: host.conditioning(clip, prompt) for prompt in dict.fromkeys(prompts)}
    progress = _Counting(2 * len(cases) * how.n_steps)
    before, after = (
        [
            host.sample(
                model,
                wanted[prompt],
                unwanted,
                host.empty_latent(model, *size),
                seed,
                how,
                progress.watching(model, prompt),
            )
            for prompt, seed in cases
        ]
        for model in models
    )
    return [_pair(vae, *drawn) for drawn in zip(cases, before, after, strict=True)]


def _pair(vae: Any, case: tuple[str, int], before: Tensor, after: Tensor) -> Pair:
    identical = torch.equal(before, after)
    first = host.decode(vae, before)[0]
    return Pair(*case, first, first if identical else host.decode(vae, after)[0], identical)


class _Counting:
    """Progress over many pictures."""

    def __init__(self, n_steps: int) -> None:
        self._progress = host.NodeProgress()
        self._done, self._n_steps = 0, n_steps

    def watching(self, model: Any, prompt: str) -> Callable[[int, Tensor], None]:
        """For one picture, with previews of it."""
        preview = host.previewer(model)

        def on_step(_: int, denoised: Tensor) -> None:
            self._done += 1
            self._progress.picture = lambda: preview(denoised)
            self._progress(Progress(prompt, self._done, self._n_steps, unit="steps"))

        return on_step


def comparison_report(pairs: Sequence[Pair]) -> str:
    """How many pictures are the same, then each."""
    n_same = sum(pair.identical for pair in pairs)
    lines = [f"- {pair.prompt!r}, seed {pair.seed}: {pair.verdict}" for pair in pairs]
    return "\n".join([f"{n_same} of {len(pairs)} pictures are identical, to the bit.", "", *lines])


def comparison_plot(pairs: Sequence[Pair], *, difference: bool) -> Tensor:
    """Rows are prompts and seeds, columns before and after.

    Args:
        difference: one more column, with the differences amplified.
    Returns:
        one IMAGE, `[1, height, width, 3]` float32 in [0, 1].
    """
    height, width, _ = pairs[0].before.shape
    larger = max(height, width)
    scale = LARGEST / larger if larger > LARGEST else max(1, LARGEST // 2 // larger)
    cell = (max(1, round(width * scale)), max(1, round(height * scale)))
    titles = ["before", "after", *([f"difference, {AMPLIFIED} times"] if difference else [])]
    column, row = max(cell[0], SMALLEST) + GAP, max(cell[1] + CAPTION, SMALLEST) + GAP
    lefts = [MARGIN + LABEL + i * column for i in range(len(titles))]
    tops = [MARGIN + HEADER + i * row for i in range(len(pairs))]
    image = Image.new("RGB", (lefts[-1] + column + MARGIN, tops[-1] + row + MARGIN), "white")
    draw = ImageDraw.Draw(image)
    for left, title in zip(lefts, titles, strict=True):
        draw.text((left, MARGIN), title, fill=INK, font=font(22))
    for top, pair in zip(tops, pairs, strict=True):
        _label(draw, pair, top, row - GAP)
        shown = [pair.before, pair.after, ((pair.after - pair.before) * AMPLIFIED).abs()]
        for left, picture in zip(lefts, shown, strict=False):
            image.paste(_cell(picture, cell), (left, top))
        color = SAME if pair.identical else OTHER
        draw.text((lefts[1], top + cell[1] + 4), pair.verdict, fill=color, font=font(17))
    return as_image(image)


def _cell(picture: Tensor, size: tuple[int, int]) -> Image.Image:
    whole = Image.fromarray((picture.clamp(0, 1) * 255).round().byte().numpy())
    smaller = size < whole.size
    return whole.resize(size, Image.Resampling.LANCZOS if smaller else Image.Resampling.NEAREST)


def _label(draw: ImageDraw.ImageDraw, pair: Pair, top: int, height: int) -> None:
    """The prompt, as many lines of it as fit, and the seed."""
    lines = _wrapped(pair.prompt, LABEL - GAP, 18)
    room = max(1, (height - 30) // 24)
    if len(lines) > room:
        lines = [*lines[: room - 1], f"{lines[room - 1][:-1]}…"]
    for i, line in enumerate(lines):
        draw.text((MARGIN, top + 24 * i), line, fill=INK, font=font(18))
    draw.text((MARGIN, top + 24 * len(lines)), f"seed {pair.seed}", fill=GREY, font=font(15))


def _wrapped(text: str, width: int, size: int) -> list[str]:
    """Lines of as many letters as fit, whichever these are."""
    ways = (wrap(text, n_letters) for n_letters in range(width // 6, 1, -1))
    fitting = (ls for ls in ways if all(font(size).getlength(line) <= width for line in ls))
    return next(fitting, wrap(text, 1))
