"""Every peer erases on the demo model, here a cat, with shortened trainings."""

from dataclasses import replace

import pytest

from bench.judge import DemoJudge
from bench.peers import peers, sepme_reference, training
from bench.studio import Request, Studio
from bench.tasks import OBJECTS_TASK
from launch.demo import checkpoint

REQUESTS = [Request("cat", seed) for seed in range(4)]
TASK = replace(OBJECTS_TASK, erasable=("cat", "dog"), seen=OBJECTS_TASK.seen[:1])
ERASED = frozenset({"cat"})


@pytest.fixture(scope="module")
def studio():
    return Studio(checkpoint(), batch=4)


@pytest.fixture(scope="module")
def cats(studio):
    judge = DemoJudge()

    def count(model):
        seen = judge(studio.draw(model, REQUESTS, steps=8)).seen
        return sum("cat" in found for found in seen)

    return count


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(training, "N_STEPS", 8)
    monkeypatch.setattr(sepme_reference, "MIN_STEPS", 60)


@pytest.mark.parametrize("name", peers())
def test_peer_erases_what_was_drawn_before(studio, cats, name):
    before = cats(studio.model)
    model = peers()[name].fit(studio, TASK)(ERASED)
    assert before == len(REQUESTS)
    assert cats(model) <= before // 2
    assert cats(studio.model) == before, "the studio's model stays as it is"
