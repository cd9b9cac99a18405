"""The nearest protected concept as an anchor."""

from dataclasses import replace

import pytest
import torch

from sepme_core.anchors import with_anchors
from sepme_core.concepts import NEAREST, Concept, ConceptSet
from sepme_core.embeddings import EncodedPrompt
from sepme_core.errors import ConceptError

PLACES = {"cat": (1.0, 0.9), "kitten": (1.0, 1.0), "car": (-1.0, 0.2), "lorry": (-0.9, 0.3)}


def encode(prompts):
    marks = torch.tensor([1.0, 0.0, 0.0])
    return [
        EncodedPrompt(p, torch.stack([marks, torch.tensor([1.0, *PLACES[p]]), marks]), 3)
        for p in prompts
    ]


def nearest_of(concepts: ConceptSet, *names: str) -> dict[str, str]:
    _, chosen = with_anchors(concepts, [concepts[n] for n in names], encode)
    return {c.name: c.anchor for c in chosen}


CONCEPTS = ConceptSet(
    (Concept("cat", anchor=NEAREST), Concept("lorry", anchor=NEAREST)), (), ("kitten", "car")
)


def test_each_concept_gets_the_protected_one_most_like_it():
    assert nearest_of(CONCEPTS, "cat", "lorry") == {"cat": "kitten", "lorry": "car"}


def test_concept_that_stays_may_serve_and_one_that_goes_may_not():
    alone = ConceptSet((Concept("cat", anchor=NEAREST), Concept("kitten")), (), ("car",))
    assert nearest_of(alone, "cat") == {"cat": "kitten"}
    assert nearest_of(alone, "cat", "kitten") == {"cat": "car", "kitten": ""}


def test_what_is_erased_beside_may_not_serve_either_by_any_of_its_names():
    kitten, car = Concept("kitty", ("kitten",)), Concept("car")
    known = ConceptSet((Concept("cat", anchor=NEAREST), car), (), ("kitten",))

    def anchor(*beside: Concept) -> str:
        return with_anchors(known, [known["cat"]], encode, beside)[1][0].anchor

    assert anchor() == anchor(car) == "kitten"
    assert anchor(kitten) == "car"
    with pytest.raises(ConceptError, match="needs a concept that stays"):
        anchor(kitten, car)


def test_set_and_choice_agree_afterwards_each_in_its_own_order():
    concepts, chosen = with_anchors(CONCEPTS, CONCEPTS.concepts, encode)
    assert list(concepts.concepts) == chosen
    _, turned = with_anchors(CONCEPTS, CONCEPTS.concepts[::-1], encode)
    assert turned == chosen[::-1]


def test_named_anchor_stays_and_needs_no_encoder():
    named = replace(CONCEPTS, concepts=(Concept("cat", anchor="car"),))
    concepts, chosen = with_anchors(named, named.concepts, None)
    assert concepts is named and chosen == list(named.concepts)


def test_nothing_that_stays_is_refused_with_what_to_do():
    lonely = ConceptSet((Concept("cat", anchor=NEAREST),), ())
    with pytest.raises(ConceptError, match="needs a concept that stays"):
        with_anchors(lonely, lonely.concepts, encode)


@pytest.mark.parametrize("anchor", ["dog", "a Hound", "two dogs"])
def test_an_anchor_that_is_erased_as_well_is_refused_and_one_that_stays_is_not(anchor):
    cat, dog = Concept("cat", anchor=anchor), Concept("dog", ("hound",))
    known = ConceptSet((cat, dog))
    assert with_anchors(known, [cat], None)[1] == [cat]
    with pytest.raises(ConceptError, match=r"'cat' falls back to .* 'dog' is erased, too"):
        with_anchors(known, known.concepts, None)
