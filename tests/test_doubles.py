"""Increments that act twice on one concept, told with names and times."""

from dataclasses import replace

from sepme_core.concepts import Concept
from sepme_core.doubles import Acting, acting, doubles, doubles_report
from sepme_core.increment import Increment, Stack, StackEntry
from tests.toy import toy_increment


def erasing(*names: str) -> Increment:
    name, *synonyms = names
    return replace(toy_increment(), concept=Concept(name, tuple(synonyms)))


def test_different_concepts_do_not_act_twice():
    assert doubles([Acting(erasing("cat")), Acting(erasing("dog"))]) == ()
    assert doubles_report(()) == ""


def test_one_concept_in_two_increments_acts_twice_and_is_named():
    text = doubles_report(doubles([Acting(erasing("cat")), Acting(erasing("Cat"))]))
    assert "acts twice" in text
    assert "Switch one of them off" in text


def test_a_synonym_that_two_increments_hold_is_named_with_both():
    pair = doubles([Acting(erasing("cat", "kitty")), Acting(erasing("kitten", "Kitty"))])
    assert "'cat' and 'kitten' act twice (both hold 'Kitty')" in doubles_report(pair)


def test_the_same_increment_in_two_ways_is_told_with_them():
    cat = erasing("cat")
    pair = doubles([Acting(cat, how="exact"), Acting(cat, how="merged")])
    assert "'cat' acts twice, exact and merged." in doubles_report(pair)


def test_parts_of_the_sampling_that_overlap_are_told_and_those_that_take_turns_are_not():
    cat = erasing("cat")
    pair = doubles([Acting(cat, 0.0, 0.6), Acting(cat, 0.5, 1.0)])
    assert "from 0.5 to 0.6 of the sampling" in doubles_report(pair)
    assert doubles([Acting(cat, 0.0, 0.5), Acting(cat, 0.5, 1.0)]) == ()


def test_what_is_off_or_without_strength_does_not_act():
    entries = (
        StackEntry(erasing("cat")),
        StackEntry(erasing("kitten", "cat"), enabled=False),
        StackEntry(erasing("kitty", "cat"), strength=0.0),
        StackEntry(erasing("dog"), start=0.2, end=0.8),
    )
    found = acting(Stack(entries))
    assert {(a.increment.concept.name, a.start, a.end) for a in found} == {
        ("cat", 0.0, 1.0),
        ("dog", 0.2, 0.8),
    }
    assert doubles(found) == ()


def test_many_pairs_are_told_shortly():
    text = doubles_report(doubles([Acting(erasing("cat"))] * 5))
    assert "and 5 more" in text
    assert text.count("acts twice") == 5
