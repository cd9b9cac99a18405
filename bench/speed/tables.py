"""Tables of the speed half, as markdown lines, from the pieces of the JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.speed.timing import slope

__all__ = ["summary", "tables"]

Pieces = Mapping[str, Any]


def summary(pieces: Pieces) -> list[str]:
    """The few figures that users ask for."""
    lines = []
    if overhead := pieces.get("speed/overhead"):
        lines.append(
            f"- **While drawing** 20 steps, 10 exact increments add {_drawing(overhead, 10)}, 50 "
            f"add {_drawing(overhead, 50)}: to the first step with a prompt "
            f"{_first(overhead, 10)} and {_first(overhead, 50)}, to every later one "
            f"{_share(overhead, 10)} and {_share(overhead, 50)} (all of them acting; SD1.5's UNet, "
            f"CPU). {_once(overhead, 50)} Merged ones are weights and add nothing."
        )
    if scale := pieces.get("speed/scale"):
        told = ", ".join(f"{scale[f'SD1.5, {n}']['seconds']:.2g} s for {n}" for n in (1, 10, 100))
        lines.append(f"- **Computing** in closed form, text encoding apart: {told} (SD1.5).")
    if size := pieces.get("speed/size"):
        told = ", ".join(f"{v['bytes'] / 1e6:.2f} MB on {k}" for k, v in size.items())
        lines.append(f"- **An increment file** has {told}.")
    if memory := pieces.get("speed/memory"):
        told = ", ".join(
            f"{job} {memory[job]['over_sampling']:.2f}" for job in ("closed form", "refine")
        )
        lines.append(f"- **Peak memory** over that of sampling the same model: {told} times.")
    return lines


def _share(overhead: Mapping[str, Any], n: int) -> str:
    return f"{100 * overhead[f'exact {n}']['all act']['share']:.1f} %"


def _first(overhead: Mapping[str, Any], n: int) -> str:
    added = overhead[f"exact {n}"]["all act"]["first_step_adds"]
    return f"{100 * added / overhead['step_seconds']:.1f} %"


def _once(overhead: Mapping[str, Any], n: int) -> str:
    added = overhead[f"exact {n}"]["all act"]["once_adds"]
    return f"Moving {n} increments to the model takes {added:.2g} s, once."


def _drawing(overhead: Mapping[str, Any], n: int) -> str:
    """Of a drawing of 20 steps, of which the first one looks, after others with the model."""
    told = overhead[f"exact {n}"]["all act"]
    added = told["first_step_adds"] + 19 * told["step_adds"]
    return f"{100 * added / (20 * overhead['step_seconds']):.1f} %"


def tables(pieces: Pieces) -> dict[str, list[str]]:
    """All of them by title."""
    makers = {
        "Applying: what a sampling step takes longer": ("overhead", _overhead),
        "Closed form by number of concepts": ("scale", _scale),
        "Basis: ours and the symbolic null space": ("basis", _basis),
        "Where the time goes": ("profile", _profile),
        "Peak memory": ("memory", _memory),
        "Increment files": ("size", _size),
    }
    return {
        title: make(pieces[f"speed/{name}"])
        for title, (name, make) in makers.items()
        if f"speed/{name}" in pieces
    }


def _overhead(found: Mapping[str, Any]) -> list[str]:
    """The text-only layers alone over the whole step, and whole steps in pairs as the check."""
    rows = [
        "| increments | act | once | first step with a prompt adds | every later step adds "
        "| share of a step |",
        "|---|---|---|---|---|---|",
    ]
    for key, by_acting in found.items():
        if key.startswith("exact "):
            for acting, v in by_acting.items():
                rows.append(
                    f"| {key.removeprefix('exact ')} | {acting} | {_ms(v['once_adds'])} | "
                    f"{_ms(v['first_step_adds'])} | {_ms(v['step_adds'])} | "
                    f"{100 * v['share']:.2f} % |"
                )
    rows += ["", "| whole steps in pairs | ratio (quartiles) |", "|---|---|"]
    for key, v in found.items():
        if key.startswith("whole, "):
            rows.append(
                f"| {key.removeprefix('whole, ')} | {v['ratio']:.3f} ({v['lower']:.3f} to "
                f"{v['upper']:.3f}, {v['pairs']} pairs) |"
            )
    counts = [key for key in found if key.startswith("exact ")]
    adds = [found[key]["all act"]["first_step_adds"] for key in counts]
    growth = slope([int(key.removeprefix("exact ")) for key in counts], adds)
    return [
        *rows,
        "",
        f"A step takes {found['step_seconds']:.1f} s here. What the first step adds grows with the "
        f"number of increments that act to the power of {growth:.2f}.",
    ]


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


def _scale(found: Mapping[str, Any]) -> list[str]:
    rows = [
        "| concepts | seconds | ranks | text space used | smallest margin | leak exact | leak "
        "merged |",
        "|---|---|---|---|---|---|---|",
    ]
    for key, v in found.items():
        if key != "growth":
            rows.append(
                f"| {key} | {v['seconds']:.2f} | {v['ranks'][0]} to {v['ranks'][1]} | "
                f"{v['used']} of {v['width']} | {v['smallest_margin']:.2f} | "
                f"{v['leak_exact']:.2g} | {v['leak_linear']:.2g} |"
            )
    growth = ", ".join(f"{k} {v:.2f}" for k, v in found["growth"].items())
    return [*rows, "", f"Exponent of the growth with the number of concepts: {growth}."]


def _basis(found: Mapping[str, Any]) -> list[str]:
    rows = [
        "| | width | symbolic | ours | times faster |",
        "|---|---|---|---|---|",
    ]
    for key, v in found.items():
        for width, seconds in v["symbolic_seconds"].items():
            rows.append(
                f"| {key} | {width} | {seconds:.3g} s | {v['seconds'][width]:.2g} s | "
                f"{v['ratio'][width]:.0f} |"
            )
        rows.append(
            f"| {key} | 768, extrapolated | {v['symbolic_seconds_at_768_extrapolated']:.3g} s | "
            f"{v['seconds']['768']:.2g} s | {v['ratio_at_768_extrapolated']:.0f} |"
        )
    return rows


def _profile(found: Mapping[str, Any]) -> list[str]:
    stages = found["computing_seconds"]
    total = sum(stages.values())
    rows = ["| computing one concept | processor seconds | share |", "|---|---|---|"]
    for stage, seconds in stages.items():
        rows.append(f"| {stage} | {seconds:.2f} | {100 * seconds / total:.0f} % |")
    rows += ["", "| | processor seconds |", "|---|---|"]
    for key, words in (
        ("text_encoder_seconds_per_prompt", "text encoder, per prompt"),
        ("unet_seconds_per_picture", "UNet, per picture"),
        ("applying_50_seconds", "applying 50"),
    ):
        for what, seconds in found[key].items():
            rows.append(f"| {words}: {what} | {seconds:.3g} |")
    ratio = found["blocks_run_again"]["ratio"]
    return [
        *rows,
        "",
        f"Running blocks again in the backward pass takes {ratio:.2f} times as long.",
    ]


def _memory(found: Mapping[str, Any]) -> list[str]:
    rows = [
        "| job | peak, MB | over sampling | on top of what is loaded, MB |",
        "|---|---|---|---|",
    ]
    for job, v in found.items():
        if isinstance(v, dict):
            figures = f"{v['peak_mb']:.0f} | {v['over_sampling']:.2f} | {v['job_mb']:.0f}"
            rows.append(f"| {job} | {figures} |")
    return rows


def _size(found: Mapping[str, Any]) -> list[str]:
    rows = ["| layers of | bytes | rank | layers |", "|---|---|---|---|"]
    for model, v in found.items():
        rows.append(f"| {model} | {v['bytes']:,} | {v['rank']} | {v['layers']} |")
    return rows
