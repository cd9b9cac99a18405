"""Re-separation: increments that came one after another, made mutually invisible.

In the paper an increment that is older than a concept does not know it, and changes it. Here every
basis is replaced by the one that all concepts known together give, so any order of coming ends in
the same stack. What the closed form gave is solved again. What was trained is carried over: the new
coefficients repeat the old change of the concept's own tokens as well as the new directions can.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, cast

import torch
from torch import Tensor

from .closed_form import closed_form_coefs, token_map
from .concepts import SLOT, Concept, ConceptSet, fill, is_name, name_key
from .config import BasisConfig
from .denoiser import OnStep
from .embeddings import TextEncoder
from .errors import ConceptError, IncompatibleError
from .increment import Increment
from .leak import Leak, measure_leaks
from .planning import Plan, make_plans
from .preserve import MomentOf, general_captions, list_digest

__all__ = ["Reseparated", "concepts_of", "reseparate", "reseparation_report"]

LEAST_KEPT = 0.9
"""Share of its effect below which a trained increment is worth training again."""


@dataclass(frozen=True, eq=False)
class Reseparated:
    """An increment before and after.

    Args:
        kept: share of its effect on its own prompts that is left, 1 - ‖(ΔW' - ΔW) e‖² / ‖ΔW e‖².
        without_its_list: whether the preserve list it was made with was not at hand.
    """

    before: Increment
    after: Increment
    plan: Plan
    kept: float
    without_its_list: bool = False


def concepts_of(increments: Sequence[Increment], preserve: Iterable[str] = ()) -> ConceptSet:
    """The concept set that increments were made from, all of them together.

    Args:
        preserve: captions to preserve; the files hold only the digests of their lists.
    Raises:
        IncompatibleError: an increment without separable directions.
        ConceptError: two increments erase the same concept.
    """
    unconstrained = [i.concept.name for i in increments if not i.separable]
    if unconstrained:
        raise IncompatibleError(
            f"{', '.join(unconstrained)} is unconstrained: it changes every concept, and nothing "
            "can make it separable. Take it out of the stack, or compute it with another method."
        )
    concepts = sorted((i.concept for i in increments), key=lambda c: name_key(c.name))
    templates = _union(i.provenance.templates for i in increments)
    known = {name_key(n) for c in concepts for n in c.names}
    protected = _union(i.provenance.protected for i in increments)
    names = [p for p in protected if is_name(p, templates, set(protected))]
    covered = {fill(t, n) for n in (*names, *_names(concepts), "") for t in (SLOT, *templates)}
    return ConceptSet(
        tuple(concepts),
        templates,
        tuple(n for n in names if name_key(n) not in known),
        tuple(p for p in protected if p not in covered and name_key(p) not in known),
        tuple(dict.fromkeys(preserve)),
    )


def _digests(increment: Increment) -> set[str]:
    """Of the preserve lists that it was made with; several after it was separated from others."""
    return set(str(increment.provenance.method.get("preserve", "")).split("+")) - {""}


def _names(concepts: Iterable[Concept]) -> list[str]:
    return [name for concept in concepts for name in concept.names]


def _union(texts: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """Without repetition, in an order of its own."""
    return tuple(sorted({text for some in texts for text in some}))


def reseparate(
    increments: Sequence[Increment],
    encode: TextEncoder,
    weights: Mapping[str, Tensor],
    dtype: torch.dtype = torch.float32,
    moment_of: MomentOf | None = None,
    on_step: OnStep = lambda _: None,
    preserve_lists: Iterable[Sequence[str]] = (),
) -> list[Reseparated]:
    """Makes increments blind to each other's concepts, in the order given.

    Args:
        increments: of one text encoder; at least one.
        encode: that text encoder.
        weights: of the text-only layers by module path, `[d_out, d_text]`.
        dtype: in which the model receives prompts.
        moment_of: the second moment of captions; computed with `encode` when absent.
        preserve_lists: lists of captions beside the general one. Those that an increment was made
            with are found by their digests, and kept for all.
    Raises:
        NotSeparableError: names the concept that cannot be told from the others.
        IncompatibleError, ConceptError: see `concepts_of`.
    """
    if not increments:
        raise ConceptError("The stack is empty: there is nothing to separate.")
    used = {digest for increment in increments for digest in _digests(increment)}
    at_hand = {
        list_digest(captions): captions for captions in (general_captions(), *preserve_lists)
    }
    lists = {digest: at_hand[digest] for digest in sorted(used & at_hand.keys())}
    concepts = concepts_of(increments, [c for captions in lists.values() for c in captions])
    plans = _plans(increments, concepts, encode, dtype, moment_of, on_step)
    found = [
        _replaced(old, plans[old.concept.name], weights, concepts, lists) for old in increments
    ]
    seen = [f.plan.furthest for f in found]
    leaks = measure_leaks([f.after for f in found], seen, weights, dtype)
    return [_with_leak(f, leak) for f, leak in zip(found, leaks, strict=True)]


def _plans(  # noqa: PLR0913
    increments: Sequence[Increment],
    concepts: ConceptSet,
    encode: TextEncoder,
    dtype: torch.dtype,
    moment_of: MomentOf | None,
    on_step: OnStep,
) -> dict[str, Plan]:
    """By concept; increments of the same settings share a factorisation."""
    groups: dict[BasisConfig, list[Concept]] = {}
    for increment in increments:
        groups.setdefault(_settings(increment), []).append(increment.concept)
    return {
        plan.concept.name: plan
        for settings, chosen in groups.items()
        for plan in make_plans(concepts, chosen, encode, settings, dtype, moment_of, on_step)
    }


def _with_leak(result: Reseparated, leak: Leak) -> Reseparated:
    made = replace(result.after.provenance, leak=asdict(leak))
    return replace(result, after=replace(result.after, provenance=made))


def _settings(increment: Increment) -> BasisConfig:
    """The basis settings an increment was made with; those this version does not know are left."""
    stored = cast("Mapping[str, Any]", increment.provenance.method.get("basis", {}))
    known = {field.name for field in fields(BasisConfig)}
    return BasisConfig(**{k: v for k, v in stored.items() if k in known})


def _solved(old: Increment, plan: Plan, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    settings, least = _settings(old), plan.dead_zone.largest_protected
    if old.provenance.method.get("name") == "closed form":
        shift = token_map(plan.prompts, plan.basis, least, settings.ridge, settings.push)
        return closed_form_coefs([shift], {k: weights[k] for k in old.coef})[0]
    carry = _carry(old, plan, settings.ridge)
    return {k: (a.double() @ carry).float() for k, a in old.coef.items()}


def _own_tokens(plan: Plan) -> Tensor:
    """Weighted tokens of the concept's prompts, `[n, d_text]` float64."""
    parts = [(p.embeddings.double(), *p.sample()) for p in plan.encoded]
    return torch.cat([e[which] * weights[:, None] for e, which, weights in parts])


def _carry(old: Increment, plan: Plan, ridge: float) -> Tensor:
    """From new to old coordinates by least squares over the own tokens, `[n_old, n_new]`."""
    rows = _own_tokens(plan)
    z, z_new = rows @ old.basis.double().T, rows @ plan.basis.T
    gram = z_new.T @ z_new
    gram.diagonal().add_(ridge * gram.diagonal().mean())
    return torch.linalg.solve(gram, z_new.T @ z).T


def _replaced(
    old: Increment,
    plan: Plan,
    weights: Mapping[str, Tensor],
    concepts: ConceptSet,
    lists: Iterable[str],
) -> Reseparated:
    coef = _solved(old, plan, weights)
    made = replace(
        old.provenance,
        protected=tuple(p.text for p in plan.protected),
        templates=concepts.templates,
        method={**old.provenance.method, "preserve": "+".join(lists)},
    )
    new = Increment(
        old.concept, plan.basis.float(), coef, dead_zone=plan.dead_zone, provenance=made
    )
    rows = _own_tokens(plan)
    z, z_new = rows @ old.basis.double().T, rows @ plan.basis.T
    pairs = [(z @ old.coef[k].double().T, z_new @ coef[k].double().T) for k in coef]
    total = sum(float(before.square().sum()) for before, _ in pairs)
    lost = sum(float((after - before).square().sum()) for before, after in pairs)
    kept = 1 - lost / max(total, 1e-30)
    return Reseparated(old, new, plan, kept, not _digests(old) <= set(lists))


def reseparation_report(results: Sequence[Reseparated]) -> str:
    """What each increment lost and how it stands now, one line each; then the lists used."""
    lists = set[str]().union(*(_digests(r.after) for r in results))
    return "\n".join([*map(_line, results), f"Preserved ordinary captions: {_told(lists)}."])


def _told(digests: set[str]) -> str:
    """Preserve lists in words."""
    general = {list_digest(general_captions())}
    n_own = len(digests - general)
    own = "your own list" if n_own == 1 else f"{n_own} lists of your own"
    named = ["the general list"] * bool(digests & general) + [own] * bool(n_own)
    return " and ".join(named) or "no list"


def _line(result: Reseparated) -> str:
    before, after = result.before, result.after
    line = (
        f"- {after.concept.name}: keeps {result.kept:.1%} of its effect; margin "
        f"{before.dead_zone.margin:.3g} -> {after.dead_zone.margin:.3g}; protects "
        f"{len(before.provenance.protected)} -> {len(after.provenance.protected)} prompts; leak "
        f"{after.provenance.leak['exact']:.2g} exact, {after.provenance.leak['linear']:.2g} merged"
    )
    if result.without_its_list:
        line += (
            "; the preserve list it was made with is not in models/sepme/preserve, so ordinary "
            "captions are kept less well than before"
        )
    if result.kept < LEAST_KEPT and before.provenance.method.get("name") != "closed form":
        line += "; compute it again with this stack as 'known', to refine it in its new directions"
    return line
