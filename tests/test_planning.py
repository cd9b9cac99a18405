"""Plans: directions, capacity and dead zones of all concepts from one factorisation."""

from dataclasses import replace

import pytest
import torch

from sepme_core.concepts import Concept, ConceptSet
from sepme_core.config import BasisConfig
from sepme_core.directions import separate
from sepme_core.embeddings import peak_components, relative_component
from sepme_core.errors import NotSeparableError
from sepme_core.planning import make_plans
from sepme_core.preserve import second_moment
from tests.toy import TEMPLATES, ToyEncoder, toy_concepts

CONCEPTS = toy_concepts()
CONFIG = BasisConfig()


def plans(concepts=CONCEPTS, config=CONFIG, encoder=None, chosen=None, **options):
    return make_plans(
        concepts,
        chosen or concepts.concepts,
        encoder or ToyEncoder(),
        config,
        torch.float32,
        **options,
    )


def test_bases_are_blind_to_each_others_own_directions():
    separated = separate(CONCEPTS, ToyEncoder(), CONFIG)
    found = {p.concept.name: p for p in plans()}
    for name, plan in found.items():
        for other in separated.bases.names:
            seen = (separated.bases.own(other) @ plan.basis.T).abs().max()
            assert seen > 0.1 if other == name else seen < 1e-9


def test_peaks_of_many_prompts_are_those_of_each():
    encoder, bases = ToyEncoder(0.3), [p.basis for p in plans()]
    texts = [f"a {a} {b}" for a in ("cat", "dog", "rose") for b in range(30)]
    found = peak_components(encoder(texts), bases)
    assert found.shape == (90, 3)
    for row, prompt in list(zip(found, encoder(texts), strict=True))[::7]:
        for value, basis in zip(row, bases, strict=True):
            exact = float(relative_component(prompt.embeddings, basis).max())
            assert float(value) == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize("protection", ["truncated", "reduced"])
def test_dead_zone_lies_where_all_prompts_say_whatever_else_is_chosen(protection):
    config = BasisConfig(protection)
    for plan in plans(config=config, encoder=ToyEncoder(0.0)):
        (alone,) = plans(config=config, encoder=ToyEncoder(0.0), chosen=[plan.concept])
        assert alone.dead_zone == plan.dead_zone
        reach = [float(relative_component(p.embeddings, plan.basis).max()) for p in plan.protected]
        assert plan.dead_zone.largest_protected == pytest.approx(max(reach), abs=2e-6)


def test_capacity_says_what_is_used_and_the_bound_holds_for_every_protected_token():
    encoder = ToyEncoder(0.2)
    for plan in plans(encoder=encoder):
        found, room = plan.directions, plan.directions.capacity
        assert room.used + room.left == room.width == 64
        assert 0 < found.surviving <= 1 and 0 < found.energy_kept <= 1
        assert len(plan.basis) <= CONFIG.max_basis
    looser = plans(encoder=encoder, config=replace(CONFIG, tolerance=0.4))[0].directions.capacity
    tighter = plans(encoder=encoder, config=replace(CONFIG, tolerance=0.05))[0].directions.capacity
    assert looser.used < tighter.used
    assert looser.truncated > tighter.truncated


def test_kept_energy_reaches_what_was_asked_with_as_few_directions_as_possible():
    def kept(**changed):
        (plan,) = plans(config=replace(CONFIG, **changed), chosen=[CONCEPTS["cat"]])
        return plan.directions

    for n_basis in range(1, CONFIG.max_basis + 1):
        reached = kept(energy=1.0, max_basis=n_basis).energy_kept
        assert len(kept(energy=reached - 1e-9).basis) == n_basis
    assert reached - 1e-9 > kept(energy=1.0, max_basis=1).energy_kept


def test_more_protected_names_leave_less_of_a_concept():
    few = ConceptSet((Concept("cat"),), TEMPLATES, ("car",))
    many = replace(few, protected_concepts=tuple(f"thing{i}" for i in range(12)))
    (first,), (second,) = plans(few), plans(many)
    assert second.directions.capacity.used > first.directions.capacity.used
    assert second.directions.surviving < first.directions.surviving


def test_most_alike_concept_is_named():
    concepts = ConceptSet((Concept("red cat"), Concept("rose")), TEMPLATES, ("red dog", "pizza"))
    found = {p.concept.name: p.directions.neighbour for p in plans(concepts)}
    assert found["red cat"][0] == "red dog"
    assert found["red cat"][1] > found["rose"][1]


def test_two_concepts_that_mean_the_same_are_refused_with_both_named_and_what_to_do():
    class Synonyms(ToyEncoder):
        def encode(self, prompt):
            return replace(super().encode(prompt.replace("kitty", "cat")), text=prompt)

    concepts = ConceptSet((Concept("cat"), Concept("kitty"), Concept("rose")), TEMPLATES)
    with pytest.raises(NotSeparableError, match=r"'cat' cannot be erased: .*synonym.*'.*kitty.*'"):
        plans(concepts, encoder=Synonyms())
    joined = ConceptSet((Concept("cat", ("kitty",)), Concept("rose")), TEMPLATES)
    assert len(plans(joined, encoder=Synonyms())) == 2
    (rose,) = plans(concepts, encoder=Synonyms(), chosen=[concepts["rose"]])
    assert rose.dead_zone.margin > 0.3, "two twins among the protected disturb nobody else"


def test_word_shared_by_two_names_is_refused_or_told_apart_by_what_is_left():
    concepts = ConceptSet((Concept("apple pie"), Concept("rose")), TEMPLATES, ("apple",))
    plan = next(p for p in plans(concepts) if p.concept.name == "apple pie")
    assert plan.directions.neighbour[0] == "apple"
    assert plan.dead_zone.margin > 0.1, "the pie is left"
    whole = replace(concepts, concepts=(Concept("apple"),), protected_concepts=("apple pie", "pie"))
    with pytest.raises(NotSeparableError, match="'apple' cannot be erased.*'.*apple pie.*'"):
        plans(whole)


def test_preserve_list_lowers_what_ordinary_captions_reach_and_raises_the_dead_zone():
    captions = tuple(f"a {a} {b} on the {c}" for a in "rstu" for b in "vwxy" for c in "klmn")
    encoder = ToyEncoder(0.3)
    listed = replace(CONCEPTS, preserve=(*captions, "a cat on the mat"))
    (plain,), (soft,) = (
        plans(c, encoder=encoder, chosen=[CONCEPTS["cat"]]) for c in (CONCEPTS, listed)
    )

    def reach(plan):
        return float(peak_components(encoder(captions), [plan.basis]).square().mean())

    assert reach(soft) < reach(plain)
    assert soft.dead_zone.threshold >= plain.dead_zone.largest_protected
    (off,) = plans(listed, replace(CONFIG, soft=0.0), encoder, [CONCEPTS["cat"]])
    assert torch.equal(off.basis, plain.basis)


def test_host_may_keep_the_moments_of_captions():
    asked = []

    def moment_of(captions):
        asked.append(tuple(captions))
        return second_moment(captions, ToyEncoder())

    listed = replace(CONCEPTS, preserve=("a red lamp", "the blue boat"))
    plans(listed, moment_of=moment_of)
    assert asked == [listed.preserve]
    plans(listed, BasisConfig("reduced"), moment_of=moment_of)
    assert len(asked) == 1, "exact protection knows no preserve list"
