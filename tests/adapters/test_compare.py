"""Before and after, side by side."""

import comfy.samplers
import pytest
import torch
from comfy_execution.utils import CurrentNodeContext
from sepme_pack.nodes import comparison, host
from sepme_pack.nodes.compare import Compare
from sepme_pack.nodes.comparison import Pair, comparison_plot, comparison_report
from sepme_pack.sepme_core.errors import ConceptError
from server import PromptServer

from tests.adapters import models

WIDGETS = {
    "prompts": "a photo of a cat\n# a note\na photo of a car",
    "negative": "",
    "n_per_prompt": 2,
    "seed": 3,
    "steps": 2,
    "cfg": 5.0,
    "sampler": "euler",
    "scheduler": "normal",
    "width": 64,
    "height": 128,
    "difference": False,
}


class Vae:
    """Latents as pictures; counts what it decodes."""

    def __init__(self):
        self.n_decoded = 0

    def decode(self, latents):
        self.n_decoded += len(latents)
        return (
            latents[:, :3].movedim(1, -1).repeat_interleave(8, 1).repeat_interleave(8, 2).sigmoid()
        )


@torch.inference_mode()
def run(before, after, clip, vae=None, **changed):
    PromptServer.instance.sent.clear()
    with CurrentNodeContext("prompt", "1:2"):
        return Compare.execute(before, after, clip, vae or Vae(), **(WIDGETS | changed)).result


@pytest.fixture
def erasing(model, clip):
    return host.apply_exact(model, models.stack(model, clip, "cat"), host.Window())


def test_size_0_draws_what_the_model_was_trained_on(model, erasing, clip):
    given = {"prompts": "a photo of a car", "n_per_prompt": 1}
    _, pictures, _ = run(model, erasing, clip, width=0, height=0, **given)
    assert pictures.shape[1:3] == host.picture_size(model) == (128, 128)


def test_every_prompt_and_seed_is_drawn_by_both_and_what_is_identical_is_said(model, erasing, clip):
    vae = Vae()
    grid, pictures, report = run(model, erasing, clip, vae)
    assert pictures.shape == (8, 128, 64, 3)
    assert grid.shape[0] == 1
    assert report.startswith("2 of 4 pictures are identical")
    same = [torch.equal(a, b) for a, b in pictures.view(4, 2, 128, 64, 3)]
    assert same == [False, False, True, True]
    assert "'a photo of a car', seed 4: identical" in report
    assert "'a photo of a cat', seed 3: differs by" in report
    assert vae.n_decoded == 6, "what is identical is decoded once"


def test_pictures_are_those_of_the_hosts_own_sampler(model, clip):
    _, pictures, _ = run(model, model, clip, prompts="a cat", n_per_prompt=1, seed=0, height=64)
    drawn = Vae().decode(models.draw(model, clip, "a cat"))
    assert torch.equal(pictures[0], drawn[0])
    _, others, _ = run(model, model, clip, prompts="a cat", n_per_prompt=1, seed=1, height=64)
    assert not torch.equal(others[0], drawn[0])


def test_progress_counts_all_steps_and_cancelling_stops_within_one(model, clip, monkeypatch):
    run(model, model, clip)
    steps = [at["step"] for name, at in PromptServer.instance.sent if name == "sepme.progress"]
    assert steps[-1] == 2 * 4 * 2

    class Cancelled(BaseException):
        pass

    def cancel():
        if progress:
            raise Cancelled

    progress = []
    monkeypatch.setattr(comparison.host.NodeProgress, "__call__", lambda _, at: progress.append(at))
    monkeypatch.setattr(
        host.sampling.comfy.model_management, "throw_exception_if_processing_interrupted", cancel
    )
    with pytest.raises(Cancelled):
        run(model, model, clip)
    assert len(progress) == 1


def test_samplers_that_other_packs_add_later_are_offered(monkeypatch):
    added = [*comfy.samplers.KSampler.SAMPLERS, "of_another_pack"]
    options = {i.id: i.options for i in Compare.define_schema().inputs if hasattr(i, "options")}
    assert options["sampler"] == added[:-1]
    monkeypatch.setattr(comfy.samplers.KSampler, "SAMPLERS", added)
    monkeypatch.setattr(comfy.samplers.KSampler, "SCHEDULERS", ["of_another_pack"])
    options = {i.id: i.options for i in Compare.define_schema().inputs if hasattr(i, "options")}
    assert (options["sampler"], options["scheduler"]) == (added, ["of_another_pack"])


def test_no_prompt_is_refused(model, clip):
    with pytest.raises(ConceptError, match="No prompt is given"):
        run(model, model, clip, prompts="\n# nothing")


def pair(prompt="a cat", seed=0, *, identical=False, size=(64, 64)):
    before = torch.zeros(*size, 3)
    return Pair(prompt, seed, before, before if identical else before + 0.5, identical)


def ink(grid, color):
    return bool((grid[0] * 255 == torch.tensor(color)).all(-1).any())


def test_the_grid_marks_what_is_identical():
    green = (0x2C, 0x8A, 0x4F)
    assert ink(comparison_plot([pair(identical=True)], difference=False), green)
    assert not ink(comparison_plot([pair()], difference=False), green)
    assert "differs by 50.0%" in comparison_report([pair()])


@pytest.mark.parametrize("size", [(64, 64), (1024, 512), (8, 2000)])
def test_the_grid_keeps_its_proportions_and_a_sensible_size(size):
    grid = comparison_plot([pair(size=size)] * 3, difference=False)
    wider = comparison_plot([pair(size=size)] * 3, difference=True)
    taller = comparison_plot([pair(size=size)] * 4, difference=False)
    assert wider.shape[2] > grid.shape[2]
    assert taller.shape[1] > grid.shape[1]
    assert grid.shape[2] < 3 * 384 + 300
    assert wider.min() >= 0
    assert wider.max() <= 1


def test_small_pictures_are_enlarged_by_whole_pixels():
    small = pair()
    small.before[:32] = 1
    grid = comparison_plot([small], difference=False)[0]
    assert comparison_plot([pair()] * 2, difference=False).shape[1] > 2 * 3 * 64
    assert int((grid[:, 230 + 90] == 0).all(-1).sum()) == 3 * 32


@pytest.mark.parametrize(
    "prompt", ["", "a " * 300, "x" * 500, "猫" * 40, "a very long word: " + "w" * 80]
)
def test_any_prompt_fits_its_label(prompt):
    grid = comparison_plot([pair(prompt, identical=True)], difference=False)
    beside = grid[0, 70:, 20 + 190 : 20 + 200]  # the gap between labels and pictures
    assert bool((beside == 1).all())
    assert not bool((grid[0, 70:, 20:210] == 1).all())
