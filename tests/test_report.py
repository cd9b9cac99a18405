"""The report says what was computed, and warns where it must."""

from dataclasses import replace

import pytest

from sepme_core.concepts import quoted
from sepme_core.config import BasisConfig, EraseConfig, PaperConfig, RefineConfig
from sepme_core.erase import Erasure, erase
from sepme_core.report import NARROW_MARGIN, report
from tests.toy import ToyDenoiser, toy_concepts

CONCEPTS = toy_concepts()


def made(method: str = "closed form", name: str = "cat", **basis: object) -> Erasure:
    denoiser = ToyDenoiser()
    config = EraseConfig(
        method,
        BasisConfig(**basis),
        PaperConfig(max_steps=2, n_images=1, n_sampling_steps=2),
        RefineConfig(max_steps=2, n_strata=3, n_trajectories=1, n_sampling_steps=3),
    )
    chosen = [CONCEPTS[name]]
    return erase(CONCEPTS, chosen, denoiser.encoder, denoiser.weights, config, denoiser=denoiser)[0]


def test_report_names_concept_method_anchor_ranks_margin_leak_and_cost():
    erasure = made(name="van gogh")
    text, plan = report([erasure]), erasure.plan
    assert plan is not None
    assert text.startswith("van gogh: closed form, falls back to 'painting'")
    used, free = plan.directions.capacity.used, 64 - plan.directions.capacity.used
    assert f"protects {len(plan.protected)} prompts: {used} of 64 directions used" in text
    assert f"{free} left" in text
    assert f"acts in {len(plan.basis)} directions" in text
    assert f"margin {plan.dead_zone.margin:.3g}" in text
    assert quoted(plan.dead_zone.nearest) in text
    assert f"most alike is {plan.directions.neighbour[0]!r}" in text
    assert "leak on protected prompts: 0 exact" in text
    assert "0 denoiser evaluations" in text


def test_lonely_concept_is_alike_to_nothing_and_the_empty_prompt_is_said_in_words():
    erasure = made()
    plan = erasure.plan
    assert plan is not None
    zone = replace(plan.dead_zone, nearest="")
    alone = replace(plan.directions, neighbour=("", 0.0))
    text = report([replace(erasure, plan=replace(plan, directions=alone, dead_zone=zone))])
    assert "most alike" not in text
    assert "(the empty prompt)" in text


def test_missing_anchor_is_said():
    assert "falls back to nothing" in report([made()])


def test_every_concept_has_a_block_of_its_own():
    blocks = report([made(), made(name="rose")]).split("\n\n")
    assert [b.split(":")[0] for b in blocks] == ["cat", "rose"]
    assert report([]) == ""


def test_training_is_reported_with_its_end_and_what_is_left():
    erasure = made("refine")
    text = report([erasure])
    assert "2 steps, step limit reached first" in text
    assert " ".join(f"{r:+.2f}" for r in erasure.rho) in text
    assert "stopping rule met" in report([replace(erasure, converged=True)])
    assert "steps" not in report([made()]), "the closed form takes none"


def test_unconstrained_increment_is_called_not_separable():
    assert "NOT SEPARABLE" in report([made("unconstrained")])
    assert "NOT SEPARABLE" not in report([made()])


@pytest.mark.parametrize(("margin", "warned"), [(NARROW_MARGIN / 2, True), (0.5, False)])
def test_narrow_margin_is_called_so_with_the_prompt_in_the_way(margin, warned):
    erasure = made()
    plan = erasure.plan
    assert plan is not None
    zone = replace(
        plan.dead_zone, largest_protected=0.4, smallest_concept=0.4 + margin, nearest="tiger"
    )
    text = report([replace(erasure, plan=replace(plan, dead_zone=replace(zone, threshold=0.45)))])
    assert ("NARROW MARGIN: 'tiger' is in the way" in text) == warned


def test_dead_zone_set_too_low_is_called_so_and_one_in_between_is_not():
    largest = made().plan.dead_zone.largest_protected
    low, good = made(dead_zone=largest / 2), made(dead_zone=largest * 2)
    assert "DEAD ZONE TOO LOW" in report([low])
    assert low.leak.exact > 0, "and it is too low"
    assert "DEAD ZONE TOO LOW" not in report([good])
    assert good.leak.exact == 0
