"""Tables of the pieces that went through a real server, as markdown lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.quality.erasing import N_PICTURES, PROMPTS
from bench.quality.trained import JOINT, REFERENCE

__all__ = ["erased_alone", "identical", "trained"]

Pieces = Mapping[str, Any]
BARE = "{}"
KINDS = ("listed", "unlisted")


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
    sizes = [N_PICTURES] * 2 + [N_PICTURES * (len(PROMPTS) - 1)] * 2
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
    """Methods that follow the denoiser, beside the paper's with its published settings."""
    found = _of(pieces, "trained/")
    paper = found.get(REFERENCE)
    if not paper:
        return []
    rows = [
        "| | evaluations of the denoiser | seconds | steps | worst \\|ρ\\| afterwards | cats | "
        "others right | bit-identical |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for method, result in found.items():
        figures = [
            _beside(result["evaluations"], paper["evaluations"], "fewer"),
            _beside(result["seconds"], paper["seconds"], "faster"),
            f"{result['steps']}{'' if result['stopped_by_its_rule'] else ', the limit'}",
            f"{max(map(abs, result['rho'])):.2f}",
            f"{sum(result['drawn'].values())} of {result['pictures'] * len(result['drawn'])}",
            f"{result['others_right']} of {result['others_pictures']}",
            f"{result['others_identical']} of {result['others_pictures']}",
        ]
        rows.append(f"| {method} | {' | '.join(figures)} |")
    rows += ["", f"Each stops by its own rule or at its limit. {JOINT} erases all six at once."]
    floors = pieces.get("erasing/floors")
    if not floors:
        return rows
    floor = sum(f["cat"] for f in floors.values())
    return [*rows, "", f"The floor of *cats* is {floor} of {N_PICTURES * len(PROMPTS)}."]


def _beside(ours: float, reference: float, word: str) -> str:
    """A figure, and how many times better it is than the reference's where that is much."""
    told, times = f"{ours:.0f}", reference / ours
    return told if times < 1.5 else f"{told} ({times:.0f} times {word})"


def _of(pieces: Pieces, before: str) -> dict[str, Any]:
    return {k.removeprefix(before): v for k, v in pieces.items() if k.startswith(before)}
