"""The bench of margins measures what it says, here on the toy encoder."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.margins import END, START, Kind, judge, kinds, run, summary, table
from sepme_core.config import BasisConfig
from tests.toy import TEMPLATES, ToyEncoder

DOCS = Path(__file__).resolve().parent.parent / "docs"
KIND = Kind(
    "toys",
    (("cat", "tiger"), ("rose",), ("car", "truck"), ("pizza",), ("house",)),
    TEMPLATES,
    ("my {} today", "the {} at night"),
)
PLAIN = replace(BasisConfig(), soft=0.0)


def test_every_name_is_known_once_and_there_are_enough():
    for kind, least in zip(kinds(), (60, 100), strict=True):
        assert len(kind.names) == len(set(kind.names)) >= least
        assert not set(kind.given) & set(kind.held_out)


def test_neighbours_are_neither_protected_nor_unlisted():
    assert KIND.neighbours("cat") == {"tiger"} and KIND.neighbours("rose") == set()
    one = judge(KIND, "cat", ToyEncoder(), PLAIN, 2)
    assert len(one.own) == len(one.neighbours) == 2
    assert len(one.protected) == 2 * 2 and len(one.unlisted) == 3 * 2
    assert not any("tiger" in p.text for p in one.plan.protected)


def test_lower_dead_zone_touches_more_and_misses_less():
    found = [judge(KIND, name, ToyEncoder(0.3), PLAIN, 2) for name in KIND.names]
    rates = [summary(found, p) for p in (0.01, 0.5, 3.0)]
    for key in ("protected prompts touched", "unlisted prompts touched"):
        values = [r[key] for r in rates]
        assert values == sorted(values, reverse=True)
    missed = [r["own prompts missed"] for r in rates]
    assert missed == sorted(missed) and missed[-1] > missed[0]


class Twins(ToyEncoder):
    """Two words of one meaning."""

    def encode(self, prompt):
        return replace(super().encode(prompt.replace("kitty", "cat")), text=prompt)


def test_refused_concepts_are_listed_and_not_counted():
    kind = replace(KIND, groups=(("cat",), ("kitty",), ("rose",)))
    told, found = run(kind, ["kitty", "rose"], Twins(), PLAIN, 2)
    assert told["refused"] == ["kitty"]
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
