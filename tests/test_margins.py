"""The bench of margins measures what it says, here on the toy encoder."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.margins import END, NO_TOKEN, START, acted_on, judge, run, summary, table
from bench.vocabulary import Kind, kinds
from sepme_core.config import BasisConfig
from tests.toy import TEMPLATES, ToyEncoder

DOCS = Path(__file__).resolve().parent.parent / "docs"
KIND = Kind(
    "toys",
    (("cat", "tiger"), ("rose",), ("car", "truck"), ("pizza",), ("house",)),
    TEMPLATES,
    ("my {} today", "the {} at night"),
    {"cat": ("kitty",)},
)
PLAIN = replace(BasisConfig(), soft=0.0)


def test_every_name_is_known_once_and_there_are_enough():
    for kind, least in zip(kinds(), (60, 100), strict=True):
        assert len(kind.names) == len(set(kind.names)) >= least
        assert not set(kind.given) & set(kind.held_out)


def test_words_of_a_name_belong_to_no_other():
    for kind in kinds():
        words = [word.casefold() for name in kind.names for word in kind.words(name)]
        assert len(words) == len(set(words)) > len(kind.names)


def test_unprotected_neighbours_are_not_counted_as_unlisted():
    assert KIND.neighbours("cat") == {"tiger"} and KIND.neighbours("rose") == set()
    for n in range(7):
        one = judge(KIND, "cat", ToyEncoder(), PLAIN, n)
        is_protected = any("tiger" in p.text for p in one.plan.protected)
        assert len(one.own) == len(one.synonyms) == 2
        assert len(one.neighbours) == (0 if is_protected else 2)
        assert len(one.protected) == 2 * n
        assert len(one.protected) + len(one.unlisted) + len(one.neighbours) == 6 * 2
    assert is_protected, "all others are"


def test_withheld_synonyms_are_judged_all_the_same():
    given, withheld = (
        judge(KIND, "cat", ToyEncoder(), PLAIN, 2, withheld=w) for w in (False, True)
    )
    assert len(given.synonyms) == len(withheld.synonyms) == 2
    assert any("kitty" in p.text for p in given.plan.encoded)
    assert not any("kitty" in p.text for p in withheld.plan.encoded)
    assert summary([given])["synonyms missed"] == 0
    assert summary([withheld])["synonyms missed"] == 100


def test_prompts_that_name_the_concept_are_not_held_against_it():
    kind = replace(KIND, held_out=("my {} today", "the {} beside a kitty"))
    one = judge(kind, "cat", ToyEncoder(), PLAIN, 2)
    assert len(one.protected) == 2 and len(one.own) == 2
    other = judge(kind, "rose", ToyEncoder(), PLAIN, 2)
    assert len(other.protected) == 2 * 2


def test_tokens_are_counted_by_the_rule_of_the_application():
    """In a prompt that shows the concept all tokens count that reach beyond the protected ones."""
    plan = judge(KIND, "cat", ToyEncoder(), PLAIN, 2).plan
    zone = replace(plan.dead_zone, threshold=0.5, largest_protected=0.25)
    heard = torch.tensor([[0.3, 0.6, 0.1], [0.3, 0.4, NO_TOKEN]])
    assert acted_on(heard, plan, zone).tolist() == [[True, True, False], [False, False, False]]


def test_lower_dead_zone_touches_more_and_misses_less():
    found = [judge(KIND, name, ToyEncoder(0.3), PLAIN, 2) for name in KIND.names]
    rates = [summary(found, p) for p in (0.01, 0.5, 3.0)]
    for key in ("protected: prompts touched", "unlisted: prompts touched"):
        values = [r[key] for r in rates]
        assert values == sorted(values, reverse=True)
    missed = [r["own prompts missed"] for r in rates]
    assert missed == sorted(missed) and missed[-1] > missed[0]


class Twins(ToyEncoder):
    """Two words of one meaning."""

    def encode(self, prompt):
        return replace(super().encode(prompt.replace("twin", "cat")), text=prompt)


def test_refused_concepts_are_listed_and_not_counted():
    kind = replace(KIND, groups=(("cat",), ("twin",), ("rose",)))
    told, found = run(kind, ["twin", "rose"], Twins(), PLAIN, 2)
    assert told["refused"] == ["twin"]
    assert [one.plan.concept.name for one in found] == ["rose"]


def test_document_shows_what_was_measured():
    text = (DOCS / "choices.md").read_text(encoding="utf-8")
    results = json.loads((DOCS / "margins.json").read_text())
    assert text.split(START)[1].split(END)[0].strip() == table(results)


@pytest.mark.parametrize("kind", ["artists", "objects"])
def test_defaults_are_those_that_were_measured(kind):
    results = json.loads((DOCS / "margins.json").read_text())
    known = BasisConfig()
    assert results["settings"] == {k: getattr(known, k) for k in results["settings"]}
    assert results[kind]["all"]["concepts"] == len(next(k for k in kinds() if k.name == kind).names)
