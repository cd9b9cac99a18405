"""The re-separation node: the lists it looks for, and when it runs again."""

from dataclasses import replace

import pytest
import torch
from comfy_execution.utils import CurrentNodeContext
from sepme_pack.nodes.separate import Separate
from sepme_pack.sepme_core.increment import Stack
from sepme_pack.sepme_core.preserve import list_digest

from tests.adapters import models

CAPTIONS = ("a street in the rain", "two people at a table", "an old map")
DIGEST = list_digest(CAPTIONS)


@pytest.fixture
def folder(increments_folder):
    """Where `models/sepme/preserve` is, empty."""
    made = increments_folder / "preserve"
    made.mkdir(parents=True)
    return made


def made_with(stack, digest):
    """The same increments, as if each had been computed with a preserve list."""
    increments = [entry.increment for entry in stack.entries]
    methods = [i.provenance.method | {"preserve": digest} for i in increments]
    return Stack.of(
        replace(i, provenance=replace(i.provenance, method=method))
        for i, method in zip(increments, methods, strict=True)
    )


@torch.inference_mode()
def run(stack, model, clip):
    """As the host runs a node: the digests of the lists that were used, and the report."""
    with CurrentNodeContext("prompt", "7"):
        after, text = Separate.execute(stack, model, clip).result
    return {e.increment.provenance.method["preserve"] for e in after.entries}, text


def test_a_list_in_the_folder_is_used_and_a_missing_one_is_said(folder, model, clip):
    stack = made_with(models.stack(model, clip, "cat", "rose"), DIGEST)
    used, text = run(stack, model, clip)
    assert used == {""}
    assert text.count("the preserve list it was made with is not in models/sepme/preserve") == 2
    (folder / "mine.txt").write_text("\n".join(CAPTIONS), "utf-8")
    used, text = run(stack, model, clip)
    assert used == {DIGEST}
    assert "is not in models" not in text


def test_the_node_runs_again_when_a_list_comes_or_changes_and_only_then(folder):
    stamps = [Separate.fingerprint_inputs()]
    assert Separate.fingerprint_inputs() == stamps[0]
    for text in ("a boat", "a boat\na tree"):
        (folder / "mine.txt").write_text(text, "utf-8")
        stamps.append(Separate.fingerprint_inputs())
    assert len(set(stamps)) == 3
