"""The certificate's node on the host's own models, and stacks that tell of strangers."""

import logging
from dataclasses import replace

import pytest
import torch
from comfy_execution.utils import CurrentNodeContext
from sepme_pack.nodes import host
from sepme_pack.nodes.apply import Apply
from sepme_pack.nodes.certificate import CertificateNode
from sepme_pack.nodes.certificate_plot import certificate_plot
from sepme_pack.nodes.stacks import Load, Save, StackNode
from sepme_pack.sepme_core.certificate import Certificate, LeakMatrix, Margin
from sepme_pack.sepme_core.concepts import Concept
from sepme_pack.sepme_core.errors import ConceptError, IncompatibleError
from sepme_pack.sepme_core.increment import Increment, Stack
from sepme_pack.sepme_core.leak import Leak
from server import PromptServer

from tests.adapters import models

HELD_OUT = "my {} today\nlook at {}"
APPLY = {
    "mode": "exact",
    "strength": 1.0,
    "start_percent": 0.0,
    "end_percent": 1.0,
    "prompts": "both",
    "off": "",
}


@torch.inference_mode()
def run(node, *args, **given):
    """As the host runs a node."""
    with CurrentNodeContext("prompt", "7"):
        return node.execute(*args, **given).result


@pytest.fixture(autouse=True)
def told(caplog):
    """What is written on nodes while they run."""
    caplog.set_level(logging.WARNING)
    PromptServer.instance.told.clear()
    return PromptServer.instance.told


def without_each_other(stack):
    """The same increments, as if each had been computed without the others."""
    made = [
        replace(i, provenance=replace(i.provenance, protected=("", "car")))
        for i in (entry.increment for entry in stack.entries)
    ]
    return Stack.of(made)


def test_node_gives_report_and_picture_and_leaves_the_model_alone(model, clip, told):
    stack = models.stack(model, clip, "cat", "rose")
    before = models.weights_digest(model.model)
    text, picture = run(CertificateNode, stack, model, clip, HELD_OUT)
    assert models.weights_digest(model.model) == before
    assert text.startswith("Certificate of cat, rose")
    assert "LEAKING" not in text
    assert "my {} today; look at {}" in text
    assert picture.shape[0] == 1
    assert picture.shape[3] == 3
    assert 0 <= float(picture.min()) < float(picture.max()) <= 1
    assert any("prompts" in said for node, said in told if node == "7")


def test_applied_increments_do_not_change_the_certificate(model, clip):
    stack = models.stack(model, clip, "cat", "rose")
    erasing = host.apply_exact(model, stack, host.Window())
    plain, *_ = run(CertificateNode, stack, model, clip, HELD_OUT)
    again, *_ = run(CertificateNode, stack, erasing, clip, HELD_OUT)
    assert again == plain


def test_what_does_not_belong_together_is_refused(model, clip, clip_xl):
    stack = models.stack(model, clip, "cat")
    other = models.clip("sd1", seed=5)
    with pytest.raises(IncompatibleError, match="another text encoder"):
        run(CertificateNode, stack, model, other, HELD_OUT)
    with pytest.raises(IncompatibleError, match="'cat'"):
        run(CertificateNode, unsigned(stack), models.model("sdxl"), clip_xl, HELD_OUT)
    with pytest.raises(ConceptError, match="empty"):
        run(CertificateNode, Stack(), model, clip, HELD_OUT)
    with pytest.raises(ConceptError, match="No held-out sentence"):
        run(CertificateNode, stack, model, clip, "# nothing\n")


def unsigned(stack):
    (entry,) = stack.entries
    made = replace(entry.increment.provenance, text_encoder="")
    return Stack.of([replace(entry.increment, provenance=made)])


def test_cancelling_reaches_the_certificate(model, clip, monkeypatch):
    management = host.running.comfy.model_management
    stack = models.stack(model, clip, "cat")
    management.interrupt_current_processing()
    with pytest.raises(management.InterruptProcessingException):
        run(CertificateNode, stack, model, clip, HELD_OUT)
    run(CertificateNode, stack, model, clip, HELD_OUT)


def test_stack_that_knows_itself_passes_quietly(model, clip, told, caplog):
    stack = models.stack(model, clip, "cat", "rose")
    run(StackNode, stack_1=stack)
    run(Apply, model, stack, **APPLY)
    assert told == []
    assert caplog.text == ""


def test_strangers_are_told_of_once_by_each_node(model, clip, told, caplog, increments_folder):
    strangers = without_each_other(models.stack(model, clip, "cat", "rose"))
    cat, rose = (Stack((entry,)) for entry in strangers.entries)
    run(Save, strangers, "", False)
    told.clear()
    for node, args, given in (
        (StackNode, (), {"stack_1": cat, "stack_2": rose}),
        (Load, ("rose.safetensors", True, 1.0, cat), {}),
        (Apply, (model, strangers), APPLY),
        (Apply, (host.apply_exact(model, cat, host.Window()), rose), APPLY),
        (Apply, (model, strangers), {**APPLY, "off": "rose"}),
    ):
        caplog.clear()
        told.clear()
        run(node, *args, **given)
        assert len(caplog.records) == len(told) == 1
        ((at, text),) = told
        assert at == "7"
        assert text in caplog.text
        assert "'cat' was computed without 'rose'" in text
        assert "SepME Separate" in text
        assert "SepME Certificate" in text


def test_one_increment_alone_is_no_stranger(model, clip, told):
    strangers = without_each_other(models.stack(model, clip, "cat", "rose"))
    run(Apply, model, Stack(strangers.entries[:1]), **APPLY)
    assert told == []


def certificate(n, leak=0.0, separable=True):
    own = torch.eye(n, dtype=torch.bool)
    values = torch.full((n, n), leak).masked_fill(own, 1.0)
    margin = Margin(0.8, 0.2, "a dog", 0.5)
    matrix = LeakMatrix(values, values, (Leak(leak, leak, ""),) * n, (margin,) * n, (1.0,) * n)
    return Certificate(
        tuple(f"a concept with a long name {k}" for k in range(n)),
        (separable,) * n,
        matrix,
        matrix,
        ("my {}",),
        min(4 * n, 768),
        768,
        own,
        own,
    )


@pytest.mark.parametrize("n", [1, 2, 12, 13, 70])
def test_picture_of_any_number_of_concepts_is_finite_and_not_cut(n):
    (picture,) = certificate_plot(certificate(n))
    assert bool(torch.isfinite(picture).all())
    border = [picture[:4], picture[-4:], picture[:, :4], picture[:, -4:]]
    assert all(float(edge.min()) == 1 for edge in border), "the border stays white"


def test_picture_shows_a_leak_and_what_cannot_be_separated():
    pictures = [
        certificate_plot(made)
        for made in (certificate(3), certificate(3, 1e-5), certificate(3, 1e-2))
    ]
    assert not torch.equal(pictures[0], pictures[1])
    assert not torch.equal(pictures[1], pictures[2])
    assert not torch.equal(pictures[0], certificate_plot(certificate(3, separable=False)))


def test_unconstrained_increment_is_marked(model, clip):
    full = {k: 0.1 * w for k, w in host.text_only_weights(model).items()}
    loose = Increment(Concept("gore"), torch.zeros(0, 0), {}, full)
    text, _ = run(CertificateNode, Stack.of([loose]), model, clip, HELD_OUT)
    assert "NOT SEPARABLE: 'gore'" in text
