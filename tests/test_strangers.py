"""Which increments know nothing of each other, told from what they store."""

from dataclasses import replace

import pytest
import torch

from sepme_core.concepts import Concept
from sepme_core.increment import Increment, Provenance, Stack
from sepme_core.strangers import same_concept, strangers, strangers_report, unknown
from tests.toy import toy_increment


def knowing(name: str, *protected: str, synonyms: tuple[str, ...] = ()) -> Increment:
    made = Provenance(protected=("", *protected))
    return replace(toy_increment(), concept=Concept(name, synonyms), provenance=made)


def test_increments_computed_together_are_no_strangers():
    stack = Stack.of([knowing("cat", "Dog", "a photo of a dog"), knowing("dog", " CAT ")])
    assert strangers(stack) == ()
    assert strangers_report(stack) == ""


def test_pair_is_named_with_who_does_not_know_whom():
    stack = Stack.of([knowing("cat"), knowing("dog", "cat")])
    assert strangers(stack) == (("cat", "dog"),)
    text = strangers_report(stack)
    assert "'cat' was computed without 'dog'" in text
    assert "'dog' was computed" not in text
    assert "SepME Separate" in text
    assert "SepME Certificate" in text


def test_sentence_with_the_name_does_not_protect_the_name():
    stack = Stack.of([knowing("cat", "a photo of a dog"), knowing("dog", "cat")])
    assert strangers(stack) == (("cat", "dog"),)


def test_every_synonym_must_be_known():
    dog = knowing("dog", "cat", synonyms=("puppy",))
    assert strangers(Stack.of([knowing("cat", "dog"), dog])) == (("cat", "dog"),)
    assert strangers(Stack.of([knowing("cat", "dog", "puppy"), dog])) == ()


def test_same_concept_is_no_stranger_to_itself():
    twice = [knowing("cat"), knowing("Kitten", synonyms=("Cat",))]
    assert strangers(Stack.of(twice)) == ()
    assert bool(same_concept(twice).all())
    assert not bool(same_concept([knowing("cat"), knowing("dog")])[0, 1])


def test_unconstrained_increment_needs_no_advice_but_is_protected_by_others():
    full = {"block.to_k": torch.ones(5, 8)}
    loose = Increment(Concept("gore"), torch.zeros(0, 0), {}, full)
    assert strangers(Stack.of([loose, knowing("cat", "gore")])) == ()
    assert strangers(Stack.of([loose, knowing("cat")])) == (("cat", "gore"),)


def test_only_the_first_pairs_of_many_are_named():
    many = Stack.of(knowing(f"c{n}") for n in range(4))
    assert len(strangers(many)) == 12
    assert "and 7 more" in strangers_report(many)
    assert strangers_report(many).count("was computed without") == 5


@pytest.mark.parametrize("n", [0, 1])
def test_nobody_is_a_stranger_alone(n):
    alone = [knowing("cat")] * n
    assert strangers(Stack.of(alone)) == ()
    assert unknown(alone).shape == (n, n)
