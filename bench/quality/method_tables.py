"""Tables that set the methods beside each other, as markdown lines, from their drawn pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bench.quality.scenes import in_passing, named
from bench.quality.summary import ROLES, Summary, summarise
from bench.tasks import OBJECTS_TASK, STYLES_TASK, State, Task

__all__ = ["OURS", "TASKS", "beside", "comparison", "exact_and_merged", "methods", "scenes"]

Pieces = Mapping[str, Any]
TASKS = (OBJECTS_TASK, STYLES_TASK)
OURS = "SepME (exact)"
KEPT = ("protected", "unlisted")


def methods(pieces: Pieces, task: Task, state: State) -> dict[str, Summary]:
    """Every method that was drawn in a state, as it was."""
    before = f"{task.name}/{named(state, task)}/"
    untouched = "original in passing" if in_passing(state, task) else "original"
    original = pieces.get(f"{task.name}/{untouched}")
    return {
        name.removeprefix(before): summarise(task, state, drawn, original)
        for name, drawn in pieces.items()
        if original and name.startswith(before)
    }


def comparison(pieces: Pieces, task: Task, state: State) -> list[str]:
    """All methods in one state: accuracies on bare and held-out prompts, and what is identical."""
    found = methods(pieces, task, state)
    if not found:
        return []
    rows = [
        "| method | ACC_e name | ACC_e unseen | ACC_r | ACC_s | ACC_g | **H_o above the floor** "
        "| H_o plain | identical: restored / protected / unlisted | drift of them "
        "| seconds: prepared, then a set |",
        f"|{'---|' * 11}",
    ]
    ordered = sorted(found.items(), key=lambda item: -item[1].h_o("held-out"))
    for name, s in ordered:
        piece = pieces[f"{task.name}/{named(state, task)}/{name}"]
        rows.append(f"| {name} | {' | '.join(_figures(s))} | {_seconds(piece)} |")
    floor = ordered[0][1].floor
    original = pieces[f"{task.name}/original"]["original"]
    accuracy = ", ".join(f"{f} {_share_of(original, task.watched, f)}" for f in floor)
    pictures = (_pictures(piece["seen"], state, family) for family in ("bare", "held-out"))
    rows += [
        "",
        f"Floor of ACC_e: {floor['bare']:.0f} (name), {floor['held-out']:.0f} (unseen). "
        f"An ACC_e is of {' and '.join(map(str, pictures))} pictures. Drift is the mean difference "
        "of pixels. Seconds do not hold the encoding of prompts. "
        f"The untouched model's own are judged right in: {accuracy}.",
    ]
    return rows


def _pictures(seen: Mapping[str, Any], names: State, family: str) -> int:
    return sum(seen[name].get(family, [0, 0])[1] for name in names)


def _figures(s: Summary) -> Iterator[str]:
    yield f"{s.seen['erased', 'bare']:.0f}"
    yield f"{s.seen['erased', 'held-out']:.0f}"
    for role in ("restored", "protected", "unlisted"):
        yield f"{s.seen[role, 'held-out']:.0f}" if (role, "held-out") in s.seen else "–"
    yield f"**{s.h_o('held-out'):.1f}**"
    yield f"{s.h_o('held-out', above_floor=False):.1f}"
    yield " / ".join(_identical(s, role) for role in ROLES[1:])
    yield " / ".join(f"{s.drift[role]:.2g} %" if role in s.drift else "–" for role in ROLES[1:])


def _identical(s: Summary, role: str) -> str:
    """From the worst family of prompts to the best."""
    found = [v for (r, _), v in s.identical.items() if r == role]
    if not found:
        return "–"
    least, most = f"{min(found):.0f}", f"{max(found):.0f}"
    return f"{least} %" if least == most else f"{least} to {most} %"


def _seconds(piece: Any) -> str:
    """What a method is prepared with counts where it was first needed, in another state."""
    prepared, change = piece["fit_seconds"], piece["change_seconds"]
    return f"{_brief(prepared) if prepared else '–'}, {_brief(change)}"


def _brief(seconds: float) -> str:
    return f"{seconds:.2g}" if seconds < 10 else f"{seconds:.0f}"


def beside(pieces: Pieces, task: Task, state: State) -> list[str]:
    """What accuracies do not tell: how far pictures are from the untouched model's."""
    found = methods(pieces, task, state)
    rows = [
        "| method | ACC_e seen | drift of protected, unlisted | distance of protected, unlisted "
        "| KID of protected, unlisted | furthest above its floor, unseen "
        "| beside something else: it, the other |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, s in found.items():
        piece = pieces[f"{task.name}/{named(state, task)}/{name}"]
        kid, seen = piece["kid"], s.seen.get(("erased", "seen"))
        cells = [
            name,
            f"{seen:.0f}" if seen is not None else "–",
            *(", ".join(f"{of[role]:.2g} %" for role in KEPT) for of in (s.drift, s.distance)),
            ", ".join(f"{kid[role]:.0f}" if role in kid else "–" for role in KEPT),
            _furthest(piece["seen"], pieces[f"{task.name}/original"]["floor"], state),
            f"{s.mixed[0]:.0f} %, {s.mixed[1]:.0f} %" if s.mixed else "–",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    before = next((s.mixed_before for s in found.values() if s.mixed_before), None)
    if before:
        rows += [
            "",
            "Beside something else the untouched model shows it in "
            f"{before[0]:.0f} %, the other in {before[1]:.0f} %.",
        ]
    return rows if found else []


def _furthest(seen: Mapping[str, Any], floor: Mapping[str, Any], state: State) -> str:
    """Means over concepts hide one that is left behind another one's floor."""
    above = {
        name: 100 * (seen[name]["held-out"][0] - floor[name]["held-out"][0]) / n
        for name in state
        if (n := floor[name]["held-out"][1])
    }
    name = max(sorted(above), key=above.__getitem__)
    return f"{name} {above[name]:+.0f}"


def _share_of(counts: Mapping[str, Any], names: tuple[str, ...], family: str) -> str:
    hits, total = (sum(counts[n].get(family, [0, 0])[i] for n in names) for i in (0, 1))
    return f"{100 * hits / total:.0f} %" if total else "–"


def scenes(pieces: Pieces, task: Task) -> dict[str, list[str]]:
    """All methods through the four scenes, one table a figure, one row a time."""
    times = [
        (f"{scene}, t{t}", state, methods(pieces, task, state))
        for scene, states in task.scenes.items()
        for t, state in enumerate(states)
    ]
    times = [time for time in times if time[2]]
    names = list(dict.fromkeys(name for *_, found in times for name in found))
    if not times:
        return {}
    tables = {}
    for title, figure in _THROUGH.items():
        rows = [
            f"| scene, time | erased | {' | '.join(names)} |",
            f"|{'---|' * (len(names) + 2)}",
        ]
        for time, state, found in times:
            cells = [figure(found[name]) if name in found else "" for name in names]
            if any(cells):
                rows.append(f"| {time} | {named(state, task)} | {' | '.join(cells)} |")
        tables[title] = rows
    return tables


def _through(role: str, family: str) -> Callable[[Summary], str]:
    return lambda s: f"{s.seen[role, family]:.0f}" if (role, family) in s.seen else ""


def _above(family: str) -> Callable[[Summary], str]:
    return lambda s: f"{s.seen['erased', family]:.0f} ({s.floor[family]:.0f})"


_THROUGH: dict[str, Callable[[Summary], str]] = {
    "ACC_e of names (floor)": _above("bare"),
    "ACC_e of unseen phrasings (floor)": _above("held-out"),
    "ACC_r, unseen phrasings": _through("restored", "held-out"),
    "ACC_s, unseen phrasings": _through("protected", "held-out"),
    "ACC_g, unseen phrasings": _through("unlisted", "held-out"),
    "H_o above the floor, unseen phrasings": lambda s: f"{s.h_o('held-out'):.1f}",
    "identical, % of restored / protected / unlisted": lambda s: " / ".join(
        _identical(s, role) for role in ROLES[1:]
    ),
}


def exact_and_merged(pieces: Pieces, tasks: Sequence[Task] = TASKS) -> list[str]:
    """What users of the exported LoRA get beside exact application."""
    rows = [
        "| | | ACC_e unseen (floor) | protected identical | unlisted identical | drift of "
        "protected, unlisted | largest leak on given / unseen prompts |",
        "|---|---|---|---|---|---|---|",
    ]
    for task in tasks:
        found = methods(pieces, task, task.scenes["1"][0])
        leaks = pieces.get(f"{task.name}/leaks")
        for mode, key in (("exact", "exact"), ("merged", "linear")):
            s = found.get(f"SepME ({mode})")
            if s and leaks:
                rows.append(
                    f"| {task.name} | {mode} | {s.seen['erased', 'held-out']:.0f} "
                    f"({s.floor['held-out']:.0f}) | {_identical(s, 'protected')} | "
                    f"{_identical(s, 'unlisted')} | {s.drift['protected']:.2g} %, "
                    f"{s.drift['unlisted']:.2g} % | {_largest(leaks['given'], key):.2g} / "
                    f"{_largest(leaks['held_out'], key):.2g} |"
                )
    return rows if len(rows) > 2 else []


def _largest(told: Mapping[str, Any], key: str) -> float:
    """Between different concepts, and on what is protected."""
    matrix = told[key]
    between = [v for j, row in enumerate(matrix) for i, v in enumerate(row) if i != j]
    return max(*between, *told[f"protected_{key}"])
