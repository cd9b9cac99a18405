"""Re-separation: increments of any order end as if all had been known together."""

import itertools
from dataclasses import replace

import pytest
import torch

from sepme_core.application import StackBranch
from sepme_core.concepts import Concept, ConceptSet
from sepme_core.config import BasisConfig, EraseConfig, RefineConfig
from sepme_core.erase import erase
from sepme_core.errors import ConceptError, IncompatibleError
from sepme_core.increment import Increment, Stack
from sepme_core.preserve import general_captions, list_digest
from sepme_core.reseparate import concepts_of, reseparate, reseparation_report
from tests.toy import TEMPLATES, ToyDenoiser, toy_increment

DENOISER = ToyDenoiser()
ENCODE, WEIGHTS = DENOISER.encoder, DENOISER.weights
NAMES = ("cat", "dog", "rose", "van gogh", "violin")


CAPTIONS = ("a street in the rain", "two people at a table", "an old map")
GENERAL = list_digest(general_captions())


def add(
    name: str,
    known: list[Increment],
    method: str = "closed form",
    preserve: tuple[str, ...] = (),
) -> Increment:
    """One more concept, which knows those that came before it."""
    concepts = ConceptSet((Concept(name),), TEMPLATES, ("car", "pizza"), ("watermark",), preserve)
    concepts = concepts.also_protecting([i.concept for i in known])
    config = EraseConfig(
        method,
        BasisConfig(),
        refine=RefineConfig(n_strata=3, n_trajectories=2, n_sampling_steps=6, max_steps=12),
    )
    return erase(concepts, concepts.concepts, ENCODE, WEIGHTS, config, denoiser=DENOISER)[
        0
    ].increment


def in_order(names, method="closed form") -> list[Increment]:
    known: list[Increment] = []
    for name in names:
        known.append(add(name, known, method))
    return known


def moved(increment: Increment, prompt: str) -> float:
    """How far a prompt's keys move, the dead zone aside."""
    e = ENCODE.encode(prompt).embeddings
    return float((e @ increment.delta_weight("block.to_k").T).norm())


def test_five_concepts_added_in_all_orders_give_the_same_stack():
    expected = {r.after.concept.name: r.after for r in reseparate(in_order(NAMES), ENCODE, WEIGHTS)}
    for order in itertools.permutations(NAMES):
        for result in reseparate(in_order(order), ENCODE, WEIGHTS):
            increment = result.after
            for module in increment.coef:
                torch.testing.assert_close(
                    increment.delta_weight(module),
                    expected[increment.concept.name].delta_weight(module),
                    rtol=0,
                    atol=1e-6,
                )


@pytest.mark.parametrize("method", ["closed form", "closed form + refine"])
def test_older_increment_touches_the_newer_concept_before_and_not_afterwards(method):
    old, new = in_order(("cat", "dog"), method)
    # A word that shares a direction with the cat, so that the old increment sees it.
    assert moved(old, "dog") > 1e-3
    first, second = (r.after for r in reseparate([old, new], ENCODE, WEIGHTS))
    assert moved(first, "dog") < 1e-4 * moved(first, "cat")
    assert moved(second, "cat") < 1e-4 * moved(second, "dog")
    assert moved(first, "cat") > 0.5 * moved(old, "cat")


def test_trained_increment_keeps_its_effect_and_the_report_says_how_much():
    results = reseparate(in_order(("cat", "dog"), "closed form + refine"), ENCODE, WEIGHTS)
    assert all(0.8 < r.kept <= 1 for r in results)
    assert results[1].kept > 0.99, "the newer one knew the older"
    text = reseparation_report(results)
    assert f"cat: keeps {results[0].kept:.1%} of its effect" in text
    assert "compute it again" not in text
    worse = replace(results[0], kept=0.5)
    assert "compute it again" in reseparation_report([worse])


def test_sixth_concept_changes_nobodys_protected_prompts_by_a_bit():
    five = in_order(NAMES)
    sixth = add("rocket", five)
    branches = [StackBranch(Stack.of(s)) for s in (five, [*five, sixth])]
    for prompt in (*sixth.provenance.protected, *NAMES):
        e = ENCODE.batch(prompt)
        before, after = (b("block.to_k", e) for b in branches)
        assert (before is None and after is None) or torch.equal(before, after), prompt
    e = ENCODE.batch("rocket")
    before, after = (b("block.to_k", e) for b in branches)
    assert before is None or not torch.equal(before, after), "and the rocket itself is moved"


def test_concept_set_is_found_again_from_the_increments_alone():
    found = concepts_of(in_order(("cat", "dog")))
    assert [c.name for c in found.concepts] == ["cat", "dog"]
    assert found.templates == tuple(sorted(TEMPLATES))
    assert found.protected_concepts == ("car", "pizza")
    assert found.protected_prompts == ("watermark",)


def test_separating_twice_changes_nothing_more():
    once = [r.after for r in reseparate(in_order(("cat", "dog")), ENCODE, WEIGHTS)]
    for result in reseparate(once, ENCODE, WEIGHTS):
        assert result.kept == pytest.approx(1, abs=1e-9)


def test_what_cannot_be_separated_is_refused():
    with pytest.raises(ConceptError, match="empty"):
        reseparate([], ENCODE, WEIGHTS)
    cat = add("cat", [])
    with pytest.raises(ConceptError, match="'cat' is given twice"):
        reseparate([cat, cat], ENCODE, WEIGHTS)
    unconstrained = replace(
        toy_increment("dog"),
        basis=torch.zeros(0, 0),
        coef={},
        full={"block.to_k": torch.ones(2, 2)},
    )
    with pytest.raises(IncompatibleError, match="dog is unconstrained"):
        reseparate([cat, unconstrained], ENCODE, WEIGHTS)


def test_a_list_of_ones_own_is_found_again_and_one_that_is_gone_is_said():
    old = [add("cat", [], preserve=CAPTIONS), add("dog", [])]
    found = reseparate(old, ENCODE, WEIGHTS, preserve_lists=[("another",), CAPTIONS])
    assert {r.after.provenance.method["preserve"] for r in found} == {list_digest(CAPTIONS)}
    *lines, used = reseparation_report(found).splitlines()
    assert used.endswith("captions: your own list.")
    assert "preserve list" not in "".join(lines)
    lost = reseparate(old, ENCODE, WEIGHTS)
    assert [r.after.provenance.method["preserve"] for r in lost] == ["", ""]
    cat, dog, used = reseparation_report(lost).splitlines()
    assert "the preserve list it was made with is not in models/sepme/preserve" in cat
    assert "preserve list" not in dog
    assert used.endswith("captions: no list.")
    assert not torch.equal(found[0].after.basis, lost[0].after.basis)


def test_lists_that_came_together_are_found_again_the_next_time():
    lists = [CAPTIONS, ("a boat on a lake", "snow on a roof")]
    old = [add(n, [], preserve=p) for n, p in zip(("cat", "dog"), lists, strict=True)]
    found = reseparate(old, ENCODE, WEIGHTS, preserve_lists=lists)
    assert reseparation_report(found).endswith("captions: 2 lists of your own.")
    once = [r.after for r in found]
    for again in reseparate(once, ENCODE, WEIGHTS, preserve_lists=lists):
        assert not again.without_its_list
        assert torch.equal(again.before.basis, again.after.basis)


def test_report_says_when_the_general_list_stands_in_for_one_that_is_gone():
    old = [add("cat", [], preserve=CAPTIONS), add("dog", [])]
    made = replace(old[1].provenance, method=old[1].provenance.method | {"preserve": GENERAL})
    found = reseparate([old[0], replace(old[1], provenance=made)], ENCODE, WEIGHTS)
    assert [r.without_its_list for r in found] == [True, False]
    assert reseparation_report(found).endswith("captions: the general list.")
