"""What is kept: found by everything that it depends on and nothing else, shared, and bounded."""

import functools
import os
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from comfy.patcher_extension import WrappersMP
from comfy_execution.utils import CurrentNodeContext
from comfy_extras.nodes_freelunch import FreeU_V2
from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete
from sepme_pack.nodes import cache, computing, host, kept
from sepme_pack.nodes.compute import Compute
from sepme_pack.nodes.eraser import Eraser
from sepme_pack.nodes.file_rows import LoadedRow
from sepme_pack.nodes.kept import Kept, Refusal
from sepme_pack.nodes.last_run import known_rows
from sepme_pack.nodes.restoring import restored
from sepme_pack.nodes.rows import Row
from sepme_pack.nodes.task import Task
from sepme_pack.sepme_core.concepts import DEFAULT_TEMPLATES, Concept, ConceptSet
from sepme_pack.sepme_core.config import EraseConfig
from sepme_pack.sepme_core.errors import NotSeparableError
from sepme_pack.sepme_core.increment import Stack

from tests.adapters import models
from tests.adapters.models import with_lora

OTHER_LAYER = "middle_block.1.transformer_blocks.0.attn1.to_v"
TWIN = "rose ()"  # the same to the text encoder
SET = ConceptSet((Concept("rose"), Concept("cat")), DEFAULT_TEMPLATES, ("pizza", "car"))
SOLVER = {"protection": "automatic", "energy": 0.97, "tolerance": 0.1, "dead_zone": 0.0}
TRAINING = {"max_steps": 0, "learning_rate": 0.0, "n_latents": 8, "resolution": 512, "seed": 0}


@pytest.fixture(autouse=True)
def folder(increments_folder):
    """An empty cache, and nothing in memory either."""
    kept.forget()
    return increments_folder / "cache"


@pytest.fixture(autouse=True)
def work(monkeypatch):
    """The names of what is computed, whoever asks for it."""
    done = []
    erase = computing.erase

    def counted(concepts, chosen, *rest, **more):
        done.extend(c.name for c in chosen)
        return erase(concepts, chosen, *rest, **more)

    monkeypatch.setattr(computing, "erase", counted)
    return done


@torch.inference_mode()
def computed(model, clip, concepts=SET, erase="", **changed):
    settings = SOLVER | TRAINING | {"method": "closed form"} | changed
    with CurrentNodeContext("prompt", "1"):
        return Compute.execute(model, clip, concepts, erase=erase, **settings).result


@torch.inference_mode()
def erased(model, clip, concepts="cat\nrose", protected="car\npizza", **changed):
    given = {"protected_concepts": protected, "preserve_list": "none"} | changed
    with CurrentNodeContext("prompt", "1"):
        return Eraser.execute(model, clip, concepts, "", **given).result[1]


def digests(stack):
    return {e.name: e.increment.digest for e in stack.entries}


# --- what was solved on ---------------------------------------------------------------------------


def test_eraser_behind_a_lora_and_without_it_are_two_things(model, clip, work):
    tuned, plain = erased(with_lora(model), clip), erased(model, clip)
    assert work == ["cat", "rose"] * 2
    assert digests(tuned)["cat"] != digests(plain)["cat"]
    assert digests(erased(with_lora(model), clip)) == digests(tuned), "read after a restart"
    assert digests(erased(with_lora(model, layer=OTHER_LAYER), clip)) == digests(plain)
    assert len(work) == 4


def merged(model, seed, ratio):
    """As the host's ModelMergeSimple does it."""
    clone, other = model.clone(), models.model("sd1", seed=seed)
    for key, patches in other.get_key_patches("diffusion_model.").items():
        clone.add_patches({key: patches}, 1.0 - ratio, ratio)
    return clone


@pytest.mark.parametrize("draws", [False, True])
def test_strengths_loras_merges_and_checkpoints_are_all_told_apart(model, clip, draws):
    def made():
        return [
            model,
            with_lora(model),
            with_lora(model, strength=0.5),
            with_lora(model, seed=2),
            with_lora(with_lora(model), seed=2),
            merged(model, 3, 0.5),
            merged(model, 3, 0.6),
            merged(model, 4, 0.5),
            models.model("sd1", seed=5),
            models.model("sd1", dtype=torch.bfloat16),
        ]

    found = [host.solved_on(each, clip, draws=draws) for each in made()]
    assert len(set(found)) == len(found)
    assert [host.solved_on(each, clip, draws=draws) for each in made()] == found
    tuned = with_lora(model)
    models.draw(tuned, clip, "cat")  # the host writes the patch into the weight
    assert host.solved_on(tuned, clip, draws=draws) == found[1]
    assert host.solved_on(model, clip, draws=draws) == found[0]


def test_what_only_drawings_depend_on_counts_for_methods_that_draw(model, clip):
    sampling = ModelSamplingDiscrete().patch(model, "v_prediction", False)[0]
    option, wrapped, guided = model.clone(), model.clone(), [model.clone(), model.clone()]
    option.model_options["transformer_options"]["scale"] = 2
    wrapped.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "x", lambda run, *a, **k: run(*a, **k))
    for scale, clone in enumerate(guided):
        clone.set_model_sampler_post_cfg_function(lambda args, by=scale: args["denoised"] * by)
    made = [model, with_lora(model, layer=OTHER_LAYER), sampling, option, wrapped, *guided]
    assert len({host.solved_on(each, clip, draws=False) for each in made}) == 1
    assert len({host.solved_on(each, clip, draws=True) for each in made}) == len(made)


def freed(model, b1):
    return FreeU_V2().patch(model, b1, 1.4, 0.9, 0.2)[0]  # closes over a dict


def guided(model, scale):
    model = model.clone()  # a function in the closure of the host's own
    model.set_model_sampler_cfg_function(lambda args: args["cond"] * scale)
    return model


def multiplied(args, kind, scales=()):
    return args["denoised"] * scales[0]


def partly(model, scale):
    model = model.clone()
    by = functools.partial(functools.partial(multiplied, kind=torch.float16), scales=[scale])
    model.set_model_sampler_post_cfg_function(by)
    return model


class Scaled:
    """Another pack's patch: an object that can be called, and its method."""

    def __init__(self, given):
        self.given = given

    def __call__(self, args):
        return args["denoised"]

    def step(self, args):
        return args["denoised"]


def called(model, scale, of=lambda scaled: scaled):
    model = model.clone()
    model.set_model_sampler_post_cfg_function(of(Scaled([{"scale": np.array([scale])}])))
    return model


PATCHES = [freed, guided, partly, called, functools.partial(called, of=lambda s: s.step)]


@pytest.mark.parametrize("patch", PATCHES)
def test_strengths_that_a_patch_holds_however_deep_are_told_apart(model, clip, patch):
    made = [host.solved_on(patch(model, b), clip, draws=True) for b in (1.3, 1.9, 1.3)]
    assert made[0] == made[2] != made[1]
    assert all(map(host.is_told, made))


@pytest.mark.parametrize("deep", [False, True])
def test_where_nobody_can_say_what_a_patch_does_nothing_is_kept(model, clip, folder, deep):
    holds = types.SimpleNamespace(scale=1.3)
    for _ in range(20 * deep):
        holds = [holds]
    opaque = called(model, 1.3, of=lambda _: functools.partial(multiplied, kind=holds))
    kept_at = Kept(Task.of(SET, EraseConfig(method="refine")), opaque, clip, ())
    kept_at.keep(Concept("cat"), Refusal("no"))
    assert kept_at.find(Concept("cat")) is None
    assert not folder.exists()
    assert len({host.solved_on(opaque, clip, draws=True) for _ in range(2)}) == 2
    assert host.is_told(host.solved_on(opaque, clip, draws=False)), "it draws nothing then"


def test_increments_on_a_model_are_not_what_is_solved_on(model, clip):
    stack = models.stack(model, clip, "rose")
    task = Task.of(SET, EraseConfig())
    paths = {
        Kept(task, each, clip, ()).path(Concept("cat"))
        for each in (
            model,
            host.apply_exact(model, stack, host.Window()),
            host.apply_merged(model, stack, host.Window()),
        )
    }
    assert len(paths) == 1


# --- one task, one result -------------------------------------------------------------------------


def test_compute_and_eraser_share_what_is_kept_also_after_a_restart(model, clip, work):
    stack, report, _ = computed(model, clip)
    assert stack.names == ("rose", "cat"), "in the order in which they were written"
    assert work == ["rose", "cat"]
    kept.forget()
    by_eraser = erased(model, clip, "cat\nrose", "pizza\ncar")
    again, told_again, plot = computed(model, clip)
    assert digests(by_eraser) == digests(again) == digests(stack)
    assert work == ["rose", "cat"], "nothing of it is computed twice"
    assert (
        told_again == f"{report}\n\n"
        "Taken from an earlier run; the times above are that run's: rose, cat."
    )
    assert plot.shape == computed(model, clip)[2].shape

    one = ConceptSet((Concept("dog"), *SET.concepts), DEFAULT_TEMPLATES, SET.protected_concepts)
    by_eraser = erased(model, clip, "dog\ncat\nrose")
    assert digests(computed(model, clip, one, "dog")[0])["dog"] == digests(by_eraser)["dog"]
    assert work == ["rose", "cat", "dog", "cat", "rose"]


def test_load_stack_computes_again_what_the_others_have_computed(model, clip, work):
    stack, *_ = computed(model, clip)
    missing = [LoadedRow(Row("cat.safetensors"), "missing")]
    (row,) = restored(missing, model, clip, replace(SET, concepts=SET.concepts[::-1]), Stack())
    assert row.state == "computed"
    assert row.increment.digest == digests(stack)["cat"]
    assert work == ["rose", "cat"]


UNUSED = [
    {"seed": 5},
    {"max_steps": 7, "learning_rate": 0.5, "n_latents": 3, "resolution": 1024},
    {"latent": {"samples": torch.ones(1, 4, 8, 8)}},
]


@pytest.mark.parametrize("changed", UNUSED)
def test_settings_that_a_method_does_not_use_change_nothing(model, clip, work, changed):
    first, *_ = computed(model, clip)
    again, *_ = computed(model, clip, **changed)
    assert work == ["rose", "cat"]
    assert "seed" not in again.entries[0].increment.provenance.method
    assert digests(first) == digests(again)


def test_settings_that_count_make_another_task():
    def digest(latent=None, resolution=64, **settings):
        return Task.of(SET, EraseConfig(**settings), resolution, latent).digest

    picture = {"samples": torch.ones(1, 4, 8, 8)}
    other = {"samples": torch.zeros(1, 4, 8, 8)}
    refine = {"method": "refine"}
    tasks = [
        digest(),
        digest(**refine),
        digest(**refine, seed=1),
        digest(resolution=128, **refine),
        digest(picture, **refine),
        digest(other, **refine),
    ]
    assert len(set(tasks)) == len(tasks)
    assert digest(picture, 128, **refine) == tasks[4], "nothing is drawn then"


def test_an_anchor_is_its_own_concepts_business(model, clip, work):
    computed(model, clip)
    computed(model, clip, replace(SET, concepts=(Concept("rose", anchor="car"), Concept("cat"))))
    assert work == ["rose", "cat", "rose"]


def test_a_refusal_is_known_as_well(model, clip, work):
    twins = replace(SET, protected_concepts=(TWIN,))
    for _ in range(2):
        with pytest.raises(NotSeparableError, match="'rose' cannot be erased"):
            computed(model, clip, twins, "rose")
    assert work == ["rose"]


def test_nearest_depends_on_what_else_may_go(model, clip, work):
    near = ConceptSet((Concept("rose", anchor="nearest"), Concept("cat")), (), ("car",))
    computed(model, clip, near, "rose")
    computed(model, clip, near, "rose, cat")
    assert work == ["rose", "rose", "cat"]
    stack, *_ = computed(model, clip, near)
    assert [e.increment.concept.anchor for e in stack.entries] == ["car", ""]
    assert work == ["rose", "rose", "cat"]


# --- the folder -----------------------------------------------------------------------------------


def fill(folder, *names, size=100):
    folder.mkdir(parents=True, exist_ok=True)
    for age, name in enumerate(reversed(names)):
        (folder / name).write_bytes(b"x" * size)
        os.utime(folder / name, (1e9 - age, 1e9 - age))


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(cache, "LIMIT", 250)
    cache._since_looked.clear()


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_was_used_longest_ago_makes_room(folder, small):
    fill(folder, "increment-a.safetensors", "captions-b.safetensors", "run-c.json", "notes.txt")
    cache.used(folder / "increment-a.safetensors")
    cache.write(folder / "increment-d.safetensors", b"y" * 120)
    assert names_in(folder) == ["increment-a.safetensors", "increment-d.safetensors", "notes.txt"]
    assert cache.state(folder) == {
        "bytes": 220,
        "limit": 250,
        "entries": 2,
        "folder": str(folder),
    }


@pytest.fixture
def half_written(folder, monkeypatch):
    """What a write leaves behind that was killed; its name, and that of an older version's."""
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt()))
        killed.setattr(cache.Path, "unlink", lambda *_, **__: None)
        cache.write(folder / "increment-a.safetensors", b"x" * 100)
    (name,) = names_in(folder)
    os.utime(folder / name, (1e8, 1e8))
    return name


def test_half_written_files_of_a_host_that_died_go_as_well(folder, half_written, small):
    fill(folder, ".increment-a-00.tmp", "increment-b.safetensors")
    assert cache.state(folder)["entries"] == 3
    cache.write(folder / "increment-c.safetensors", b"y" * 120)
    assert names_in(folder) == ["increment-b.safetensors", "increment-c.safetensors"]


def test_half_written_files_are_cleared_as_well(folder, half_written):
    assert names_in(folder) == [half_written]
    assert cache.clear(folder) == 100
    assert names_in(folder) == []


def test_a_cache_that_is_cleared_from_the_page_meanwhile_is_written_to(folder, small, monkeypatch):
    class Cleared(dict):
        """Emptied by another thread as soon as it was asked for something."""

        def __contains__(self, key):
            return self.pop(key, None) is not None

        def get(self, key, default=None):
            return self.pop(key, default)

    monkeypatch.setattr(cache, "_since_looked", Cleared({folder: 7}))
    cache.write(folder / "increment-a.safetensors", b"y" * 120)
    assert dict(cache._since_looked) == {folder: 127}


def test_what_cannot_be_thrown_away_stays_and_nothing_fails(folder, small, monkeypatch):
    fill(folder, "increment-a.safetensors", "increment-b.safetensors")
    monkeypatch.setattr(cache.Path, "unlink", lambda *_: (_ for _ in ()).throw(PermissionError()))
    cache.write(folder / "increment-c.safetensors", b"y" * 120)
    assert len(names_in(folder)) == 3
    assert cache.clear(folder) == 0


def test_a_folder_that_is_not_there_holds_nothing(folder):
    assert cache.state(folder)["entries"] == cache.clear(folder) == 0
    cache.used(folder / "increment-a.safetensors")


def test_what_is_thrown_away_is_computed_again_and_what_is_there_from_before_is_ignored(
    model, clip, work, folder
):
    old = {"increment-0.safetensors": b"version 1", "run-0.json": b"[]", "captions-0": b""}
    folder.mkdir(parents=True)
    for name, data in old.items():
        (folder / name).write_bytes(data)
    first = erased(model, clip)
    before = cache.state(folder)
    assert before["entries"] > len(old)
    assert cache.clear(folder) == before["bytes"]
    assert names_in(folder) == []
    assert digests(erased(model, clip)) == digests(first)
    assert work == ["cat", "rose"] * 2


def test_reading_an_entry_keeps_it(model, clip, folder):
    erased(model, clip)
    written = 10**18 + 1  # nanoseconds, which no float holds
    for path in folder.iterdir():
        os.utime(path, ns=(written, written))
    erased(model, clip)
    given = {"concepts": "cat\nrose", "protected_concepts": "car\npizza", "preserve": ""}
    given |= {"preserve_list": "none", "method": "closed form", "resolution": 512, "mode": "exact"}
    rows = known_rows(given | {"templates": "\n".join(DEFAULT_TEMPLATES)})["rows"]
    assert [row["state"] for row in rows] == ["ready", "ready"]
    used = [*folder.glob("increment-*"), *folder.glob("run-*")]
    assert len(used) == 3
    assert all(path.stat().st_atime > 1.1e9 for path in used)
    assert {path.stat().st_mtime_ns for path in used} == {written}
