"""What people type is what they mean, in Python as in the page; see `spelling_cases.json`."""

import json
import re
from pathlib import Path

import pytest

from sepme_core.concepts import Concept, ConceptSet, name_key, named_in
from sepme_core.errors import ConceptError
from sepme_core.preserve import without_names
from sepme_core.spelling import NameFinder, spellings
from sepme_core.text_fields import parse_concepts, parse_protected

CASES = json.loads(Path(__file__).with_name("spelling_cases.json").read_text(encoding="utf-8"))
FINDER = NameFinder(["cat", "Van Gogh", "baby", "glasses"])


@pytest.mark.parametrize(("one", "other"), CASES["same"])
def test_spellings_of_one_name_are_that_name(one, other):
    assert name_key(one) == name_key(other)
    assert name_key(name_key(other)) == name_key(other)


@pytest.mark.parametrize(("one", "other"), CASES["different"])
def test_other_names_are_others(one, other):
    assert name_key(one) != name_key(other)


@pytest.mark.parametrize("case", CASES["concepts"], ids=lambda case: case["text"])
def test_concepts_are_understood_or_refused_with_what_to_write(case):
    if "problem" in case:
        with pytest.raises(ConceptError, match=case["problem"]) as refused:
            ConceptSet(parse_concepts(case["text"]))
        assert re.search("Write|Expected|Give", str(refused.value))
    else:
        expected = tuple(Concept(n, tuple(synonyms), a) for n, synonyms, a in case["lines"])
        assert parse_concepts(case["text"]) == expected


@pytest.mark.parametrize("case", CASES["protected"], ids=lambda case: case["text"])
def test_protected_names_are_understood_or_refused_with_what_to_write(case):
    if "problem" in case:
        with pytest.raises(ConceptError, match=case["problem"]) as refused:
            parse_protected(f"rose\n{case['text']}")
        assert "Line 2 of the protected concepts" in str(refused.value)
        assert "rite" in str(refused.value)
    else:
        assert list(parse_protected(case["text"])) == case["names"]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("cat", ("cat",)),
        ("Van Gogh", ("Van Gogh",)),
        ("van_gogh", ("van_gogh", "van gogh")),
        ("cat (orange)", ("cat (orange)", r"cat \(orange\)")),
        (
            "cat_(orange)",
            ("cat_(orange)", r"cat_\(orange\)", "cat (orange)", r"cat \(orange\)"),
        ),
        ("embedding:my_cat", ("embedding:my_cat",)),
        ("_", ("_",)),
        ("C++", ("C++",)),
    ],
)
def test_a_name_is_erased_and_protected_as_it_is_written_in_prompts(name, written):
    assert spellings(name) == written
    concepts = ConceptSet((Concept(name), Concept("dog")), ("a {}",), ("rose",))
    own = [prompt.text for prompt in concepts.prompts_of(concepts[name])]
    assert own == [text for form in written for text in (form, f"a {form}")]
    assert set(own) <= set(concepts.protected_from(concepts["dog"]))
    beside = ConceptSet((Concept("dog"),), ("a {}",), (name,))
    assert set(own) <= set(beside.protected_from(concepts["dog"]))


@pytest.mark.parametrize(
    "text",
    ["a Cat", "cats, rain", "by van gogh.", "Van Goghs everywhere", "two babies", "a glass", "cat"],
)
def test_name_is_found_whatever_its_capitals_and_number(text):
    assert FINDER.finds_one_in(text)


@pytest.mark.parametrize("text", ["", "a catalogue", "van with gogh", "Vincent", "bobcat", "class"])
def test_part_of_a_word_or_of_a_name_is_none(text):
    assert not FINDER.finds_one_in(text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("C\u00e9zanne", "by Ce\u0301zanne"),
        ("Ce\u0301zanne", "by C\u00e9zanne"),
        ("van gogh", "1girl, van_gogh_(style)"),
        ("van_gogh", "by Van Gogh"),
        ("cat", "(cat:1.2), rain"),
        ("cat (orange)", r"a cat \(orange\) asleep"),
        (r"cat \(orange\)", "cat_(orange)"),
        ("cat", "a ca\u200bt"),
        ("Van Gogh", "Van\u00a0Gogh"),
        ("O'Keeffe", "by O\u2019Keeffe"),
        ("cat", "\uff23\uff41\uff54"),
        ("Stra\u00dfe", "eine STRASSE"),
    ],
)
def test_name_is_found_in_every_spelling(name, text):
    assert NameFinder([name]).finds_one_in(text)
    assert not NameFinder([name]).finds_one_in("a dog in the rain")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("\u732b", "\u4e00\u53ea\u732b\u5728\u82b1\u56ed\u91cc"),
        ("\u30cd\u30b3", "\u767d\u3044\u30cd\u30b3\u3068\u72ac"),
        ("\u0e41\u0e21\u0e27", "\u0e41\u0e21\u0e27\u0e2a\u0e35\u0e02\u0e32\u0e27"),
    ],
)
def test_where_words_are_not_set_apart_names_are_found_within_when_that_is_asked(name, text):
    assert NameFinder([name], spaceless=True).finds_one_in(text)
    assert not NameFinder([name]).finds_one_in(text)
    assert not NameFinder([name, "cat"], spaceless=True).finds_one_in("\u72d7, catalogue")
    assert without_names(["a dog", text], [name]) == ("a dog",)


def test_every_name_is_told_that_stands_in_a_text():
    finder = NameFinder(["dog", "cat", "black cat", "cats", "big dog house"])
    assert set(finder.found_in("Black cats and a big dog")) == {"dog", "cat", "black cat", "cats"}
    assert finder.found_in("a bird") == ()
    concepts = [Concept("cat", ("kitten",)), Concept("dog")]
    prompts = ["a kitten, a cat", "a bird", "dogs and (cats:1.2)"]
    assert [set(names) for names in named_in(prompts, concepts)] == [{"cat"}, set(), {"cat", "dog"}]


def test_no_name_is_found_nowhere():
    assert not NameFinder([]).finds_one_in("cat")
    assert not NameFinder(["!?"]).finds_one_in("cat !?")


@pytest.mark.parametrize(
    ("name", "text", "another"),
    [
        ("C++", "a book about C++ on a desk", "a vitamin c tablet"),
        ("\U0001f431", "a \U0001f431 in the rain", "a \U0001f436 in the rain"),
        ("A$AP Rocky", "a portrait of a$ap rocky", "a portrait of A AP Rocky"),
        ("cat", "cat+dog", "concatenate"),
    ],
)
def test_signs_of_a_name_belong_to_it(name, text, another):
    finder = NameFinder([name, "rose"])
    assert finder.found_in(text) == (name,)
    assert finder.found_in(another) == ()
