"""What was computed, in plain words."""

from __future__ import annotations

from collections.abc import Sequence

from .concepts import quoted
from .directions import Directions
from .erase import Erasure

__all__ = ["NARROW_MARGIN", "report"]

# Below every mean of docs/margins.json, which holds no margins of single concepts. The more is
# protected the narrower they are: 0.36 to 0.38 with half of the others, of which no phrasing was
# missed; 0.22 with all 106 other objects, of which one own prompt in two hundred was.
NARROW_MARGIN = 0.15


def report(erasures: Sequence[Erasure]) -> str:
    """One block of text per concept: ranks, energy, margin, leak, evaluations, seconds."""
    return "\n\n".join("\n".join(_block(e)) for e in erasures)


def _block(erasure: Erasure) -> list[str]:
    concept, made = erasure.increment.concept, erasure.increment.provenance
    together = " of all concepts together" if made.method["name"] == "paper joint" else ""
    anchor = f"falls back to {concept.anchor!r}" if concept.anchor else "falls back to nothing"
    lines = [f"{concept.name}: {made.method['name']}, {anchor}"]
    if erasure.plan is None:
        lines.append(
            "- NOT SEPARABLE: it changes other concepts too, and cannot be combined safely."
        )
    else:
        lines += _directions(erasure)
    if erasure.statistics:
        lines += _training(erasure)
    lines.append(
        f"- cost{together}: {erasure.evaluations} denoiser evaluations, {erasure.seconds:.1f} s "
        "beside text encoder and planning"
    )
    return lines


def _directions(erasure: Erasure) -> list[str]:
    plan, leak = erasure.plan, erasure.leak
    assert plan is not None and leak is not None
    zone, found, room = plan.dead_zone, plan.directions, plan.directions.capacity
    lines = [
        f"- protects {len(plan.protected)} prompts: {room.used} of {room.width} directions used, "
        f"{room.left} left; a protected token has at most {room.truncated:.2g} of its length "
        "outside them",
        f"- acts in {len(plan.basis)} directions; {found.surviving:.1%} of the concept is out of "
        f"sight of the protected ones, {found.energy_kept:.1%} of that is kept{_alike(found)}",
        f"- dead zone {zone.threshold:.3g}: protected tokens reach {zone.largest_protected:.3g} "
        f"({quoted(zone.nearest)}), the concept's own at least {zone.smallest_concept:.3g}; "
        f"margin {zone.margin:.3g}",
        f"- leak on protected prompts: {leak.exact:.2g} exact, {leak.linear:.2g} when merged "
        f"(largest on {quoted(leak.prompt)})",
    ]
    if zone.margin < NARROW_MARGIN:
        lines.append(
            f"- NARROW MARGIN: {quoted(zone.nearest)} is in the way. Phrasings that nobody listed "
            "may be missed or touched. Erase the two together (write one behind '|' as a synonym), "
            "stop protecting it, or accept that."
        )
    if zone.threshold <= zone.largest_protected:
        lines.append(
            "- DEAD ZONE TOO LOW: some protected prompts are changed. Set it above "
            f"{zone.largest_protected:.3g}, or to 0 for automatic."
        )
    return lines


def _alike(found: Directions) -> str:
    name, cosine = found.neighbour
    return f"; most alike is {name!r} (cosine {cosine:.2f})" if name else ""


def _training(erasure: Erasure) -> list[str]:
    steps = len(erasure.statistics)
    end = "stopping rule met" if erasure.converged else "step limit reached first"
    lines = [f"- {steps} steps, {end}; correlation {erasure.statistics[-1]:.3g}"]
    if erasure.rho:
        lines.append(
            "- what is left at each time before the push, noisiest first: "
            + " ".join(f"{r:+.2f}" for r in erasure.rho)
        )
    return lines
