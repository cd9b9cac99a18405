"""The dead zone lies between the protected rows and the concept's own."""

import math

import pytest

from sepme_core.dead_zone import HIGHEST, POSITION, DeadZone, choose_dead_zone
from sepme_core.errors import NonFiniteError, NotSeparableError

CONCEPT = {"cat": 0.9, "a cat": 0.7}
PROTECTED = {"": 0.0, "tiger": 0.3, "car": 0.2}
ATOL = 1e-12


def test_threshold_lies_between_protected_and_concept_and_knows_both():
    zone = choose_dead_zone(CONCEPT, PROTECTED)
    assert zone.largest_protected == pytest.approx(0.3, abs=ATOL)
    assert zone.smallest_concept == pytest.approx(0.7, abs=ATOL)
    assert zone.nearest == "tiger"
    assert zone.margin == pytest.approx(0.4, abs=2 * ATOL)
    assert zone.threshold == pytest.approx(0.3 + POSITION * 0.4, abs=2 * ATOL)
    assert zone.largest_protected < zone.threshold < zone.smallest_concept


def test_users_own_threshold_is_taken_as_it_is():
    assert choose_dead_zone(CONCEPT, PROTECTED, threshold=0.123).threshold == 0.123


def test_without_protected_prompts_everything_below_the_concept_is_free():
    zone = choose_dead_zone(CONCEPT, {})
    assert (zone.largest_protected, zone.nearest) == (0.0, "")


def test_protected_prompt_that_reaches_as_far_as_the_concept_is_named():
    with pytest.raises(NotSeparableError, match=r"'lion'.*0\.800.*'a cat'.*0\.700"):
        choose_dead_zone(CONCEPT, PROTECTED | {"lion": 0.8})
    assert choose_dead_zone(CONCEPT, PROTECTED | {"lion": 0.6}).nearest == "lion"


def test_concept_no_larger_than_rounding_is_refused_with_the_size_of_both():
    with pytest.raises(NotSeparableError, match=r"'a cat' reaches only 0\.7 .*\(0\.75\)"):
        choose_dead_zone(CONCEPT, PROTECTED, floor=0.75)
    assert choose_dead_zone(CONCEPT, PROTECTED, floor=0.65)


@pytest.mark.parametrize("number", [math.nan, math.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_number_that_is_not_finite_is_refused(number, place):
    numbers = [0.2, 0.1, 0.5]
    assert DeadZone(*numbers).margin == pytest.approx(0.4)
    numbers[place] = number
    with pytest.raises(NonFiniteError, match="dead zone"):
        DeadZone(*numbers)


def test_ordinary_prompts_push_the_threshold_up_but_not_onto_the_concept():
    plain = choose_dead_zone(CONCEPT, PROTECTED).threshold
    assert choose_dead_zone(CONCEPT, PROTECTED, ordinary=plain / 2).threshold == plain
    assert choose_dead_zone(CONCEPT, PROTECTED, ordinary=plain + 0.05).threshold == plain + 0.05
    assert choose_dead_zone(CONCEPT, PROTECTED, ordinary=0.95).threshold == pytest.approx(
        0.3 + HIGHEST * 0.4
    )


def test_users_own_threshold_accepts_a_leak_that_is_otherwise_refused():
    protected = PROTECTED | {"lion": 0.8}
    with pytest.raises(NotSeparableError):
        choose_dead_zone(CONCEPT, protected)
    assert choose_dead_zone(CONCEPT, protected, threshold=0.5).nearest == "lion"
