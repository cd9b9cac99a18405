"""README says what was measured, and its own examples are true."""

import json
from pathlib import Path

import pytest

from bench.quality.method_tables import OURS, TASKS, methods
from bench.tables import everything, markdown, section

ROOT = Path(__file__).resolve().parent.parent


def test_results_are_those_of_the_measurement():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    results = json.loads((ROOT / "docs" / "results.json").read_text(encoding="utf-8"))
    assert section(readme) == markdown(results["pieces"])
    told = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert told == everything(results["pieces"])


def test_every_link_and_picture_is_there():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [part.split(")")[0] for part in readme.split("](")[1:]]
    local = [link for link in links if not link.startswith("http")]
    assert local
    assert [link for link in local if not (ROOT / link).exists()] == []


@pytest.fixture(scope="module")
def pieces():
    return json.loads((ROOT / "docs" / "results.json").read_text(encoding="utf-8"))["pieces"]


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_every_picture_that_shall_stay_is_the_untouched_one_with_ours_and_with_no_other(
    pieces, task
):
    for state in task.states():
        found = methods(pieces, task, state)
        identical = {name: set(kept(s.identical)) for name, s in found.items()}
        assert identical.pop(OURS) == {100}
        assert identical and all(min(shares) < 100 for shares in identical.values())


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_ours_is_on_top_of_the_harmonic_means_of_unseen_phrasings(pieces, task):
    for state in (task.scenes["1"][0], task.scenes["1"][-1]):
        means = {name: s.h_o("held-out") for name, s in methods(pieces, task, state).items()}
        assert means[OURS] == max(means.values()) >= 98


def test_who_optimises_a_token_gets_a_concept_back_from_every_method_from_esd_least(pieces):
    attacks = {n: found["inversion"] for n, found in pieces.items() if "/robustness/" in n}
    back = {name.split("/")[-1]: found["after"] for name, found in attacks.items()}
    assert min(back.values()) == back["ESD-x"] > 0
    assert list(back.values()).count(back["ESD-x"]) == 1


def kept(shares):
    return [share for (role, _), share in shares.items() if role != "erased"]
