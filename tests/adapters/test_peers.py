"""Every peer erases on the demo model, here a cat, with shortened trainings; one does not."""

from dataclasses import replace

import pytest
import torch

from bench.judge import DemoJudge
from bench.peers import concept_ablation, esd, fmn, peers, sepme_reference, training
from bench.peers.prompts import phrasings
from bench.studio import Request, Studio
from bench.tasks import OBJECTS_TASK
from launch.demo import checkpoint

REQUESTS = [Request("cat", seed) for seed in range(4)]
TASK = replace(OBJECTS_TASK, erasable=("cat",), seen=OBJECTS_TASK.seen[:1])
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
    monkeypatch.setattr(concept_ablation, "N_PICTURES", 3)
    monkeypatch.setattr(sepme_reference, "MIN_STEPS", 60)


ERASING = [name for name in peers() if name != fmn.PEER.name]


@pytest.mark.parametrize("name", ERASING)
def test_peer_erases_what_was_drawn_before(studio, cats, name):
    before = cats(studio.model)
    model = peers()[name].fit(studio, TASK)(ERASED)
    assert before == len(REQUESTS)
    assert cats(model) <= before // 2
    assert cats(studio.model) == before, "the studio's model stays as it is"


TRAINED = [esd, concept_ablation, fmn]


@pytest.mark.parametrize("peer", TRAINED, ids=lambda m: m.PEER.name)
def test_training_data_come_from_the_untouched_model(studio, monkeypatch, peer):
    """What is drawn while a training runs would be drawn with its ΔW."""
    fitted = peer.PEER.fit(studio, TASK)
    monkeypatch.setattr(peer, "SETTINGS", training.Settings(learning_rate=1e-4, steps=2))

    def drawing(*_, **__):
        pytest.fail("drawn while a training runs")

    monkeypatch.setattr(studio.host.HostDenoiser, "_sample", drawing)
    fitted(ERASED)


QUICK = [peer for peer in peers().values() if not peer.takes_minutes]


@pytest.mark.parametrize("peer", QUICK, ids=lambda p: p.name)
def test_a_set_of_concepts_leaves_the_others_drawn(studio, cats, peer):
    fitted = peer.fit(studio, replace(TASK, erasable=("cat", "dog")))
    assert cats(fitted(frozenset({"dog"}))) == len(REQUESTS)
    assert cats(fitted(frozenset({"cat", "dog"}))) <= len(REQUESTS) // 2


def test_forget_me_not_looks_away_from_the_concept_which_is_all_that_it_trains(studio):
    """With no settings that were tried did it erase more here than it destroyed elsewhere."""
    (drawing,) = [studio.denoiser().trajectory("cat", 0, 4)]
    layers, prompt = studio.denoiser().cross_attention, phrasings(TASK, "cat")[0]
    context = studio.encode(["cat"])[0].embeddings[None]

    def looks(model):
        with fmn._watched(layers) as seen, torch.no_grad():
            studio.predict(model, drawing.x, drawing.sigma, context)
        found = [
            fmn.attention(seen[f"{block}.to_q"], seen[f"{block}.to_k"], heads)
            for block, heads in fmn._blocks(studio, layers).items()
        ]
        return float(fmn.re_steering(found, fmn._places(studio, prompt)))

    before = looks(studio.model)
    after = looks(fmn.PEER.fit(studio, TASK)(ERASED))
    assert after < 0.8 * before
