"""Prompts checked while they are typed, without any model."""

import pytest
from sepme_pack.nodes.checking import checked_prompts

from tests.adapters.test_library import ask

GIVEN = {
    "concepts": "cat | kitten\nVan Gogh\ndog",
    "rows": "dog off",
    "prompts": "a Kitten\n\na dog",
}


def names(**given):
    return {each["prompt"]: each["names"] for each in checked_prompts(GIVEN | given)}


def test_every_prompt_comes_back_with_what_is_erased_of_it():
    assert ask("POST", "/sepme/check", json=GIVEN) == (
        200,
        {
            "version": 1,
            "prompts": [
                {"prompt": "a Kitten", "names": ["cat"]},
                {"prompt": "a dog", "names": []},
            ],
        },
    )


def test_only_what_is_erased_counts():
    assert names(rows="")["a dog"] == ["dog"]
    assert names(rows="dog 0")["a dog"] == []
    assert names(rows='{"version": 1, "rows": {"CAT": false}}')["a Kitten"] == []


@pytest.mark.parametrize(
    "prompt", ["(van_gogh:1.2), sky", "by Van\u00a0Gogh", "a cat in the style of Van Gogh"]
)
def test_a_name_is_seen_however_it_is_spelt(prompt):
    assert "Van Gogh" in names(prompts=prompt)[prompt]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Got no concepts, expected the texts"),
        (GIVEN | {"prompts": ["a"]}, "Got no prompts"),
        (GIVEN | {"concepts": ""}, "No concept is given"),
        (GIVEN | {"concepts": "cat, dog"}, "comma"),
        (GIVEN | {"rows": "dog 9"}, "Line 1, 'dog 9': strength"),
        (GIVEN | {"prompts": "a" * 200_001}, "prompts has 200001 letters, expected up to 200000"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(given, message):
    status, body = ask("POST", "/sepme/check", json=given)
    assert status == 400
    assert message in body["error"]


def test_a_thousand_concepts_are_looked_for_in_a_thousand_prompts():
    concepts = "\n".join(f"thing number{n}x" for n in range(1000))
    prompts = "\n".join(f"a photo of a thing number{n}x in the rain" for n in range(1000))
    found = names(concepts=concepts, rows="", prompts=prompts)
    assert all(len(each) == 1 for each in found.values())
