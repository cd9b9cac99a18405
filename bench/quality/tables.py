"""Tables of the quality half, as markdown lines, from the pieces of the JSON file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.quality.scenes import named
from bench.quality.summary import ROLES, Summary, summarise
from bench.tasks import OBJECTS_TASK, STYLES_TASK, State, Task

__all__ = [
    "TASKS",
    "choices",
    "comparison",
    "costs",
    "erased_alone",
    "exact_and_merged",
    "identical",
    "methods",
    "robustness",
    "scenes",
    "trained",
]

Pieces = Mapping[str, Any]
TASKS = (OBJECTS_TASK, STYLES_TASK)
OURS = "SepME (exact)"
BARE, N_SEEDS, N_HELD_OUT = "{}", 16, 5
KINDS = ("listed", "unlisted")


def methods(pieces: Pieces, task: Task, state: State) -> dict[str, Summary]:
    """Every method that was drawn in a state, as it was."""
    before = f"{task.name}/{named(state, task)}/"
    original = pieces.get(f"{task.name}/original")
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
        "| H_o plain | identical: restored / protected / unlisted "
        "| seconds for the next set |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    ordered = sorted(found.items(), key=lambda item: -item[1].h_o("held-out"))
    for name, s in ordered:
        piece = pieces[f"{task.name}/{named(state, task)}/{name}"]
        rows.append(f"| {name} | {' | '.join(_figures(s))} | {_seconds(piece)} |")
    floor = ordered[0][1].floor
    original = pieces[f"{task.name}/original"]["original"]
    accuracy = ", ".join(f"{f} {_share_of(original, task.watched, f)}" for f in floor)
    rows += [
        "",
        f"Floor of ACC_e: {floor['bare']:.0f} (name), {floor['held-out']:.0f} (unseen). "
        f"The untouched model's own pictures are judged right in: {accuracy}.",
    ]
    return rows


def _figures(s: Summary) -> Iterator[str]:
    yield f"{s.seen['erased', 'bare']:.0f}"
    yield f"{s.seen['erased', 'held-out']:.0f}"
    for role in ("restored", "protected", "unlisted"):
        yield f"{s.seen[role, 'held-out']:.0f}" if (role, "held-out") in s.seen else "–"
    yield f"**{s.h_o('held-out'):.1f}**"
    yield f"{s.h_o('held-out', above_floor=False):.1f}"
    yield " / ".join(_identical(s, role) for role in ("restored", "protected", "unlisted"))


def _identical(s: Summary, role: str) -> str:
    """Over all families together would hide which; the worst of them is told."""
    found = [v for (r, _), v in s.identical.items() if r == role]
    return f"{min(found):.0f} %" if found else "–"


def _seconds(piece: Any) -> str:
    seconds = piece["change_seconds"]
    return f"{seconds:.2g}" if seconds < 10 else f"{seconds:.0f}"


def _share_of(counts: Mapping[str, Any], names: tuple[str, ...], family: str) -> str:
    hits, total = (sum(counts[n].get(family, [0, 0])[i] for n in names) for i in (0, 1))
    return f"{100 * hits / total:.0f} %" if total else "–"


def scenes(pieces: Pieces, task: Task, method: str = OURS) -> list[str]:
    """A method through the four scenes, one row a time."""
    rows = [
        "| scene | time | erased | ACC_e name (floor) | ACC_e unseen (floor) "
        "| identical: restored / protected / unlisted |",
        "|---|---|---|---|---|---|",
    ]
    for scene, states in task.scenes.items():
        for time, state in enumerate(states):
            s = methods(pieces, task, state).get(method)
            if s:
                erased = [
                    f"{s.seen['erased', f]:.0f} ({s.floor[f]:.0f})" for f in ("bare", "held-out")
                ]
                same = " / ".join(_identical(s, role) for role in ROLES[1:])
                told = [scene, f"t{time}", named(state, task), *erased, same]
                rows.append(f"| {' | '.join(told)} |")
    return rows if len(rows) > 2 else []


def exact_and_merged(pieces: Pieces) -> list[str]:
    """What users of the exported LoRA get beside exact application."""
    rows = [
        "| | | ACC_e unseen (floor) | protected identical | unlisted identical | drift of "
        "protected, unlisted | largest leak on given / unseen prompts |",
        "|---|---|---|---|---|---|---|",
    ]
    for task in TASKS:
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


def choices(pieces: Pieces) -> list[str]:
    """Settings beside each other: what is still seen of the erased concepts, in per cent."""
    columns = [(task, family) for task in TASKS for family in ("bare", "held-out")]
    found = {
        name.removeprefix(f"{task.name}/choices/"): None
        for task in TASKS
        for name in pieces
        if name.startswith(f"{task.name}/choices/")
    }
    words = {"bare": "name", "held-out": "unseen"}
    rows = [
        f"| | {' | '.join(f'{t.name}: {words[f]}' for t, f in columns)} |",
        "|---|---|---|---|---|",
    ]
    for variant in found:
        cells = [_cell(pieces.get(f"{t.name}/choices/{variant}"), f) for t, f in columns]
        rows.append(f"| {variant} | {' | '.join(cells)} |")
    return rows if found else []


def _cell(found: Any, family: str) -> str:
    return f"{100 * found[family][0] / found[family][1]:.0f}" if found else "–"


def robustness(pieces: Pieces) -> list[str]:
    """Attacks on every method, before and after."""
    rows = [
        "| method | concept | drawn by its name | by a learnt token | by 20 sentences and "
        "spellings (untouched model) |",
        "|---|---|---|---|---|",
    ]
    for task in TASKS:
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


def erased_alone(pieces: Pieces) -> list[str]:
    """Ten objects, one erased at a time, through a real server."""
    found = _of(pieces, "erasing/accuracy/")
    floors = pieces.get("erasing/floors")
    if not (found and floors):
        return []
    rows = [
        "| erased | its name | floor | 5 phrasings never given | floor |",
        "|---|---|---|---|---|",
    ]
    totals = [0, 0, 0, 0]
    for name, counts in found.items():
        own = [
            counts[BARE],
            floors[BARE][name],
            sum(n for prompt, n in counts.items() if prompt != BARE),
            sum(f[name] for prompt, f in floors.items() if prompt != BARE),
        ]
        totals = [a + b for a, b in zip(totals, own, strict=True)]
        rows.append(_row(name, own, 1))
    return [*rows, _row("**all**", totals, len(found))]


def _row(name: str, counts: list[int], n_concepts: int) -> str:
    sizes = [N_SEEDS, N_SEEDS, N_SEEDS * N_HELD_OUT, N_SEEDS * N_HELD_OUT]
    shares = [f"{100 * c / (s * n_concepts):.0f} %" for c, s in zip(counts, sizes, strict=True)]
    return f"| {name} | {' | '.join(shares)} |"


def identical(pieces: Pieces) -> list[str]:
    """How many prompts of the other objects give the same picture to the bit."""
    lines = []
    for key, words in (
        ("identity", "With all nine others protected"),
        ("identity_three", "With only three others protected"),
    ):
        found = _of(pieces, f"erasing/{key}/").values()
        if not found:
            continue
        listed, unlisted = ([sum(r[kind][i] for r in found) for i in (0, 1)] for kind in KINDS)
        text = f"{words}: {listed[0]} of {listed[1]} pictures of protected objects bit-identical"
        if unlisted[1]:
            text += f", and {unlisted[0]} of {unlisted[1]} of objects that nobody listed"
        lines.append(f"- {text}.")
    return lines


def trained(pieces: Pieces) -> list[str]:
    """Methods of this pack that follow the model's own predictions."""
    rows = [
        "| method | cat drawn | others | bit-identical | its own report |",
        "|---|---|---|---|---|",
    ]
    for method, found in _of(pieces, "erasing/paper/").items():
        block = found["report"].split("\n\n")[0].splitlines()
        told = next((x for x in block if "steps," in x), "").strip("- ")
        cost = next((x for x in block if x.startswith("- cost")), "").split(": ", 1)[-1]
        rows.append(
            f"| {method} | {found['cat']} of {found['pictures']} | "
            f"{found['others_right']} of {found['others_pictures']} | "
            f"{found['others_identical']} of 5 | {told}; {cost} |"
        )
    return rows if len(rows) > 2 else []


def costs(pieces: Pieces) -> list[str]:
    """Refine beside the paper's procedure, in one process."""
    found = _of(pieces, "erasing/cost/")
    if "paper separate" not in found:
        return []
    paper = found["paper separate"]
    pictures = paper["pictures"] * len(paper["drawn"])
    rows = [
        "| | evaluations of the denoiser | seconds | worst \\|ρ\\| afterwards | cats |",
        "|---|---|---|---|---|",
    ]
    for method, result in found.items():
        figures = [
            _beside(result["evaluations"], paper["evaluations"], "fewer"),
            _beside(result["seconds"], paper["seconds"], "faster"),
            f"{max(map(abs, result['rho'])):.2f}",
            f"{sum(result['drawn'].values())} of {pictures}",
        ]
        rows.append(f"| {method} | {' | '.join(figures)} |")
    floor = sum(f["cat"] for f in pieces["erasing/floors"].values())
    return [*rows, "", f"The floor of *cats* is {floor} of {pictures}."]


def _beside(ours: float, reference: float, word: str) -> str:
    """A figure, and how many times better it is than the reference's where it differs."""
    told = f"{ours:.0f}"
    return told if ours == reference else f"{told} ({reference / ours:.0f} times {word})"


def _of(pieces: Pieces, before: str) -> dict[str, Any]:
    return {k.removeprefix(before): v for k, v in pieces.items() if k.startswith(before)}
