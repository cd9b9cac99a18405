"""What nodes tell the page at once: one form for all, with the worst first."""

import asyncio
from dataclasses import replace

import pytest
import torch
from comfy_execution.utils import CurrentNodeContext
from sepme_pack.nodes import SepMEExtension, host
from sepme_pack.nodes.apply import Apply, Remove
from sepme_pack.nodes.certificate import CertificateNode
from sepme_pack.nodes.compare import Compare
from sepme_pack.nodes.compute import Compute
from sepme_pack.nodes.eraser import Eraser
from sepme_pack.nodes.export import ExportLoRA
from sepme_pack.nodes.load_stack import LoadStack
from sepme_pack.nodes.preserve import GENERAL, NONE
from sepme_pack.nodes.separate import Separate
from sepme_pack.nodes.stacks import Load, Save, StackNode
from sepme_pack.nodes.telling import Remark, told
from sepme_pack.sepme_core.denoiser import Progress
from sepme_pack.sepme_core.increment import Stack
from server import PromptServer

from tests.adapters import models
from tests.adapters.test_certificate import APPLY, HELD_OUT, without_each_other
from tests.adapters.test_compare import WIDGETS as COMPARE
from tests.adapters.test_compare import Vae
from tests.adapters.test_compute import WIDGETS as COMPUTE

RUNS = {
    Compute: lambda m, c, s: (m, c, models.CONCEPTS),
    Apply: lambda m, c, s: (m, s),
    Remove: lambda m, c, s: (Apply.execute(m, s, **APPLY).result[0], "cat"),
    StackNode: lambda m, c, s: (),
    Save: lambda m, c, s: (s, "told", True),
    Load: lambda m, c, s: ("told/cat.safetensors", True, 1.0),
    LoadStack: lambda m, c, s: ("told/cat\ntold/rose off",),
    Separate: lambda m, c, s: (s, m, c),
    CertificateNode: lambda m, c, s: (s, m, c, HELD_OUT),
    Compare: lambda m, c, s: (m, m, c, Vae()),
    ExportLoRA: lambda m, c, s: (s, "told", "", True, m),
    Eraser: lambda m, c, s: (m, c, "cat\nrose", "rose off"),
}
WIDGETS = {
    Compute: COMPUTE,
    Apply: APPLY,
    Compare: COMPARE | {"steps": 1, "n_per_prompt": 1},
    Eraser: {"protected_concepts": "dog", "preserve_list": "none", "resolution": 64},
}
HEADLINES = {
    Compute: "1 concept computed",
    Apply: "2 concepts erased, exact",
    Remove: "cat given back",
    StackNode: "2 increments",
    Save: "2 files written",
    Load: "cat loaded",
    LoadStack: "1 of 2 rows on",
    Separate: "2 increments separated",
    CertificateNode: "Nothing leaks",
    Compare: "2 of 2 pictures are identical, to the bit.",
    ExportLoRA: "told.safetensors written",
    Eraser: "1 of 2 concepts erased",
}
LISTS = [GENERAL, NONE]
MARKUP = "<img src=x onerror=alert(1)>"
MEASURING = (Compute, Separate, CertificateNode, Eraser)


@torch.inference_mode()
def run(node, model, clip, stack):
    """What the page is told of a run."""
    given = WIDGETS.get(node, {"stack_1": stack} if node is StackNode else {})
    with CurrentNodeContext("prompt", "7"):
        return node.execute(*RUNS[node](model, clip, stack), **given).ui


@pytest.mark.parametrize("node", RUNS, ids=lambda n: n.__name__)
def test_every_node_tells_its_state_in_one_form(node, model, clip, increments_folder, loras):
    stack = models.stack(model, clip, "cat", "rose")
    if node in (Load, LoadStack):
        run(Save, model, clip, stack)
    shown = run(node, model, clip, stack)
    assert all(isinstance(value, list) for value in shown.values()), "the host joins lists"
    (text,), (state,) = shown["sepme_report"], shown["sepme_state"]
    assert text
    assert state.keys() == {"level", "headline", "margin"}
    assert (state["margin"] is not None) == (node in MEASURING)
    assert state["headline"] == HEADLINES[node] or state["level"] != "ok"
    assert len(state["headline"]) < 80


def test_no_node_with_something_to_report_is_left_out():
    nodes = asyncio.run(SepMEExtension().get_node_list())
    left = [node.define_schema() for node in nodes if node not in RUNS]
    assert left, "Concepts gives what it is given"
    assert not {given.display_name for schema in left for given in schema.outputs} & {
        "report",
        "model",
        "stack",
    }


def test_the_worst_stands_in_the_headline_and_all_of_it_in_the_report():
    remarks = [Remark("a note", "More of it.", "note"), Remark("a warning", "What to do.")]
    shown = told("all is well", "The report.", remarks, 0.5, sepme_rows=[1])
    assert shown == {
        "sepme_report": ["The report.\n\nMore of it.\n\nWhat to do."],
        "sepme_state": [{"level": "warning", "headline": "a warning (+1)", "margin": 0.5}],
        "sepme_rows": [1],
    }
    quiet = told("all is well")
    assert quiet["sepme_report"] == ["all is well"]
    assert quiet["sepme_state"] == [{"level": "ok", "headline": "all is well", "margin": None}]


def test_increments_that_do_not_know_each_other_are_a_warning_on_the_node(model, clip):
    strangers = without_each_other(models.stack(model, clip, "cat", "rose"))
    for node in (Apply, StackNode):
        (state,) = run(node, model, clip, strangers)["sepme_state"]
        assert state["level"] == "warning"
        assert state["headline"] == "'cat' does not protect 'rose' and 1 more"


@pytest.mark.parametrize(("node", "module"), [(Compute, "compute"), (Eraser, "concept_rows")])
def test_a_narrow_margin_is_noted(node, module, model, clip, increments_folder, monkeypatch):
    stack = models.stack(model, clip, "cat", "rose")
    assert run(node, model, clip, stack)["sepme_state"][0]["level"] == "ok"
    monkeypatch.setattr(f"sepme_pack.nodes.{module}.NARROW_MARGIN", 10.0)
    (state,) = run(node, model, clip, stack)["sepme_state"]
    assert state["level"] == "note"
    assert "hard to tell from " in state["headline"]
    assert 0 < state["margin"] < 10


def test_names_of_strangers_leave_for_the_page_as_letters_that_are_no_markup(model, clip):
    server = PromptServer.instance
    server.told.clear()
    with CurrentNodeContext("prompt", "7"):
        host.show_text(f"{MARKUP} &amp; [[win|http://a.b]]")
        host.NodeProgress()(Progress(MARKUP, 1, 2))
    assert [text for _, text in server.told] == [
        "‹img src=x onerror=alert(1)› &amp; [ [win|http://a.b]]",
        "‹img src=x onerror=alert(1)›: 1 of 2 concepts",
    ]
    assert host.inert("a 'plain' name: Cézanne & co.") == "a 'plain' name: Cézanne & co."


def test_names_that_a_menu_would_take_for_markup_are_not_offered(increments_folder):
    made = increments_folder / "preserve"
    made.mkdir(parents=True)
    for folder, ending in ((increments_folder, "safetensors"), (made, "txt")):
        (folder / f"<img src=x onerror=alert(1)>.{ending}").touch()
        (folder / f"plain.{ending}").touch()
    options = {
        i.id: list(i.options)
        for node in (Load, Eraser)
        for i in node.define_schema().inputs
        if i.id in ("increment", "preserve_list")
    }
    assert options == {"increment": ["plain.safetensors"], "preserve_list": [*LISTS, "plain.txt"]}


def test_only_the_page_that_queued_hears_of_a_run(model, clip, monkeypatch):
    server = PromptServer.instance
    strangers = without_each_other(models.stack(model, clip, "cat", "rose"))
    monkeypatch.setattr(server, "client_id", "mine")
    server.listeners.clear()
    run(Apply, model, clip, strangers)
    run(Compute, model, clip, strangers)
    assert server.listeners == {"mine"}
    monkeypatch.setattr(server, "client_id", None)  # queued by a script
    server.listeners.clear()
    run(Apply, model, clip, strangers)
    run(Compute, model, clip, strangers)
    assert server.listeners == set(), "nobody asked, and nobody else is told"


def twin(stack, name):
    """The first increment as another day would have computed it, under another name."""
    increment = stack.entries[0].increment
    concept = replace(increment.concept, name=name, synonyms=(increment.concept.name,))
    return Stack.of([replace(increment, concept=concept)])


def test_one_concept_in_two_increments_is_told_with_both_names(model, clip, increments_folder):
    cat = models.stack(model, clip, "cat")
    both = cat + twin(cat, "kitten")
    erasing = host.apply_merged(model, twin(cat, "kitten"), host.Window())
    for said in (
        run(StackNode, model, clip, both),
        run(Apply, model, clip, both),
        run(Apply, erasing, clip, cat),
    ):
        assert said["sepme_state"][0]["headline"] == "'cat' acts twice"
        assert "'cat' and 'kitten' act twice (both hold 'cat')" in said["sepme_report"][0]
    assert "exact and merged" in said["sepme_report"][0]


def test_windows_that_overlap_are_told_and_the_same_increment_counts_once(model, clip):
    cat = models.stack(model, clip, "cat")
    early = host.apply_exact(model, cat, host.Window(0.0, 0.6))
    late = Apply.execute(early, cat, **APPLY | {"start_percent": 0.5})
    assert "from 0.5 to 0.6 of the sampling" in late.ui["sepme_report"][0]
    again = Apply.execute(early, cat, **APPLY)
    (state,) = again.ui["sepme_state"]
    assert (state["level"], state["headline"]) == ("note", "'cat' was erased already")
    assert "counts once" in again.ui["sepme_report"][0]
