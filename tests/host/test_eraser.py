"""Erasing as artists do it, through a real server: typed, switched, saved, loaded, compared."""

import json

import pytest

from launch.demo import CHECKPOINT

pytestmark = pytest.mark.host

MODEL, CLIP, VAE = ["1", 0], ["1", 1], ["1", 2]


def erasing(rows, concepts="cat\ndog"):
    inputs = {"model": MODEL, "clip": CLIP, "concepts": concepts, "rows": json.dumps(rows)}
    return {"2": {"class_type": "SepME_Eraser", "inputs": inputs}}


def saving():
    inputs = {"stack": ["2", 1], "folder": "artist", "overwrite": True}
    return {"6": {"class_type": "SepME_Save", "inputs": inputs}}


def loading(rows):
    apply = {"model": MODEL, "stack": ["7", 0], "mode": "exact", "strength": 1.0}
    apply |= {"start_percent": 0.0, "end_percent": 1.0, "prompts": "both", "off": ""}
    return {
        "7": {"class_type": "SepME_LoadStack", "inputs": {"rows": rows}},
        "2": {"class_type": "SepME_Apply", "inputs": apply},
    }


def run(server, nodes):
    """Compares a cat and a dog before and after; outputs by node, and the two verdicts."""
    load = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": CHECKPOINT}}
    compare = {"before": MODEL, "after": ["2", 0], "clip": CLIP, "vae": VAE}
    compare |= {"prompts": "a photo of a cat\na photo of a dog", "negative": "", "seed": 0}
    compare |= {"n_per_prompt": 1, "steps": 2, "cfg": 4.0, "sampler": "euler"}
    compare |= {"scheduler": "normal", "width": 64, "height": 64, "difference": False}
    shown = {"class_type": "PreviewAny", "inputs": {"source": ["3", 2]}}
    grid = {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}}
    own = {
        "1": load,
        "3": {"class_type": "SepME_Compare", "inputs": compare},
        "4": shown,
        "5": grid,
    }
    outputs = server.run(own | nodes, timeout=300)["outputs"]
    *_, cat, dog = outputs["4"]["text"][0].splitlines()
    return outputs, ("identical" in cat, "identical" in dog)


def test_typed_switched_saved_and_loaded_again(server, base_directory):
    outputs, identical = run(server, erasing({}) | saving())
    assert identical == (False, False)
    assert [row["state"] for row in outputs["2"]["sepme_rows"]] == ["ready", "ready"]
    cache = base_directory / "models" / "sepme" / "cache"
    kept = {path: path.stat().st_mtime_ns for path in cache.glob("increment-*")}
    assert len(kept) == 2

    outputs, identical = run(server, erasing({"version": 1, "rows": {"cat": {"on": False}}}))
    assert identical == (True, False)
    assert "- cat: off" in outputs["2"]["sepme_report"][0]
    assert {path: path.stat().st_mtime_ns for path in cache.glob("increment-*")} == kept

    files = [f"artist/{name}.safetensors" for name in ("cat", "dog")]
    listed = {entry["file"]: entry for entry in server.get("/sepme/library")["files"]}
    assert [listed[file]["concept"] for file in files] == ["cat", "dog"]
    assert not any(file.startswith("cache") for file in listed)
    assert listed == {e["file"]: e for e in server.get("/api/sepme/library")["files"]}

    outputs, identical = run(server, loading(f"{files[0]}\n{files[1]} off"))
    assert identical == (False, True)
    assert [row["state"] for row in outputs["7"]["sepme_rows"]] == ["ready", "off"]


def test_saving_the_model_draws_nothing_again_and_is_warned_of_where_it_is_saved(
    server, base_directory
):
    def cached(nodes):
        load = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": CHECKPOINT}}
        messages = server.run({"1": load} | erasing({}) | nodes)["status"]["messages"]
        return next(set(data["nodes"]) for kind, data in messages if kind == "execution_cached")

    inputs = {"model": ["2", 0], "filename_prefix": "diffusion_models/erased"}
    saving = {"8": {"class_type": "ModelSave", "inputs": inputs}}
    shown = {"4": {"class_type": "PreviewAny", "inputs": {"source": ["2", 2]}}}
    cached(shown)
    assert {"1", "2"} <= cached(shown | saving)
    assert list((base_directory / "output" / "diffusion_models").glob("erased_*"))
    assert "What is written here still draws 'cat', 'dog'" in server.log()


def test_what_was_deleted_is_saved_again_by_the_same_workflow(server, base_directory):
    file = base_directory / "models" / "sepme" / "artist" / "cat.safetensors"
    nodes = erasing({}, "cat") | saving()
    run(server, nodes)
    server.post("/sepme/library/delete", {"file": "artist/cat.safetensors"})
    assert not file.exists()
    run(server, nodes)
    assert file.exists()
