"""Tables of what is not compared by pictures: settings, attacks, algebra; as markdown lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.quality.method_tables import TASKS
from bench.tasks import Task

__all__ = ["choices", "dead_zones", "noise_levels", "orders", "restored", "robustness", "shifts"]

Pieces = Mapping[str, Any]
FAMILY_WORDS = {"bare": "name", "seen": "seen", "held-out": "unseen"}


def choices(pieces: Pieces, tasks: Sequence[Task] = TASKS) -> list[str]:
    """Settings beside each other: what is still seen of the erased concepts, in per cent."""
    columns = [(task, family) for task in tasks for family in ("bare", "held-out")]
    found = {
        name.removeprefix(f"{task.name}/choices/"): None
        for task in tasks
        for name in pieces
        if name.startswith(f"{task.name}/choices/")
    }
    rows = [
        f"| | {' | '.join(f'{t.name}: {FAMILY_WORDS[f]}' for t, f in columns)} |",
        f"|{'---|' * (len(columns) + 1)}",
    ]
    for variant in found:
        cells = [_cell(pieces.get(f"{t.name}/choices/{variant}"), f) for t, f in columns]
        rows.append(f"| {variant} | {' | '.join(cells)} |")
    return rows if found else []


def _cell(found: Any, family: str) -> str:
    return f"{100 * found[family][0] / found[family][1]:.0f}" if found else "–"


def robustness(pieces: Pieces, tasks: Sequence[Task] = TASKS) -> list[str]:
    """Attacks on every method, before and after."""
    rows = [
        "| method | concept | drawn by its name | by a learnt token | by 20 sentences and "
        "spellings (untouched model) |",
        "|---|---|---|---|---|",
    ]
    for task in tasks:
        for name, found in pieces.items():
            if name.startswith(f"{task.name}/robustness/"):
                attack, told = found["inversion"], found["paraphrases"]
                rows.append(
                    f"| {name.split('/')[-1]} | {found['concept']} | "
                    f"{attack['before']} of {attack['pictures']} | "
                    f"{attack['after']} of {attack['pictures']} | "
                    f"{told['after']} ({told['before']}) of {told['pictures']} |"
                )
    return rows if len(rows) > 2 else []


def shifts(pieces: Pieces, tasks: Sequence[Task] = TASKS) -> list[str]:
    """Which share of the way to its anchor's tokens each concept goes, by phrasings."""
    rows = [f"| | {' | '.join(FAMILY_WORDS.values())} |", "|---|---|---|---|"]
    for task in tasks:
        for name, found in pieces.get(f"{task.name}/shift", {}).items():
            cells = (f"{100 * found[family]:.0f} %" for family in FAMILY_WORDS)
            rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows if len(rows) > 2 else []


def noise_levels(pieces: Pieces, tasks: Sequence[Task] = TASKS) -> list[str]:
    """What is left of a concept's prediction in ten time intervals, noisiest first."""
    rows = [
        f"| method | concept | {' | '.join(f'ρ {t}' for t in range(1, 11))} | largest change |",
        f"|{'---|' * 13}",
    ]
    for task in tasks:
        before = f"{task.name}/noise level/"
        for name, found in pieces.items():
            if name.startswith(before):
                for concept, told in found.items():
                    rho = " | ".join(f"{v:.2f}" for v in told["rho"])
                    change = max(told["change"])
                    rows.append(
                        f"| {name.removeprefix(before)} | {concept} | {rho} | {change:.2g} |"
                    )
    return rows if len(rows) > 2 else []


def dead_zones(pieces: Pieces, tasks: Sequence[Task] = TASKS) -> list[str]:
    """How well each concept is told from what is protected."""
    rows = [
        "| | largest component of anything protected | dead zone | smallest of its own prompts "
        "| margin | nearest protected prompt |",
        "|---|---|---|---|---|---|",
    ]
    for task in tasks:
        for name, zone in pieces.get(f"{task.name}/margins", {}).items():
            keys = ("largest_protected", "threshold", "smallest_concept", "margin")
            figures = " | ".join(f"{zone[k]:.2f}" for k in keys)
            rows.append(f"| {name} | {figures} | {zone['nearest']} |")
    return rows if len(rows) > 2 else []


def restored(pieces: Pieces, tasks: Sequence[Task] = TASKS) -> list[str]:
    """What is left of an increment that was taken out again."""
    return [
        f"- {task.name}: in all states, for all phrasings of all concepts that are given back, the "
        f"largest entry that is added to a layer's output is {found['restored']:.2g} of the "
        f"output's largest; for those that are erased it is {found['erased']:.2g}."
        for task in tasks
        if (found := pieces.get(f"{task.name}/restore"))
    ]


def orders(pieces: Pieces, tasks: Sequence[Task] = TASKS) -> list[str]:
    """Whether the order in which concepts come makes a difference."""
    return [
        f"- {task.name}: {found['orders']} orders of coming, then separated; the largest "
        f"difference of ΔW is {found['largest_difference']:.2g}."
        for task in tasks
        if (found := pieces.get(f"{task.name}/order"))
    ]
