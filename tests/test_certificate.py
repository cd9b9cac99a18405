"""The certificate: every pair measured, on given and on held-out prompts, and what it tells."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest
import torch

from sepme_core.application import token_mask
from sepme_core.certificate import HELD_OUT_TEMPLATES, Certificate, certify, strangers
from sepme_core.certificate_report import certificate_report
from sepme_core.concepts import DEFAULT_TEMPLATES, SLOT, Concept, ConceptSet, fill
from sepme_core.config import EraseConfig
from sepme_core.denoiser import Progress
from sepme_core.embeddings import relative_component
from sepme_core.erase import erase
from sepme_core.errors import ConceptError, IncompatibleError
from sepme_core.increment import Increment, Stack
from sepme_core.reseparate import reseparate
from tests.toy import D_TEXT, TEMPLATES, ToyDenoiser, ToyEncoder

ENCODER, WEIGHTS = ToyEncoder(), ToyDenoiser().weights
HELD_OUT = ("my {} today", "look at {}")
EPS = torch.finfo(torch.float32).eps


@cache
def computed(*names: str, kept: str = "car") -> list[Increment]:
    """The named concepts computed together, knowing each other and `kept`."""
    concepts = ConceptSet(
        tuple(Concept(n) for n in names), templates=TEMPLATES, protected_concepts=(kept,)
    )
    made = erase(concepts, concepts.concepts, ENCODER, WEIGHTS, EraseConfig())
    return [e.increment for e in made]


def strangers_by_look() -> list[Increment]:
    """Computed apart, and sharing a word: each moves the other."""
    return [*computed("cat"), *computed("cat pie")]


@cache
def loose(name: str = "gore") -> Increment:
    full = {k: 0.1 * torch.ones_like(w) for k, w in WEIGHTS.items()}
    return Increment(Concept(name), torch.zeros(0, 0), {}, full)


def certified(increments: Sequence[Increment], **options: object) -> Certificate:
    return certify(increments, ENCODER, WEIGHTS, held_out=HELD_OUT, **options)


def by_hand(increment: Increment, prompts: Sequence[str], *, exact: bool) -> float:
    """max ‖ΔW e‖ / ‖W e‖ with ΔW multiplied out, token for token."""
    worst = 0.0
    for prompt in prompts:
        e = ENCODER.encode(prompt).embeddings
        component = (e @ increment.basis.T).norm(dim=-1)
        mask = token_mask(component, e.norm(dim=-1), increment, torch.float32)
        for module, w in WEIGHTS.items():
            moved = (e.double() @ increment.delta_weight(module).double().T).norm(dim=-1)
            ratio = moved / (e.double() @ w.double().T).norm(dim=-1)
            worst = max(worst, float((ratio * mask if exact else ratio).max()))
    return worst


@pytest.mark.parametrize(
    "increments", [computed("cat", "dog", "rose"), strangers_by_look()], ids=["known", "strangers"]
)
def test_matrices_are_what_the_weight_changes_give_token_for_token(increments):
    found = certified(increments)
    for j, eraser in enumerate(increments):
        for i, seen in enumerate(increments):
            name = seen.concept.name
            for matrix, templates in (
                (found.constraint, (SLOT, *TEMPLATES)),
                (found.held_out, HELD_OUT),
            ):
                prompts = [fill(t, name) for t in templates]
                linear = by_hand(eraser, prompts, exact=False)
                assert float(matrix.linear[j, i]) == pytest.approx(linear, rel=1e-3, abs=EPS)
                exact = by_hand(eraser, prompts, exact=True)
                assert float(matrix.exact[j, i]) == pytest.approx(exact, rel=1e-3)


def test_what_was_computed_together_moves_itself_and_nothing_that_was_given():
    found = certified(computed("cat", "dog", "rose"))
    assert found.leaking == ()
    own = torch.eye(3, dtype=torch.bool)
    assert bool((found.constraint.exact[own] > 0.5).all())
    assert bool((found.constraint.exact[~own] == 0).all())
    assert bool((found.constraint.linear[~own] < D_TEXT * EPS * 10).all())
    assert all(leak.exact == 0 for leak in found.constraint.protected)
    assert all(share == 1 for share in found.held_out.reached)


def test_strangers_leak_until_they_are_separated():
    before = certified(strangers_by_look())
    assert {(p.eraser, p.seen) for p in before.leaking} == {("cat", "cat pie"), ("cat pie", "cat")}
    leaks = [p.leak for p in before.leaking]
    assert leaks == sorted(leaks, reverse=True)
    text = str(before.leaking[0])
    assert "which it was computed without" in text
    assert "SepME Separate" in text
    assert len(strangers(Stack.of(strangers_by_look()))) == 2
    again = [r.after for r in reseparate(strangers_by_look(), ENCODER, WEIGHTS)]
    assert certified(again).leaking == ()
    assert strangers(Stack.of(again)) == ()


def test_pair_that_leaks_although_it_is_protected_is_told_so():
    cat, dog = computed("cat", "dog")
    low = replace(cat.dead_zone, threshold=0.0, largest_protected=0.0)
    told = replace(dog, provenance=replace(dog.provenance, templates=("{} of cat",)))
    (pair,) = certified([replace(cat, dead_zone=low), told]).leaking
    assert (pair.eraser, pair.seen, pair.known) == ("cat", "dog", True)
    assert "although it protects it" in str(pair)


def test_margins_lie_between_own_and_foreign_prompts():
    increments = computed("cat", "dog")
    found, cat = certified(increments), increments[0]

    def peak(prompt: str) -> float:
        return float(relative_component(ENCODER.encode(prompt).embeddings, cat.basis).max())

    given, new = found.constraint.margins[0], found.held_out.margins[0]
    own = [fill(t, "cat") for t in (SLOT, *TEMPLATES)]
    assert given.own == pytest.approx(min(map(peak, own)), rel=1e-4)
    assert given.foreign == pytest.approx(max(map(peak, cat.provenance.protected)), abs=1e-5)
    assert given.threshold == cat.dead_zone.threshold
    foreign = [fill(t, name) for t in HELD_OUT for name in ("", "dog", "car")]
    assert new.own == pytest.approx(min(peak(fill(t, "cat")) for t in HELD_OUT), rel=1e-4)
    assert new.foreign == pytest.approx(max(map(peak, foreign)), rel=1e-4)
    assert new.foreign == pytest.approx(peak(new.nearest), rel=1e-4)
    assert new.width == new.own - new.foreign


def test_share_of_held_out_prompts_that_are_erased_falls_with_the_dead_zone():
    (cat,) = computed("cat")
    high = replace(cat, dead_zone=replace(cat.dead_zone, threshold=0.999))
    assert certified([cat]).held_out.reached == (1.0,)
    assert certified([high]).held_out.reached == (0.0,)


def test_capacity_counts_shared_directions_once():
    cat, dog = computed("cat", "dog")
    both = certified([cat, dog])
    assert both.d_text == D_TEXT
    assert both.rank == cat.n_basis + dog.n_basis
    assert certified([cat, replace(cat, concept=Concept("dog"))]).rank == cat.n_basis
    full = [replace(cat, basis=torch.eye(D_TEXT)[k::2], coef=zeros(D_TEXT // 2)) for k in (0, 1)]
    assert certified(full).rank == D_TEXT


def zeros(n_basis: int) -> dict[str, torch.Tensor]:
    return {k: torch.zeros(len(w), n_basis) for k, w in WEIGHTS.items()}


def test_held_out_sentences_that_somebody_was_given_are_left_out():
    found = certify(computed("cat"), ENCODER, WEIGHTS, held_out=(*HELD_OUT, TEMPLATES[0].upper()))
    assert found.templates == HELD_OUT
    for useless in ((), TEMPLATES, (SLOT,)):
        with pytest.raises(ConceptError, match="No held-out sentence is new"):
            certify(computed("cat"), ENCODER, WEIGHTS, held_out=useless)
    with pytest.raises(ConceptError, match="0 places for the name"):
        certify(computed("cat"), ENCODER, WEIGHTS, held_out=("no slot",))


def test_default_held_out_sentences_are_no_default_templates():
    assert not set(HELD_OUT_TEMPLATES) & set(DEFAULT_TEMPLATES)


def test_every_prompt_is_encoded_once_and_progress_ends_at_all_of_them():
    encoder, seen = ToyEncoder(), []
    asked: list[str] = []

    def encode(prompts):
        asked.extend(prompts)
        return encoder(prompts)

    certify(computed("cat", "dog"), encode, WEIGHTS, on_step=seen.append)
    assert len(asked) == len(set(asked)) == seen[-1].step == seen[-1].max_steps
    assert seen[-1].unit == "prompts"


def test_cancelling_ends_it():
    def cancel(_: Progress) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        certified(computed("cat"), on_step=cancel)


def test_one_concept_alone_is_certified_against_what_it_protects():
    found = certified(computed("cat"))
    assert found.leaking == ()
    assert found.constraint.margins[0].width > 0.3
    assert found.held_out.protected[0].prompt
    assert "'cat' on 'cat'" not in certificate_report(found)


def test_same_concept_twice_is_no_leak():
    cat, again = *computed("cat"), *computed("cat", kept="pizza")
    found = certified([cat, again])
    assert float(found.constraint.exact[0, 1]) > 0.5
    assert found.leaking == ()
    assert found.constraint.margins[0].width > 0.3


def test_unconstrained_increment_is_marked_and_measured_but_not_blamed():
    found = certified([*computed("cat"), loose()])
    assert found.separable == (True, False)
    assert float(found.constraint.linear[1, 0]) == pytest.approx(
        certified([loose(), *computed("cat")]).constraint.exact[0, 1].item(), rel=1e-4
    )
    assert float(found.constraint.exact[1, 0]) > 0
    assert all(p.eraser != "gore" for p in found.leaking)
    assert "NOT SEPARABLE: 'gore'" in certificate_report(found)
    assert "NOT SEPARABLE" not in certificate_report(certified(computed("cat")))
    assert certified([loose()]).rank == 0


def test_what_does_not_fit_is_refused_before_a_prompt_is_encoded():
    def encode(_):
        raise AssertionError("nothing may be encoded")

    with pytest.raises(ConceptError, match="empty"):
        certify([], encode, WEIGHTS)
    with pytest.raises(IncompatibleError, match="'cat' changes block.to_v .* missing"):
        certify(computed("cat"), encode, {"block.to_k": WEIGHTS["block.to_k"]})
    narrow = {k: w[:, 1:] for k, w in WEIGHTS.items()}
    with pytest.raises(IncompatibleError, match=r"\[24, 64\].*\[24, 63\]"):
        certify(computed("cat"), encode, narrow)


def test_report_says_what_leaks_the_margins_the_matrices_and_the_capacity():
    found = certified(strangers_by_look())
    text = certificate_report(found)
    assert text.startswith("Certificate of cat, cat pie")
    assert text.count("- LEAKING: ") == 2
    assert "not by a bit" not in text
    margin = found.constraint.margins[1]
    assert f"({margin.nearest!r}); margin {margin.width:.3g}" in text
    assert f"{found.rank} of {D_TEXT} directions" in text
    assert "my {} today; look at {}" in text
    (row,) = [line for line in text.splitlines() if line.startswith("| cat pie ")][2:3]
    assert row.split(" | ")[1] == f"{float(found.held_out.exact[1, 0]):.2g}"


def test_report_of_many_concepts_names_the_worst_instead_of_all():
    (cat,) = computed("cat")
    many = [replace(cat, concept=Concept(f"cat {n}")) for n in range(14)]
    text = certificate_report(certified(many))
    assert "rows erase" not in text
    assert text.count("- LEAKING: ") == 21
    assert f"{14 * 13 - 20} more pairs" in text
    assert "rows erase" in certificate_report(certified(many[:12]))


def test_nearest_prompt_is_named_even_when_it_is_the_empty_one():
    found = certified(computed("cat"))
    margin = replace(found.constraint.margins[0], foreign=0.2, nearest="")
    matrix = replace(found.constraint, margins=(margin,))
    assert "others 0.2 or less ('')" in certificate_report(replace(found, constraint=matrix))


def test_quiet_certificate_says_that_nothing_moves():
    text = certificate_report(certified(computed("cat", "dog")))
    assert "not by a bit" in text
    assert "LEAKING" not in text
