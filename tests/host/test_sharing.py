"""A shared workflow, opened with its files and without them, on a real server."""

import json

import pytest

from launch.cache import REPOSITORY
from launch.workflow import to_prompt

pytestmark = pytest.mark.host

DRAWING = ("KSampler", "LatentBatch", "VAEDecode", "ImageScale", "SaveImage", "PreviewImage")


def prompt(server, name):
    """An example without its pictures."""
    file = REPOSITORY / "example_workflows" / f"{name}.json"
    whole = to_prompt(json.loads(file.read_text(encoding="utf-8")), server.object_info())
    return {key: node for key, node in whole.items() if node["class_type"] not in DRAWING}


def rows_of(server, nodes):
    outputs = server.run(nodes)["outputs"]
    (rows,) = [output["sepme_rows"] for output in outputs.values() if "sepme_rows" in output]
    return [row["state"] for row in rows]


def test_it_is_computed_without_its_files_and_loaded_with_them(server, base_directory):
    example = prompt(server, "6_open_a_shared_workflow")
    (stack,) = [n for n in example.values() if n["class_type"] == "SepME_LoadStack"]
    (apply,) = [n for n in example.values() if n["class_type"] == "SepME_Apply"]
    assert apply["inputs"]["model"] == stack["inputs"]["model"]
    assert rows_of(server, example) == ["off", "computed", "computed"]
    assert not (base_directory / "models" / "sepme" / "example").exists()

    outputs = server.run(prompt(server, "5_save_and_share"))["outputs"]
    (saved,) = [output["sepme_saved"] for output in outputs.values() if "sepme_saved" in output]
    assert rows_of(server, example) == ["off", "ready", "ready"]

    rows = json.loads(stack["inputs"]["rows"])
    for row, file in zip(rows["rows"], saved, strict=True):
        assert row["file"] == file["file"]
        row["sha256"] = file["sha256"]
    stack["inputs"]["rows"] = json.dumps(rows)
    assert rows_of(server, example) == ["off", "ready", "ready"]
    rows["rows"][1]["sha256"] = saved[0]["sha256"]
    stack["inputs"]["rows"] = json.dumps(rows)
    assert rows_of(server, example) == ["off", "replaced", "ready"]


def test_a_published_checkpoint_draws_without_sepme_what_the_merged_model_draws(
    server, base_directory
):
    baked = prompt(server, "8_publish_a_checkpoint")
    server.run({key: n for key, n in baked.items() if n["class_type"] != "SepME_Compare"})
    (file,) = (base_directory / "output" / "checkpoints").glob("sepme_without_outline_*")
    file.rename(base_directory / "models" / "checkpoints" / "published.safetensors")

    (loader,) = [key for key, n in baked.items() if n["class_type"] == "CheckpointLoaderSimple"]
    (apply,) = [key for key, n in baked.items() if n["class_type"] == "SepME_Apply"]
    published = {"ckpt_name": "published.safetensors"}
    compare = next(n for n in baked.values() if n["class_type"] == "SepME_Compare")
    compare["inputs"] |= {"prompts": "cat, outline style\na photo of a rocket", "steps": 2}
    added = {
        "new": {"class_type": "CheckpointLoaderSimple", "inputs": published},
        "compared": {**compare, "inputs": compare["inputs"] | {"before": ["new", 0]}},
        "again": {**compare, "inputs": compare["inputs"] | {"before": [loader, 0]}},
        "report": {"class_type": "PreviewAny", "inputs": {"source": ["compared", 2]}},
        "changed": {"class_type": "PreviewAny", "inputs": {"source": ["again", 2]}},
    }
    assert compare["inputs"]["after"] == [apply, 0]
    kept = ("CheckpointLoaderSimple", "SepME_Concepts", "SepME_Compute", "SepME_Apply")
    outputs = server.run({k: n for k, n in baked.items() if n["class_type"] in kept} | added)
    told = {key: outputs["outputs"][key]["text"][0] for key in ("report", "changed")}
    assert told["report"].startswith("2 of 2 pictures are identical")
    assert told["changed"].startswith("0 of 2 pictures are identical")
