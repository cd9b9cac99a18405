"""Certificates: who moves what, for every pair of increments, and how much room there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .certificate_prompts import HELD_OUT_TEMPLATES, CertificatePrompts
from .denoiser import OnStep, Progress
from .embeddings import EncodedPrompt, TextEncoder
from .errors import ConceptError, IncompatibleError
from .increment import Increment
from .leak import Leak
from .leak_table import LeakTable, leak_table
from .nullspace import RANK_RTOL
from .strangers import same_concept, strangers, unknown

__all__ = [
    "HELD_OUT_TEMPLATES",
    "Certificate",
    "LeakMatrix",
    "LeakingPair",
    "Margin",
    "certify",
    "strangers",
]

_BATCH = 16  # prompts per call of the text encoder


@dataclass(frozen=True)
class Margin:
    """Where an increment's dead zone lies among the prompts it was held against.

    Args:
        own: smallest, over the concept's prompts, of the strongest token's relative component.
        foreign: largest component of any other concept's or protected prompt.
        nearest: that prompt.
        threshold: of the dead zone.
    """

    own: float
    foreign: float
    nearest: str
    threshold: float

    @property
    def width(self) -> float:
        """Room between the two; negative where they overlap."""
        return self.own - self.foreign


@dataclass(frozen=True, eq=False)
class LeakMatrix:
    """Every increment against every concept, on one kind of prompts.

    Args:
        linear, exact: `[n, n]` leak(j→i) = max ‖ΔW_j e‖ / ‖W e‖ over the prompts, tokens and
            layers, merged and through the dead zone. Row j erases, column i is seen; the diagonal
            says how far the concept itself is moved.
        protected: for each increment, the same on everything it protects.
        margins: of each increment.
        reached: share of the concept's own prompts with a token above its dead zone, in [0, 1].
    """

    linear: Tensor
    exact: Tensor
    protected: tuple[Leak, ...]
    margins: tuple[Margin, ...]
    reached: tuple[float, ...]


@dataclass(frozen=True)
class LeakingPair:
    """One increment that moves another one's concept, in spite of its dead zone."""

    eraser: str
    seen: str
    leak: float
    known: bool

    def __str__(self) -> str:
        why = "which it was computed without"
        cure = "Separate the stack with SepME Separate"
        if self.known:
            why = "although it protects it"
            cure += f", compute {self.eraser!r} again with an automatic dead zone"
        return (
            f"{self.eraser!r} moves {self.seen!r}, {why}, by up to {self.leak:.2g}. {cure}, make "
            "the two one concept (name | synonym), or drop one."
        )


@dataclass(frozen=True, eq=False)
class Certificate:
    """What a set of increments does to each other's concepts.

    Args:
        names: of the concepts, in the order of all rows and columns.
        separable: for each, whether it has a basis; unconstrained ones move everything.
        constraint: on the prompts that the increments were given.
        held_out: on prompts that nobody was given.
        templates: the sentences of `held_out`.
        rank, d_text: directions used by all bases together, of how many.
        same: `[n, n]` bool, whether two increments erase the same concept.
        known: `[n, n]` bool, whether increment j was computed with concept i protected.
    """

    names: tuple[str, ...]
    separable: tuple[bool, ...]
    constraint: LeakMatrix
    held_out: LeakMatrix
    templates: tuple[str, ...]
    rank: int
    d_text: int
    same: Tensor
    known: Tensor

    @cached_property
    def leaking(self) -> tuple[LeakingPair, ...]:
        """Separable increments that move another concept's constraint prompts, worst first."""
        return self._leaking(self.constraint)

    @cached_property
    def leaking_held_out(self) -> tuple[LeakingPair, ...]:
        """The same on prompts that nobody was given: narrow margins rather than strangers."""
        return self._leaking(self.held_out)

    def _leaking(self, matrix: LeakMatrix) -> tuple[LeakingPair, ...]:
        leak = matrix.exact.masked_fill(self.same, 0) * torch.tensor(self.separable)[:, None]
        pairs = [
            LeakingPair(self.names[j], self.names[i], float(leak[j, i]), bool(self.known[j, i]))
            for j, i in leak.nonzero().tolist()
        ]
        return tuple(sorted(pairs, key=lambda p: -p.leak))


def certify(
    increments: Sequence[Increment],
    encode: TextEncoder,
    weights: Mapping[str, Tensor],
    dtype: torch.dtype = torch.float32,
    held_out: Sequence[str] = HELD_OUT_TEMPLATES,
    on_step: OnStep = lambda _: None,
    device: torch.device | str = "cpu",
) -> Certificate:
    """Measures every increment on every concept, on given and on held-out prompts.

    Args:
        increments: of one text encoder, as computed: strengths do not count.
        encode: that text encoder, rounding prompts as the model will receive them.
        weights: of the text-only layers by module path, `[d_out, d_text]`.
        dtype: in which the model receives prompts.
        held_out: sentences with `{}`; those that an increment was given are left out.
        on_step: called after every batch of prompts; raising from it cancels.
        device: where to compute.
    Raises:
        ConceptError: no increment, no held-out sentence that nobody was given, or one without `{}`.
        IncompatibleError: an increment does not fit the weights.
    """
    if not increments:
        raise ConceptError("The stack is empty: there is nothing to certify.")
    for increment in increments:
        _check_fits(increment, weights)
    prompts = CertificatePrompts(increments, held_out)
    encoded = _encoded(prompts.texts, encode, on_step)
    table = leak_table(increments, encoded, weights, dtype, device)
    same = same_concept(increments)
    constraint, new = (
        _matrix(increments, table, prompts.texts, own, protected, same)
        for own, protected in (
            (prompts.constraint, prompts.protected),
            (prompts.held_out, prompts.held_out_protected),
        )
    )
    return Certificate(
        tuple(i.concept.name for i in increments),
        tuple(i.separable for i in increments),
        constraint,
        new,
        prompts.templates,
        _joint_rank(increments),
        next(iter(weights.values())).shape[1],
        same,
        ~unknown(increments),
    )


def _check_fits(increment: Increment, weights: Mapping[str, Tensor]) -> None:
    """Of unconstrained increments only the text-only layers are measured."""
    for module, coef in increment.coef.items():
        edited = [coef.shape[0], increment.basis.shape[1]]
        found = list(weights[module].shape) if module in weights else "missing"
        if edited != found:
            raise IncompatibleError(
                f"The increment for {increment.concept.name!r} changes {module} of shape {edited}; "
                f"in this model it is {found}. Use the model family it was computed for."
            )


def _encoded(texts: Sequence[str], encode: TextEncoder, on_step: OnStep) -> Iterator[EncodedPrompt]:
    for start in range(0, len(texts), _BATCH):
        batch = texts[start : start + _BATCH]
        yield from encode(batch)
        on_step(Progress("certificate", start + len(batch), len(texts), unit="prompts"))


def _matrix(
    increments: Sequence[Increment],
    table: LeakTable,
    texts: Sequence[str],
    shown: Tensor,
    protected: Tensor,
    same: Tensor,
) -> LeakMatrix:
    """On the prompts that show a concept (`shown`) and those that must not change."""
    anyone = shown.any(0)
    margins: list[Margin] = []
    for j, increment in enumerate(increments):
        foreign = (anyone | protected[j]) & ~shown[same[j]].any(0)
        margins.append(_margin(increment, table.peak[j], shown[j], foreign, texts))
    return LeakMatrix(
        torch.stack([table.linear[:, own].amax(1) for own in shown], 1),
        torch.stack([table.exact[:, own].amax(1) for own in shown], 1),
        tuple(_leak(table, j, where, texts) for j, where in enumerate(protected)),
        tuple(margins),
        tuple(float(table.shown[j, own].float().mean()) for j, own in enumerate(shown)),
    )


def _leak(table: LeakTable, j: int, where: Tensor, texts: Sequence[str]) -> Leak:
    linear = table.linear[j].masked_fill(~where, -1)
    if not bool(where.any()):
        return Leak(0.0, 0.0, "")
    return Leak(
        float(linear.max()), float(table.exact[j, where].max()), texts[int(linear.argmax())]
    )


def _margin(
    increment: Increment, peak: Tensor, own: Tensor, foreign: Tensor, texts: Sequence[str]
) -> Margin:
    others = peak.masked_fill(~foreign, 0)
    return Margin(
        float(peak[own].min()),
        float(others.max()),
        texts[int(others.argmax())] if bool(foreign.any()) else "",
        increment.dead_zone.threshold,
    )


def _joint_rank(increments: Sequence[Increment]) -> int:
    """Directions that all bases take up together."""
    bases = [i.basis.double() for i in increments if i.separable]
    if not bases:
        return 0
    # Of the smaller Gram matrix, whose eigenvalues are the squared singular values.
    rows = torch.cat(bases)
    gram = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
    return int(torch.linalg.matrix_rank(gram, rtol=RANK_RTOL**2, hermitian=True))
