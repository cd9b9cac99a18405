"""A shared workflow on a machine without its files: what is missing, and computed again."""

import json
import shutil

import pytest
import torch
from comfy_execution.utils import CurrentNodeContext
from sepme_pack.nodes import concept_rows, files, kept
from sepme_pack.nodes.concepts import Concepts
from sepme_pack.nodes.eraser import Eraser
from sepme_pack.nodes.load_stack import LoadStack
from sepme_pack.nodes.stacks import Save
from sepme_pack.sepme_core.concepts import DEFAULT_TEMPLATES
from sepme_pack.sepme_core.errors import IncrementFileError
from server import PromptServer

from tests.adapters import models

LINES = ("cat | kitten", "rose -> car")
TEMPLATES = "\n".join(DEFAULT_TEMPLATES)


def concept_set(*lines):
    return Concepts.execute("\n".join(lines), TEMPLATES, "", "", "", "none").result[0]


@pytest.fixture
def loaded():
    with torch.inference_mode():
        return models.model("sd1")


@pytest.fixture
def shared(increments_folder, loaded, clip):
    """Rows as they stand in the workflow, of files that are there."""
    kept.forget()
    with torch.inference_mode(), CurrentNodeContext("prompt", "1"):
        _, stack, _ = Eraser.execute(
            loaded, clip, "\n".join(LINES), preserve_list="none", resolution=64
        ).result
    told = Save.execute(stack, "shared", False).ui["sepme_saved"]
    return [
        {"file": row["file"], "sha256": row["sha256"], "erases": line}
        for row, line in zip(told, LINES, strict=True)
    ]


@pytest.fixture
def work(monkeypatch):
    """Names of what is computed."""
    done = []
    compute = concept_rows.compute

    def counted(*args, **kwargs):
        done.extend(concept.name for concept in args[-1])
        return compute(*args, **kwargs)

    monkeypatch.setattr(concept_rows, "compute", counted)
    return done


def lose(folder, *names):
    """As it is on another machine: neither these files nor anything kept."""
    shutil.rmtree(folder / "cache", ignore_errors=True)
    for name in names:
        (folder / "shared" / f"{name}.safetensors").unlink()
    files.forget_list()


@torch.inference_mode()
def run(rows, *connected):
    PromptServer.instance.sent.clear()
    text = rows if isinstance(rows, str) else json.dumps({"version": 1, "rows": rows})
    with CurrentNodeContext("prompt", "1:2"):
        return LoadStack.execute(text, None, *connected)


def shown(output):
    return [(row["state"], row["text"]) for row in output.ui["sepme_rows"]]


def test_files_that_are_there_are_loaded_and_nothing_is_computed(shared, loaded, clip, work):
    output = run(shared, loaded, clip, concept_set(*LINES))
    assert output.result[0].names == ("cat", "rose")
    assert shown(output) == [("ready", ""), ("ready", "")]
    assert work == []


def test_what_is_missing_is_named_with_what_to_do(shared, increments_folder):
    lose(increments_folder, "rose")
    with pytest.raises(IncrementFileError) as refused:
        run(shared)
    assert "1 of 2 rows" in str(refused.value)
    assert "row 2, 'shared/rose.safetensors'" in str(refused.value)
    assert "SepME Concepts with the line 'rose -> car'" in str(refused.value)


def test_what_is_missing_is_computed_again_to_the_bit(
    shared, increments_folder, loaded, clip, work
):
    whole = run(shared).result[0]
    lose(increments_folder, "rose")
    before = sorted(increments_folder.glob("**/*.safetensors"))
    output = run(shared, loaded, clip, concept_set(*LINES))
    assert work == ["rose"]
    stack, report = output.result
    digests = [[e.increment.digest for e in each.entries] for each in (stack, whole)]
    assert digests[0] == digests[1]
    assert shown(output)[0] == ("ready", "")
    state, text = shown(output)[1]
    assert state == "computed"
    assert "the same to the bit" in text
    assert text in report
    fresh = set(increments_folder.glob("**/*.safetensors")) - set(before)
    assert {path.parent.name for path in fresh} == {"cache"}, "the library stays as it was"


def test_it_is_kept_and_other_settings_are_told(shared, increments_folder, loaded, clip, work):
    lose(increments_folder, "cat", "rose")
    concepts = concept_set(*LINES, "house")
    for _ in range(2):
        output = run(shared, loaded, clip, concepts)
        assert [state for state, _ in shown(output)] == ["computed", "computed"]
        assert all("not the same to the bit" in text for _, text in shown(output))
    assert work == ["cat", "rose"]
    unhashed = [{**row, "sha256": ""} for row in shared]
    assert "the same" not in run(unhashed, loaded, clip, concepts).result[1]


def test_plain_lines_find_their_concepts_by_the_files_names(increments_folder, loaded, clip, work):
    kept.forget()
    stack, _ = run("mine/Kitten 0.5\nrose off", loaded, clip, concept_set(*LINES)).result
    assert [(e.name, e.strength) for e in stack.entries] == [("cat", 0.5)]
    assert work == ["cat"]


def test_what_the_set_does_not_name_stays_missing(shared, increments_folder, loaded, clip):
    lose(increments_folder, "cat", "rose")
    with pytest.raises(IncrementFileError) as refused:
        run(shared, loaded, clip, concept_set("cat"))
    assert "1 of 2 rows" in str(refused.value)
    assert "add the line 'rose -> car' to SepME Concepts" in str(refused.value)


def test_what_cannot_be_erased_is_refused_with_its_reason(increments_folder, loaded, clip):
    kept.forget()
    twin = concept_set("rose", "rose ()", "cat")  # the same to the text encoder
    with pytest.raises(IncrementFileError, match="Its file is missing, and .*rose"):
        run("rose\ncat", loaded, clip, twin)
    told = [told["state"] for name, told in PromptServer.instance.sent if name == "sepme.row"]
    assert told[-2:] == ["refused", "computed"]
