"""A certificate in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from .certificate import Certificate, LeakMatrix, Margin

__all__ = ["certificate_report"]

_MOST_COLUMNS = 12  # a wider matrix is not read as text
_MOST_PAIRS = 20


def certificate_report(certificate: Certificate) -> str:
    """What leaks and what to do about it, then margins, capacity and the matrices."""
    names = ", ".join(certificate.names)
    held_out = f"held-out prompts ({'; '.join(certificate.templates)})"
    blocks = [
        [f"Certificate of {names}", *_verdict(certificate)],
        *(_concept(certificate, j) for j in range(len(certificate.names))),
        [_capacity(certificate)],
        ["Leak on the prompts that were given", *_leaks(certificate, certificate.constraint)],
        [f"Leak on {held_out}", *_leaks(certificate, certificate.held_out)],
    ]
    return "\n\n".join("\n".join(block) for block in blocks)


def _verdict(certificate: Certificate) -> Iterator[str]:
    pairs, held_out = certificate.leaking, certificate.leaking_held_out
    for name, separable in zip(certificate.names, certificate.separable, strict=True):
        if not separable:
            yield (
                f"- NOT SEPARABLE: {name!r} is unconstrained and moves everything. Nothing can be "
                "protected from it; use another method to combine it with others."
            )
    yield from (f"- LEAKING: {pair}" for pair in pairs[:_MOST_PAIRS])
    if len(pairs) > _MOST_PAIRS:
        yield f"- LEAKING: {len(pairs) - _MOST_PAIRS} more pairs, each less than these"
    if not pairs and len(certificate.names) > 1:
        yield "- no separable increment moves a given prompt of another concept, not by a bit"
    if held_out:
        pairs_ = "1 pair" if len(held_out) == 1 else f"{len(held_out)} pairs"
        yield (
            f"- {pairs_} leaking on held-out prompts, most of all "
            f"{held_out[0].eraser!r} moves {held_out[0].seen!r} ({held_out[0].leak:.2g})"
        )


def _concept(certificate: Certificate, j: int) -> Iterator[str]:
    given, new = certificate.constraint, certificate.held_out
    yield f"{certificate.names[j]}: dead zone {given.margins[j].threshold:.3g}"
    if not certificate.separable[j]:
        yield "- none: it is unconstrained"
        return
    yield f"- prompts that were given: {_margin(given.margins[j])}"
    yield f"- held-out prompts: {_margin(new.margins[j])}; {new.reached[j]:.0%} of its own erased"


def _margin(margin: Margin) -> str:
    nearest = f" ({margin.nearest!r})" if margin.foreign else ""
    return (
        f"its own reach {margin.own:.3g} or more, others {margin.foreign:.2g} or less{nearest}; "
        f"margin {margin.width:.3g}"
    )


def _capacity(certificate: Certificate) -> str:
    left = certificate.d_text - certificate.rank
    return (
        f"All bases together use {certificate.rank} of {certificate.d_text} directions of the text "
        f"space; {left} left"
    )


def _leaks(certificate: Certificate, matrix: LeakMatrix) -> Iterator[str]:
    exact = [leak.exact for leak in matrix.protected]
    linear = [leak.linear for leak in matrix.protected]
    for mode, leak, protected in (
        ("exact", matrix.exact, exact),
        ("merged", matrix.linear, linear),
    ):
        if len(certificate.names) <= _MOST_COLUMNS:
            yield f"{mode}: rows erase, columns are seen; the last is all that a row protects"
            yield from _table(certificate.names, leak, protected)
        worst = _worst(certificate, leak)
        yield f"{mode}, largest: {worst}{max(protected):.2g} on what is protected"


def _worst(certificate: Certificate, leak: Tensor) -> str:
    others = leak.masked_fill(certificate.same, -1)
    j, i = divmod(int(others.argmax()), len(others))
    if others[j, i] < 0:  # no two concepts
        return ""
    names = certificate.names
    return f"{float(others[j, i]):.2g} of {names[j]!r} on {names[i]!r}, "


def _table(names: Sequence[str], leak: Tensor, protected: Sequence[float]) -> Iterator[str]:
    """In Markdown, which the page renders and which is read as text as well."""
    yield ""
    yield f"| | {' | '.join([*names, 'protected'])} |"
    yield "|---" * (len(names) + 2) + "|"
    for name, row, last in zip(names, leak.tolist(), protected, strict=True):
        yield f"| {name} | {' | '.join(f'{v:.2g}' for v in (*row, last))} |"
    yield ""
