"""Rows that are concepts: computed once each, and what the page and the report say of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

from ..sepme_core.concepts import Concept, name_key, named_in
from ..sepme_core.config import EraseConfig
from ..sepme_core.denoiser import Progress
from ..sepme_core.erase import Erasure
from ..sepme_core.errors import NotSeparableError
from ..sepme_core.increment import Increment, Stack, StackEntry
from ..sepme_core.report import NARROW_MARGIN
from . import host
from .computing import compute
from .file_names import shortened
from .kept import Kept, Refusal
from .rows import Row, row_event
from .session import open_session
from .telling import Remark, counted

__all__ = [
    "ConceptRow",
    "compute_missing",
    "concept_rows",
    "idle_rows",
    "narrowest",
    "row_remarks",
    "rows_report",
]

Run = Callable[[Sequence[Concept]], "list[Erasure]"]
"""Computes some of the concepts."""
_N_IDLE = 5  # rows named
VISIBLE_LEAK = 1e-3  # of a layer's output; less is what rounding does in half precision


@dataclass(frozen=True, eq=False)
class ConceptRow:
    """A concept, how it is set, and what is known of it.

    Args:
        result: None as long as nothing has been computed.
    """

    concept: Concept
    row: Row
    result: Increment | Refusal | None = None

    @property
    def missing(self) -> bool:
        """Whether it is wanted and not there; what is off is not computed before it is on."""
        return self.row.on and self.result is None

    @property
    def acts(self) -> bool:
        """Whether it is erased as soon as there is an increment."""
        return self.row.on and self.row.strength != 0

    @property
    def entry(self) -> StackEntry | None:
        """For a stack, switched off ones included; None where there is no increment."""
        if not isinstance(self.result, Increment):
            return None
        row = self.row
        return StackEntry(self.result, row.strength, row.on, row.start, row.end)

    def state(self, *, merged: bool) -> str:
        """One word for the page."""
        if isinstance(self.result, Refusal):
            return "refused"
        if self.result is None:
            return "computing" if self.row.on else "off"
        return "leaking" if _leak(self.result, merged) > VISIBLE_LEAK else "ready"

    def text(self, *, merged: bool) -> str:
        """What a person should know; empty when all is well."""
        if isinstance(self.result, Refusal):
            return self.result.reason
        if self.result is None:
            return ""
        said, leak = "", _leak(self.result, merged)
        if leak > VISIBLE_LEAK:
            said = f"Protected prompts move by up to {leak:.1%}. Exact mode leaves them alone. "
        zone = self.result.dead_zone
        if zone.margin < NARROW_MARGIN:
            said += (
                f"Hard to tell from {zone.nearest!r} (margin {zone.margin:.2f}): unusual phrasings "
                "may be missed or touched."
            )
        return said.strip()

    def event(self, number: int, *, merged: bool, texts: str) -> dict[str, Any]:
        """What the page is told, see `row_event`."""
        state, text = self.state(merged=merged), self.text(merged=merged)
        return row_event(number, state, text, concept=self.concept.name, texts=texts)


def _leak(increment: Increment, merged: bool) -> float:
    return float(str(increment.provenance.leak.get("linear" if merged else "exact", 0)))


def concept_rows(concepts: Iterable[Concept], rows: Iterable[Row]) -> list[ConceptRow]:
    """Every concept with its row; those without one are on, and rows without one have no effect."""
    known = {name_key(row.key): row for row in rows}
    return [ConceptRow(c, known.get(name_key(c.name), Row(c.name))) for c in concepts]


def idle_rows(concepts: Iterable[Concept], rows: Iterable[Row]) -> str:
    """What to tell of rows that change something and are for none of the concepts, or nothing.

    A misspelt `off` would leave its concept erased, and nobody would know why.
    """
    known = {name_key(concept.name) for concept in concepts}
    idle = [r.key for r in rows if name_key(r.key) not in known and r != Row(r.key)]
    if not idle:
        return ""
    more = f" and {len(idle) - _N_IDLE} more" if len(idle) > _N_IDLE else ""
    named = ", ".join(map(repr, map(shortened, idle[:_N_IDLE])))
    return (
        f"\n\nRows without effect, as no line of the concepts begins so: {named}{more}. Write the "
        "name as it stands there, or remove the row."
    )


def compute_missing(  # noqa: PLR0913
    model: Any,
    clip: Any,
    kept: Kept,
    rows: Sequence[ConceptRow],
    known: Stack,
    *,
    merged: bool,
    texts: str = "",
) -> list[ConceptRow]:
    """All rows with their results.

    A concept that cannot be erased does not keep the others from it.

    Args:
        kept: results of the task.
        known: increments that are on the model already.
        texts: digest of what was queued: the page may show other texts by now.
    """
    found = [replace(row, result=kept.find(row.concept)) for row in rows]
    for number, row in enumerate(found):
        host.send("sepme.row", row.event(number, merged=merged, texts=texts))
    missing = [row.concept for row in found if row.missing]
    fresh: dict[str, Increment | Refusal] = {}
    if missing:
        with host.computing(), host.memory_explained(kept.task.config.method):
            session = open_session(model, clip, known)
            names = [row.concept.name for row in rows]
            run = partial(compute, session, clip, kept, progress=_RowProgress(names, texts))
            for concept, result in _results(missing, run, kept.task.config):
                kept.keep(concept, result)
                increment = result if isinstance(result, Refusal) else result.increment
                fresh[concept.name] = increment
                number = names.index(concept.name)
                row = replace(found[number], result=increment)
                host.send("sepme.row", row.event(number, merged=merged, texts=texts))
    return [replace(row, result=row.result or fresh.get(row.concept.name)) for row in found]


class _RowProgress(host.NodeProgress):
    """Says of the row at work, too, how far it is."""

    def __init__(self, names: Sequence[str], texts: str) -> None:
        super().__init__()
        self._names, self._texts = names, texts

    def tell(self, at: Progress) -> None:
        """See `NodeProgress`; what is not trained is done before a bar would help."""
        super().tell(at)
        if at.statistic is not None and at.concept in self._names:
            row = row_event(
                self._names.index(at.concept),
                "computing",
                concept=at.concept,
                step=at.step,
                max_steps=at.max_steps,
                texts=self._texts,
            )
            host.send("sepme.row", row)


def _results(
    concepts: Sequence[Concept], run: Run, config: EraseConfig
) -> Iterator[tuple[Concept, Erasure | Refusal]]:
    """Each as soon as it is there, so that cancelling keeps it.

    The closed form shares one factorisation among all concepts; training takes them one by one.
    """
    if not config.draws:
        return _attempt(concepts, run)
    return chain.from_iterable(_attempt([concept], run) for concept in concepts)


def _attempt(concepts: Sequence[Concept], run: Run) -> Iterator[tuple[Concept, Erasure | Refusal]]:
    """All that can be erased; those that cannot are left out and named."""
    left = list(concepts)
    while left:
        try:
            erasures = run(left)
        except NotSeparableError as error:
            refused = [c for c in left if c.name == error.concept] or left
            yield from ((concept, Refusal(str(error))) for concept in refused)
            left = [c for c in left if c not in refused]
        else:
            yield from zip(left, erasures, strict=True)
            return


def rows_report(
    rows: Sequence[ConceptRow], prompts: Sequence[str], unwritten: str, *, merged: bool
) -> str:
    """One line a concept, then the prompts that name something erased."""
    states = [row.state(merged=merged) for row in rows]
    n_erased = sum(row.entry is not None and row.row.on for row in rows)
    n_off, n_refused = sum(not row.row.on for row in rows), states.count("refused")
    lines = [
        f"{counted(len(rows), 'concept')}: {n_erased} erased, {n_off} off, {n_refused} refused.",
        "",
        *(f"- {_line(row, merged)}" for row in rows),
        *_named(rows, prompts),
    ]
    if unwritten:
        lines += ["", f"Nothing could be kept on disk; next time it is computed anew. {unwritten}"]
    return "\n".join(lines)


def row_remarks(rows: Sequence[ConceptRow], unwritten: str, *, merged: bool) -> list[Remark]:
    """What to look at in the report."""
    told = [(row, row.state(merged=merged)) for row in rows if row.row.on]
    bad = [Remark(f"{row.concept.name}: {s}") for row, s in told if s in ("refused", "leaking")]
    narrow = [
        Remark(f"{row.concept.name}: hard to tell from {zone.nearest!r}", "", "note")
        for row, state in told
        if state == "ready" and (zone := row.result.dead_zone).margin < NARROW_MARGIN
    ]
    return (
        bad + narrow + ([Remark("Nothing could be kept on disk", "", "note")] if unwritten else [])
    )


def narrowest(rows: Sequence[ConceptRow]) -> float | None:
    """The margin of whatever is hardest to tell apart among what is on."""
    entries = [row.entry for row in rows if row.entry and row.row.on]
    return min((entry.increment.dead_zone.margin for entry in entries), default=None)


def _line(row: ConceptRow, merged: bool) -> str:
    name, text = row.concept.name, row.text(merged=merged)
    if isinstance(row.result, Refusal):
        return f"{name}: REFUSED. {text}"
    if not row.row.on:
        return f"{name}: off{'' if row.result else ', not computed yet'}"
    assert row.result is not None
    leak = row.result.provenance.leak
    return (
        f"{name}: erased, {row.row.settings}; margin "
        f"{row.result.dead_zone.margin:.3g}, leak {leak['exact']:.2g} exact, {leak['linear']:.2g} "
        f"when merged{f'; {text}' if text else ''}"
    )


def _named(rows: Sequence[ConceptRow], prompts: Sequence[str]) -> list[str]:
    """The prompts that name what is erased: they will not draw it."""
    found = named_in(prompts, [row.concept for row in rows if row.entry and row.acts])
    told = [
        f"- prompt {number} names {name!r}: {prompt!r}"
        for number, (prompt, names) in enumerate(zip(prompts, found, strict=True), start=1)
        for name in names
    ]
    if not prompts:
        return []
    return ["", "Prompts that name something erased:" if told else "No prompt names it.", *told]
