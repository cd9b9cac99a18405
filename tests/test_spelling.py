"""Names are found as whole words, in the singular and in the plural."""

import pytest

from sepme_core.spelling import NameFinder

FINDER = NameFinder(["cat", "Van Gogh", "baby", "glasses"])


@pytest.mark.parametrize(
    "text",
    ["a Cat", "cats, rain", "by van gogh.", "Van Goghs everywhere", "two babies", "a glass", "cat"],
)
def test_name_is_found_whatever_its_capitals_and_number(text):
    assert FINDER.finds_one_in(text)


@pytest.mark.parametrize("text", ["", "a catalogue", "van with gogh", "Vincent", "bobcat", "class"])
def test_part_of_a_word_or_of_a_name_is_none(text):
    assert not FINDER.finds_one_in(text)


def test_no_name_is_found_nowhere():
    assert not NameFinder([]).finds_one_in("cat")
    assert not NameFinder(["!?"]).finds_one_in("cat !?")
