"""The gate of an increment: one signed linear classifier that decides which prompts show a concept.

The length of a projection tells how far a token reaches into some directions, not whether it names
the concept: neighbours, and whatever else lies that way, reach far too. A ridge-logistic classifier
on whitened rows, with the last token of the concept's names against all tokens of everything else,
tells them apart on encoders that have learned language.

A section whose tokens all stay below the threshold passes untouched, to the bit. Sections are what
an encoder has encoded apart (chunks of 77 tokens, parts of a concatenation): they know nothing of
each other, so each is decided by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import IncompatibleError, NonFiniteError, NotSeparableError
from ..text.language import Language
from .logistic import fit_logistic

__all__ = ["Gate", "GateRates", "PromptRows", "Subject", "fit_gates"]

OWN_BELOW = 0.02
"""Of a concept's own prompts so many may stay below the threshold when it is chosen."""
FOREIGN_ABOVE = 0.002
"""Of foreign prompts so many may lie above the point from which the threshold is measured."""


@dataclass(frozen=True, eq=False)
class Gate:
    """Decides, in raw coordinates, which tokens show a concept.

    Args:
        weights: `[d_text]` float64.
        bias: so that a row e scores e·weights + bias.
        threshold: a section with a token above it shows the concept.

    Raises:
        NonFiniteError: a number is NaN or infinite; such a gate would never open, or always.
    """

    weights: Tensor
    bias: float
    threshold: float

    def __post_init__(self) -> None:
        numbers = torch.cat(
            [self.weights, torch.tensor([self.bias, self.threshold], dtype=torch.float64)]
        )
        if not bool(torch.isfinite(numbers).all()):
            raise NonFiniteError("The gate holds NaN or infinity. Compute the increment again.")

    def scores(self, rows: Tensor) -> Tensor:
        """How much each token speaks for the concept, `[..., n_tokens]` float64, rows' device.

        In float64: TF32, or a sum in another order, must not decide whether a prompt is erased.

        Args:
            rows: `[..., n_tokens, d_text]`, of any dtype.
        Raises:
            IncompatibleError: rows of another width.
        """
        if rows.shape[-1] != len(self.weights):
            raise IncompatibleError(
                f"Got rows {rows.shape[-1]} wide, the gate reads {len(self.weights)}: they come "
                "from another text encoder, or from another place in it."
            )
        return rows.double() @ self.weights.to(rows.device) + self.bias

    def fires(self, rows: Tensor, words: Tensor | None = None) -> Tensor:
        """Which sections show the concept, bool `[...]`.

        Args:
            rows: `[..., n_tokens, d_text]`, one section in the last two dimensions.
            words: bool `[..., n_tokens]`, the tokens that may speak; None for all.
        """
        above = self.scores(rows) > self.threshold
        return (above if words is None else above & words).any(-1)


@dataclass(frozen=True, eq=False)
class PromptRows:
    """Whitened tokens of many prompts, one behind the other.

    Args:
        texts: the prompts.
        rows: `[n_tokens, d_text]` float32, all tokens of all prompts.
        lengths: tokens of each prompt, `[n_prompts]` int64, none of them 0.
        folds: 0 or 1 for each prompt, `[n_prompts]`: what is fitted to one is tried on the other.
    """

    texts: tuple[str, ...]
    rows: Tensor
    lengths: Tensor
    folds: Tensor

    @classmethod
    def of(cls, prompts: Mapping[str, Tensor]) -> PromptRows:
        """From tokens by text; every second prompt goes to the other fold."""
        lengths = torch.tensor([len(rows) for rows in prompts.values()], dtype=torch.int64)
        rows = torch.cat(list(prompts.values()))
        return cls(tuple(prompts), rows, lengths, torch.arange(len(lengths)) % 2)

    def of_prompts(self, per_prompt: Tensor) -> Tensor:
        """What is said of each prompt, `[n_prompts, ...]`, said of each token."""
        return per_prompt.repeat_interleave(self.lengths, 0)

    def peaks(self, directions: Tensor) -> Tensor:
        """The strongest token of each prompt, `[n_prompts, n]` float32.

        Args:
            directions: `[n, d_text + 1]`: weights on whitened rows, the bias last.
        """
        scores = self.rows @ directions[:, :-1].T + directions[:, -1]
        return torch.segment_reduce(scores, "max", lengths=self.lengths)


@dataclass(frozen=True, eq=False)
class Subject:
    """A concept as a gate is fitted to it.

    Args:
        names: `[n, d_text]` float32, whitened: the last token of each name in each context.
        folds: 0 or 1 for each of them, `[n]`, by context.
        prompts: the prompts that they come from, and others that must not be missed.
    """

    names: Tensor
    folds: Tensor
    prompts: PromptRows


@dataclass(frozen=True)
class GateRates:
    """How a gate does, on what it was fitted to and on what it was not.

    Args:
        missed, touched: shares of its own prompts that it lets pass and of foreign ones that it
            stops, each judged by a gate that was not fitted to it.
        given: foreign prompts that it was told of and stops all the same, strongest first.
        margin: room between foreign and own prompts, as a share of the way from the foreign ones
            to the median own one; at 0 they meet.
    """

    missed: float
    touched: float
    given: tuple[str, ...]
    margin: float


def fit_gates(
    subjects: Sequence[Subject],
    foreign: PromptRows,
    spared: Tensor,
    language: Language,
    *,
    ridge: float = 1e-4,
) -> list[tuple[Gate, GateRates] | NotSeparableError]:
    """One gate for each concept, all fitted together.

    Each is fitted twice to half of the contexts, which tells how it does on contexts that it has
    not seen, and sets the threshold; then once to all of them. With more directions than contexts
    anything can be told from anything on what was given: only unseen contexts show twins.

    Args:
        foreign: protected prompts and ordinary captions.
        spared: bool `[n_prompts, n]`, foreign prompts that name a concept: none of its business.
        ridge: see `fit_logistic`.
    Returns:
        for each concept its gate with its rates, or why there can be none.
    """
    halves = [_fit(subjects, foreign, spared, ridge, fold) for fold in (0, 1)]
    whole = _fit(subjects, foreign, spared, ridge)
    unseen = _other_half(foreign, halves)
    given = foreign.peaks(whole)
    found = list[tuple[Gate, GateRates] | NotSeparableError]()
    for j, subject in enumerate(subjects):
        own = _other_half(subject.prompts, [half[j, None] for half in halves])[:, 0]
        told = ~spared[:, j]
        texts = [
            text for text, is_told in zip(foreign.texts, told.tolist(), strict=True) if is_told
        ]
        try:
            threshold, margin = _threshold(own, unseen[told, j], texts)
        except NotSeparableError as error:
            found.append(error)
            continue
        gate = _gate(whole[j], threshold, language)
        rates = GateRates(
            float((own <= threshold).double().mean()),
            float((unseen[told, j] > threshold).double().mean()),
            _above(given[told, j], threshold, texts),
            margin,
        )
        found.append((gate, rates))
    return found


def _fit(
    subjects: Sequence[Subject],
    foreign: PromptRows,
    spared: Tensor,
    ridge: float,
    fold: int | None = None,
) -> Tensor:
    """Directions `[n, d_text + 1]` fitted to one fold, or to everything."""
    told = foreign.of_prompts(foreign.folds) == fold
    told = slice(None) if fold is None else told
    names = [s.names if fold is None else s.names[s.folds == fold] for s in subjects]
    apart = foreign.of_prompts(spared)[told]
    weights, bias = fit_logistic(names, foreign.rows[told], apart, ridge=ridge)
    return torch.cat([weights, bias[:, None]], 1)


def _other_half(prompts: PromptRows, halves: Sequence[Tensor]) -> Tensor:
    """Peaks by the directions that were not fitted to a prompt, `[n_prompts, n]`."""
    first, second = (prompts.peaks(half) for half in halves)
    return torch.where((prompts.folds == 0)[:, None], second, first)


def _threshold(own: Tensor, foreign: Tensor, texts: Sequence[str]) -> tuple[float, float]:
    """Half-way between foreign prompts and own ones, and the margin between them.

    Rates decide, not the single worst prompt: among a thousand phrasings there is always one that
    says nearly nothing of the concept.
    """
    low = float(own.quantile(OWN_BELOW))
    high = float(foreign.quantile(1 - FOREIGN_ABOVE)) if len(foreign) else -1.0
    threshold = (low + high) / 2
    if low <= high:
        raise _refusal(own, foreign, threshold, texts)
    return threshold, (low - high) / (float(own.median()) - high)


def _gate(direction: Tensor, threshold: float, language: Language) -> Gate:
    """In raw coordinates: whitening and centring are folded in."""
    weights, bias = language.to_raw(direction[None, :-1])
    return Gate(weights[0], float(bias[0] + direction[-1]), threshold)


def _above(peaks: Tensor, threshold: float, texts: list[str]) -> tuple[str, ...]:
    order = peaks.argsort(descending=True).tolist()
    return tuple(texts[i] for i in order if float(peaks[i]) > threshold)


def _refusal(
    own: Tensor, foreign: Tensor, threshold: float, texts: Sequence[str]
) -> NotSeparableError:
    missed = float((own <= threshold).double().mean())
    touched = float((foreign > threshold).double().mean())
    first = texts[int(foreign.argmax())]
    return NotSeparableError(
        f"it cannot be told from what is protected: half-way between them {missed:.1%} of its own "
        f"prompts would be missed and {touched:.1%} of the others touched, {first!r} first. Erase "
        "the two together (write one behind '|' as a synonym of the other), or stop protecting "
        "what is in its way."
    )
