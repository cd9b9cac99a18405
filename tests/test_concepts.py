"""Concept sets: their text form, their prompts, and what they protect from each other."""

from dataclasses import replace

import pytest

from sepme_core.concepts import (
    Concept,
    ConceptPrompt,
    ConceptSet,
)
from sepme_core.errors import ConceptError, SepMEError
from sepme_core.text_fields import parse_concepts, parse_lines, parse_names, parse_templates

CAT, DOG = Concept("cat", ("kitten", "tomcat")), Concept("dog", ("puppy",), "cow")


def test_line_gives_name_synonyms_and_anchor():
    assert parse_concepts("Van Gogh | Vincent, van  Gogh style -> painting") == (
        Concept("Van Gogh", ("Vincent", "van  Gogh style"), "painting"),
    )


@pytest.mark.parametrize(
    ("line", "concept"),
    [
        ("cat", Concept("cat")),
        ("  cat  ", Concept("cat")),
        ("cat |", Concept("cat")),
        ("cat ->", Concept("cat")),
        ("cat -> dog", Concept("cat", (), "dog")),
        ("cat | kitten,, ,tomcat", Concept("cat", ("kitten", "tomcat"))),
        ("日本 | にほん -> 国", Concept("日本", ("にほん",), "国")),
    ],
)
def test_every_part_but_the_name_may_be_missing(line, concept):
    assert parse_concepts(line) == (concept,)


def test_blank_lines_and_comments_are_skipped_but_counted():
    assert parse_concepts("\n# animals\n\n cat\n  # more\ndog\n") == (
        Concept("cat"),
        Concept("dog"),
    )
    with pytest.raises(ConceptError, match="line 4"):
        parse_concepts("\n# animals\ncat\n| kitten")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("| kitten", "name is empty"),
        ("-> dog", "name is empty"),
        ("cat -> dog -> cow", "more than one"),
        ("cat | kitten | tomcat", "more than one"),
        ("cat -> dog | kitten", "stands behind"),
    ],
)
def test_malformed_line_is_refused_with_its_number_its_text_and_the_grammar(line, reason):
    with pytest.raises(ConceptError, match=reason) as refused:
        parse_concepts(f"rose\n{line}")
    message = str(refused.value)
    assert "line 2" in message
    assert repr(line) in message
    assert "name | synonym, synonym -> anchor" in message


def test_name_with_a_comma_is_refused_with_its_line_and_the_remedy():
    with pytest.raises(ConceptError, match=r"line 2, 'cat, dog'.*comma.*behind '\|'"):
        parse_concepts("rose\ncat, dog")


def test_lines_and_names_ignore_what_is_empty():
    assert parse_lines("a {}\n\n # no\n {} b ") == ("a {}", "{} b")
    assert parse_names("cat, dog,,\n rose ,") == ("cat", "dog", "rose")
    assert parse_names("- (cat), C\u00e9zanne\uff0c\u201cMonet, Manet\u201d") == (
        "cat",
        "C\u00e9zanne",
        "Monet, Manet",
    )
    assert parse_names("") == parse_lines(" \n") == ()


def test_prompts_are_every_name_bare_and_in_every_template():
    concepts = ConceptSet((CAT, DOG), templates=("a {}", "{} in {brackets}"))
    assert [p.text for p in concepts.prompts_of(DOG)] == [
        "dog",
        "a dog",
        "dog in {brackets}",
        "puppy",
        "a puppy",
        "puppy in {brackets}",
    ]


def test_anchored_prompt_keeps_the_sentence_around_the_concept():
    assert (
        ConceptPrompt("a photo of a ", "dog", ", sharp", "cow").anchored
        == "a photo of a cow, sharp"
    )
    assert ConceptPrompt("a ", "dog", ", sharp", "").anchored == "a , sharp"
    assert ConceptPrompt("", "dog", "", "").anchored == ""
    assert ConceptPrompt("a photo of a ", "dog", "", "").anchored == "a photo of a"


def test_other_braces_in_a_template_are_left_as_they_are():
    concepts = ConceptSet((CAT, DOG), templates=("{red|blue} {}", "{{x}} of {}", "{0} {}"))
    assert "{red|blue} cat" in [p.text for p in concepts.prompts_of(CAT)]
    assert {"{red|blue} dog", "{{x}} of dog", "{0} dog"} <= set(concepts.protected_from(CAT))


def test_name_with_braces_is_not_filled_again():
    odd = Concept("{}")
    concepts = ConceptSet((odd, CAT), templates=("a {}",))
    assert [p.text for p in concepts.prompts_of(odd)] == ["{}", "a {}"]
    assert "a {}" in concepts.protected_from(CAT)


@pytest.mark.parametrize("template", ["a photo", "{} and {}", ""])
def test_template_without_exactly_one_place_for_the_name_is_refused(template):
    with pytest.raises(ConceptError, match="exactly one") as refused:
        ConceptSet((CAT,), templates=(template,))
    assert repr(template) in str(refused.value)


@pytest.mark.parametrize(
    "template", ["a photo of [name]", "a photo of { }", "a photo of {name}", "a photo of ｛｝"]
)
def test_a_place_for_the_name_that_no_other_node_takes_is_understood(template):
    assert parse_templates(f"{template}\n{{red|blue}} {{}}") == ("a photo of {}", "{red|blue} {}")


def test_a_template_whose_place_was_taken_says_what_to_write_instead():
    with pytest.raises(ConceptError, match=r"0 places.*dynamic prompts.*write \[name\]"):
        ConceptSet((CAT,), templates=parse_templates("a photo of "))


def test_prompts_are_taken_as_they_stand():
    text = "\ufeff(cat:1.2), <lora:x:1>\r\n{red|blue} house, Ce\u0301zanne \n// note\n- a # b"
    assert parse_lines(text) == (
        "(cat:1.2), <lora:x:1>",
        "{red|blue} house, Ce\u0301zanne",
        "- a # b",
    )


def test_others_are_protected_with_their_synonyms_and_the_concept_itself_is_not():
    concepts = ConceptSet(
        (CAT, DOG),
        templates=("a {}",),
        protected_concepts=("rose",),
        protected_prompts=("watermark",),
    )
    assert concepts.protected_from(CAT) == [
        *("", "watermark", "a"),
        *("dog", "a dog", "puppy", "a puppy", "rose", "a rose"),
    ]
    assert {"kitten", "a kitten", "tomcat"} <= set(concepts.protected_from(DOG))
    assert not {"puppy", "a puppy", "dog"} & set(concepts.protected_from(DOG))


def test_protected_prompts_are_without_repetition():
    concepts = ConceptSet((CAT,), ("{}", "a {}"), ("rose",), ("", "rose", "rose"))
    prompts = concepts.protected_from(CAT)
    assert len(prompts) == len(set(prompts))
    assert prompts[0] == ""


def test_concept_is_found_by_any_name_whatever_its_capitals():
    concepts = ConceptSet((CAT, DOG))
    assert concepts["KITTEN"] is CAT
    assert concepts["  Puppy "] is DOG
    with pytest.raises(ConceptError, match="'bird' is not among.*cat, dog"):
        concepts["bird"]


def test_chosen_concepts_come_in_the_sets_order_and_none_named_means_all():
    concepts = ConceptSet((CAT, DOG, Concept("rose")))
    assert concepts.choose(["rose", "Tomcat", "cat"]) == (CAT, Concept("rose"))
    assert concepts.choose([]) == concepts.concepts
    with pytest.raises(ConceptError, match="bird"):
        concepts.choose(["cat", "bird"])


def test_also_protecting_adds_only_what_is_new():
    concepts = ConceptSet((CAT, DOG), protected_concepts=("rose",))
    others = [Concept("ROSE"), Concept("car", ("auto", "Rose")), Concept("car")]
    more = concepts.also_protecting(others)
    assert more.protected_concepts == ("rose", "car", "auto")
    assert {"car", "auto"} <= set(more.protected_from(CAT))
    assert "car" not in concepts.protected_from(CAT), "the original set stays as it was"
    assert more.concepts == concepts.concepts


def test_concept_known_by_any_of_its_names_is_not_protected_from_itself():
    concepts = ConceptSet((CAT, DOG))
    assert concepts.also_protecting([Concept("Kitten", ("cub",))]) == concepts
    assert concepts.also_protecting([Concept("cub")]).protected_concepts == ("cub",)


@pytest.mark.parametrize(
    "concepts",
    [
        (CAT, Concept("Cat")),
        (CAT, Concept("tiger", ("TOMCAT",))),
        (Concept("cat", ("cat",)),),
        (Concept("van  gogh"), Concept("Van Gogh")),
    ],
)
def test_name_given_twice_is_refused(concepts):
    with pytest.raises(ConceptError, match="given twice"):
        ConceptSet(concepts)


@pytest.mark.parametrize("concepts", [(Concept(" "),), (Concept("cat", ("",)),)])
def test_empty_name_is_refused(concepts):
    with pytest.raises(ConceptError, match="empty name"):
        ConceptSet(concepts)


def test_set_without_concepts_is_refused():
    with pytest.raises(ConceptError, match="at least one"):
        ConceptSet(())


@pytest.mark.parametrize("where", ["protected_concepts", "protected_prompts"])
def test_concept_that_is_also_protected_is_refused(where):
    with pytest.raises(ConceptError, match="'Kitten' is protected and also a name .*'cat'"):
        ConceptSet((CAT,), **{where: ("Kitten",)})
    assert ConceptSet((CAT,), **{where: ("kittens",)})


def test_every_refusal_can_be_caught_as_one_kind():
    assert issubclass(ConceptError, SepMEError)


@pytest.mark.parametrize("anchor", ["black cat", "Cat", "a cat, a dog", "kitten toy"])
def test_anchor_that_holds_the_concept_is_refused(anchor):
    with pytest.raises(ConceptError, match=r"anchor .* of 'cat' holds '(cat|kitten)'"):
        ConceptSet((Concept("cat", ("kitten",), anchor),))


@pytest.mark.parametrize("anchor", ["", "catalogue", "animal", "nearest"])
def test_anchor_that_only_looks_like_the_concept_is_taken(anchor):
    assert ConceptSet((Concept("cat", ("kitten",), anchor),))["cat"].anchor == anchor


def test_sets_whose_lines_stand_otherwise_are_one_set_in_order():
    one = ConceptSet((CAT, DOG), ("a {}", "b {}"), ("Owl", "ape"), ("x", "y"), ("p", "q"))
    other = replace(
        one, concepts=(DOG, CAT), protected_concepts=("ape", "Owl"), protected_prompts=("y", "x")
    )
    assert one != other
    assert one.in_order() == other.in_order() == one.in_order().in_order()
    assert one.in_order().protected_concepts == ("ape", "Owl")
    turned = replace(one, templates=one.templates[::-1])
    assert turned.in_order() != one.in_order(), "drawings take phrasings in turn"
