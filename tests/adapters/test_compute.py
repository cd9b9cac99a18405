"""The node that computes, from its widgets to its outputs."""

from dataclasses import replace

import comfy.utils
import pytest
import torch
from comfy_execution.utils import CurrentNodeContext
from sepme_pack.nodes import cache, host, kept
from sepme_pack.nodes.compute import Compute
from sepme_pack.nodes.host import running
from sepme_pack.sepme_core.concepts import NEAREST, Concept, ConceptSet
from sepme_pack.sepme_core.config import RefineConfig
from sepme_pack.sepme_core.denoiser import Progress
from sepme_pack.sepme_core.errors import ConceptError, IncompatibleError
from server import PromptServer

from tests.adapters import models

WIDGETS = {
    "method": "closed form",
    "erase": "cat",
    "protection": "automatic",
    "energy": 0.97,
    "tolerance": 0.03,
    "dead_zone": 0.0,
    "max_steps": 2,
    "learning_rate": 0.0,
    "n_latents": 1,
    "resolution": 64,
    "seed": 0,
}


@torch.inference_mode()
def run(model, clip, concepts=models.CONCEPTS, **changed):
    """As the host runs a node: it knows which one of which prompt is at work."""
    with CurrentNodeContext("prompt", "1:2"):
        return Compute.execute(model, clip, concepts, **(WIDGETS | changed)).result


@pytest.fixture
def loaded():
    with torch.inference_mode():
        return models.model("sd1")


@pytest.fixture(autouse=True)
def folder(increments_folder):
    """An empty `models/sepme`, and nothing in memory either."""
    kept.forget()
    return increments_folder


@pytest.fixture(autouse=True)
def told():
    PromptServer.instance.told.clear()
    return PromptServer.instance.told


@pytest.mark.parametrize("method", ["closed form", "closed form + refine", "paper separate"])
def test_what_is_computed_applies_and_the_model_stays_as_it_was(method, loaded, clip, told):
    before = models.weights_digest(loaded.model)
    small = {"n_latents": 1, "protection": "reduced"} if method.startswith("paper") else {}
    stack, report, plot = run(loaded, clip, method=method, **small)
    assert models.weights_digest(loaded.model) == before
    assert stack.names == ("cat",)
    assert "cat" in report
    assert plot.shape[0] == 1
    assert plot.shape[3] == 3
    assert any("step 2/2" in text for _, text in told) == (method != "closed form")
    assert all(node_id == "1:2" for node_id, _ in told)
    erasing = host.apply_exact(loaded, stack, host.Window())
    plain = models.draw(loaded, clip, "cat")
    assert not torch.equal(models.draw(erasing, clip, "cat"), plain)
    for prompt in models.PROTECTED:
        same = models.draw(loaded, clip, prompt)
        assert torch.equal(models.draw(erasing, clip, prompt), same), prompt


def test_the_same_seed_gives_the_same_increment_and_another_seed_another(loaded, clip, folder):
    digests = []
    for seed in (0, 0, 1):
        cache.clear(folder / "cache")
        digests.append(run(loaded, clip, method="refine", seed=seed)[0].entries[0].increment.digest)
    assert digests[0] == digests[1] != digests[2]


def test_increments_in_use_do_not_change_what_is_computed(loaded, clip):
    plain, *_ = run(loaded, clip)
    for apply in (host.apply_exact, host.apply_merged):
        erasing = apply(loaded, plain, host.Window())
        models.draw(erasing, clip, "cat")
        again, *_ = run(erasing, clip)
        assert again.entries[0].increment.digest == plain.entries[0].increment.digest


def test_inputs_that_do_not_belong_together_are_refused(loaded, clip, narrow_clip):
    with pytest.raises(IncompatibleError, match="64 wide"):
        run(loaded, narrow_clip)
    with pytest.raises(ConceptError, match="'dog' is not among the concepts"):
        run(loaded, clip, erase="dog", method="refine")
    known, *_ = run(loaded, clip)
    other = models.clip("sd1", seed=5)
    with pytest.raises(IncompatibleError, match="another text encoder"):
        run(loaded, other, erase="rose", known=known)
    assert run(loaded, clip, erase="rose", known=known)[0].names == ("rose",)


def events(name):
    return [told for event, told in PromptServer.instance.sent if event == name]


def test_the_page_is_told_where_training_stands_and_what_it_sees(loaded, clip, monkeypatch):
    pictures = []
    monkeypatch.setattr(
        comfy.utils, "PROGRESS_BAR_HOOK", lambda *args, node_id=None: pictures.append(args)
    )
    PromptServer.instance.sent.clear()
    run(loaded, clip, method="refine")
    told = events("sepme.progress")
    assert {(at["node"], at["prompt_id"]) for at in told} == {("1:2", "prompt")}
    *_, last = told
    assert (last["concept"], last["step"], last["max_steps"]) == ("cat", 2, 2)
    assert (last["seconds_left"], last["tau"]) == (0.0, RefineConfig().tau)
    assert 0 < last["statistic"] < 2
    assert last["evaluations"] > 0
    assert {at["unit"] for at in told if at["statistic"] is None} >= {"concepts", "drawing steps"}
    kind, picture, _ = next(p for _, _, p in pictures if p)
    assert (kind, picture.size) == ("JPEG", (8, 8))


def test_messages_are_few_however_many_steps_there_are(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(running.time, "monotonic", lambda: now[0])
    PromptServer.instance.sent.clear()
    with CurrentNodeContext("prompt", "1"):
        progress = host.NodeProgress()
        for step in range(1, 101):
            now[0] += 0.05
            progress(Progress("cat", step, 100, 0.5, 0.1))
    told = events("sepme.progress")
    assert 20 <= len(told) <= 30  # five seconds
    assert [told[0]["step"], told[-1]["step"]] == [1, 100]
    assert told[0]["seconds_left"] is None
    assert told[1]["seconds_left"] == pytest.approx((100 - told[1]["step"]) * 0.05, abs=0.1)


def test_nobody_is_told_outside_of_a_node():
    PromptServer.instance.sent.clear()
    host.NodeProgress()(Progress("cat", 1, 2))
    assert PromptServer.instance.sent == []


def test_nearest_is_none_of_the_known_increments_concepts(loaded, clip):
    concepts = ConceptSet((Concept("cat", anchor=NEAREST), Concept("dog")), (), ("car",))
    dog, *_ = run(loaded, clip, concepts, erase="dog")
    for known, anchor in ((None, "dog"), (dog, "car")):
        cat, *_ = run(loaded, clip, concepts, known=known)
        assert cat.entries[0].increment.concept.anchor == anchor


def test_where_nothing_is_protected_the_report_says_what_that_risks(loaded, clip):
    alone = replace(models.CONCEPTS, protected_concepts=())
    dog = ConceptSet((Concept("dog"),), (), ("car",))
    with CurrentNodeContext("prompt", "1:2"), torch.inference_mode():
        output = Compute.execute(loaded, clip, alone, **WIDGETS)
        protected = Compute.execute(loaded, clip, models.CONCEPTS, **WIDGETS)
        known, *_ = Compute.execute(loaded, clip, dog, **WIDGETS | {"erase": ""}).result
        with_known = Compute.execute(loaded, clip, alone, **WIDGETS, known=known)
    assert "may change too. SepME Neighbours suggests" in output.ui["sepme_report"][0]
    assert "Neighbours" in with_known.ui["sepme_report"][0]
    assert output.ui["sepme_state"][0]["headline"].startswith("Nothing is protected")
    assert "Neighbours" not in protected.ui["sepme_report"][0]
