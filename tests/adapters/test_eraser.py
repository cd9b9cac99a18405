"""The one-node way: computed once, kept, switched."""

import json

import pytest
import torch
from comfy_execution.utils import CurrentNodeContext
from sepme_pack.nodes import concept_rows, eraser, host, kept
from sepme_pack.nodes.eraser import TEMPLATES, Eraser
from sepme_pack.nodes.last_run import known_rows
from sepme_pack.sepme_core.errors import ConceptError
from sepme_pack.sepme_core.increment_file import read_increment
from server import PromptServer

from tests.adapters import models

TWIN = "rose ()"  # the same to the text encoder
SMALL = {"preserve_list": "none", "resolution": 64}


@torch.inference_mode()
def run(model, clip, concepts="cat\nrose", rows="", **changed):
    """As the host runs a node, with what its page was told."""
    PromptServer.instance.sent.clear()
    if not isinstance(rows, str):
        rows = json.dumps({"version": 1, "rows": rows})
    with CurrentNodeContext("prompt", "1:2"):
        return Eraser.execute(model, clip, concepts, rows, **(SMALL | changed))


def states(concept):
    """What was told of a concept, repetitions left out."""
    told = [e["state"] for name, e in PromptServer.instance.sent if name == "sepme.row"]
    named = [e["concept"] for name, e in PromptServer.instance.sent if name == "sepme.row"]
    own = [state for state, name in zip(told, named, strict=True) if name == concept]
    return [state for i, state in enumerate(own) if i == 0 or state != own[i - 1]]


@pytest.fixture
def folder(increments_folder):
    """An empty `models/sepme`, and nothing in memory either."""
    kept.forget()
    return increments_folder


@pytest.fixture
def loaded():
    with torch.inference_mode():
        return models.model("sd1")


@pytest.fixture
def work(monkeypatch):
    """Counts what is computed, and every batch that goes through the text encoder."""
    done = {"computed": [], "encoded": 0}
    compute = concept_rows.compute

    def counted(session, clip, kept, chosen, **more):
        done["computed"] += [c.name for c in chosen]
        return compute(session, clip, kept, chosen, **more)

    monkeypatch.setattr(concept_rows, "compute", counted)
    return done


@pytest.fixture
def encoding(clip, work, monkeypatch):
    encode = clip.encode_from_tokens

    def counted(*args, **kwargs):
        work["encoded"] += 1
        return encode(*args, **kwargs)

    monkeypatch.setattr(clip, "encode_from_tokens", counted)
    return work


def test_what_is_typed_is_erased_and_the_model_stays_as_it_was(folder, loaded, clip):
    before = models.weights_digest(loaded.model)
    output = run(loaded, clip, protected_concepts="car")
    erasing, stack, report = output.result
    assert models.weights_digest(loaded.model) == before
    assert stack.names == ("cat", "rose")
    assert "2 concepts: 2 erased, 0 off, 0 refused" in report
    assert "Nothing is protected" not in report
    assert states("cat") == ["computing", "ready"]
    assert [row["state"] for row in output.ui["sepme_rows"]] == ["ready", "ready"]
    (fits,) = output.ui["sepme_model"]  # so that the page can tell which files fit
    assert fits["text_encoder"] == stack.entries[0].increment.provenance.text_encoder
    for prompt in ("a photo of a cat", "rose"):
        plain = models.draw(loaded, clip, prompt)
        assert not torch.equal(models.draw(erasing, clip, prompt), plain)
    for prompt in ("", "a photo of a car"):
        assert torch.equal(models.draw(erasing, clip, prompt), models.draw(loaded, clip, prompt))


def test_switching_never_computes_nor_encodes_again(folder, loaded, clip, encoding):
    erasing, *_ = run(loaded, clip).result
    assert encoding["computed"] == ["cat", "rose"]
    assert encoding["encoded"] > 0
    first = encoding["encoded"]
    for rows in ({"cat": {"on": False}}, "cat 0.5\nrose off", {"CAT": {"strength": 0.5}}, ""):
        again, *_ = run(loaded, clip, rows=rows).result
    assert encoding["encoded"] == first
    assert encoding["computed"] == ["cat", "rose"]
    assert again.model is erasing.model is loaded.model  # the host has nothing to load
    assert again.patches_uuid == erasing.patches_uuid == loaded.patches_uuid
    run(loaded, clip, "cat\nrose\ndog")
    assert encoding["encoded"] > first


def test_an_off_row_is_drawn_to_the_bit_and_an_on_one_is_not(folder, loaded, clip):
    _, stack, _ = run(loaded, clip).result
    output = run(loaded, clip, rows="cat off")
    erasing, both, report = output.result
    assert [(e.name, e.enabled) for e in both.entries] == [("cat", False), ("rose", True)]
    assert [e.increment.digest for e in both.entries] == [e.increment.digest for e in stack.entries]
    assert "- cat: off" in report
    for each in (output, run(erasing, clip, "dog")):  # what was erased before protects nobody
        assert "SepME Neighbours suggests names" in each.ui["sepme_report"][0]
    assert torch.equal(models.draw(erasing, clip, "cat"), models.draw(loaded, clip, "cat"))
    assert not torch.equal(models.draw(erasing, clip, "rose"), models.draw(loaded, clip, "rose"))


def test_what_is_off_from_the_start_is_computed_when_it_is_switched_on(folder, loaded, clip, work):
    _, stack, report = run(loaded, clip, rows={"rose": {"on": False}}).result
    assert stack.names == ("cat",)
    assert "- rose: off, not computed yet" in report
    assert states("rose") == ["off"]
    _, stack, _ = run(loaded, clip).result
    assert stack.names == ("cat", "rose")
    assert work["computed"] == ["cat", "rose"]


@pytest.mark.parametrize(
    "changed",
    [
        {"concepts": "cat\nrose\ndog"},
        {"concepts": "cat -> dog\nrose"},
        {"protected_concepts": "car"},
        {"preserve": "a caption of something else\nanother one"},
        {"templates": "in the style of {}"},
    ],
)
def test_whatever_an_increment_depends_on_makes_it_another_one(folder, changed, clip, work):
    with torch.inference_mode():
        model = models.model("sd1")
    run(model, clip)
    run(model, clip, **changed)
    assert work["computed"].count("cat") == 2
    run(model, clip, **changed)
    run(model, clip, "rose\ncat", rows="cat 0.2", mode="merged", prompts_to_check="a cat")
    assert work["computed"].count("cat") == 2, "and what it does not depend on does not"


def test_another_model_or_encoder_has_increments_of_its_own(folder, loaded, clip, work):
    run(loaded, clip)
    run(models.model("sd1", seed=3), clip)
    run(loaded, models.clip("sd1", seed=3))
    assert work["computed"].count("cat") == 3
    run(models.model("sd1"), clip)
    assert work["computed"].count("cat") == 3


def test_a_damaged_file_is_computed_again(folder, loaded, clip, work, caplog):
    _, stack, _ = run(loaded, clip).result
    for path in (folder / "cache").glob("increment-*.safetensors"):
        path.write_bytes(path.read_bytes()[:100])
    _, again, _ = run(loaded, clip).result
    assert "is computed again" in caplog.text
    assert work["computed"] == ["cat", "rose"] * 2
    assert again.entries[0].increment.digest == stack.entries[0].increment.digest
    run(loaded, clip)
    assert len(work["computed"]) == 4


def test_where_nothing_can_be_written_it_goes_on_and_says_so(
    folder, loaded, clip, work, monkeypatch
):
    folder.mkdir(parents=True)
    (folder / "cache").write_text("in the way")
    _, stack, report = run(loaded, clip).result
    assert len(stack) == 2
    assert "Nothing could be kept on disk" in report
    run(loaded, clip, rows="cat off")
    assert work["computed"] == ["cat", "rose"], "memory serves for as long as the host runs"
    kept.forget()
    (folder / "cache").unlink()
    assert "Nothing could be kept" not in run(loaded, clip).result[2]
    assert len(work["computed"]) == 4


def test_a_refused_concept_does_not_keep_the_others_from_it(folder, loaded, clip, work):
    text = "cat\nrose\ndog"
    erasing, stack, report = run(loaded, clip, text, protected_concepts=TWIN).result
    assert stack.names == ("cat", "dog")
    assert "3 concepts: 2 erased, 0 off, 1 refused" in report
    assert "- rose: REFUSED. 'rose' cannot be erased" in report
    assert states("rose") == ["computing", "refused"]
    assert states("cat") == ["computing", "ready"]
    assert not torch.equal(models.draw(erasing, clip, "cat"), models.draw(loaded, clip, "cat"))
    work["computed"].clear()
    _, stack, report = run(loaded, clip, text, protected_concepts=TWIN, rows="dog off").result
    assert "REFUSED" in report
    assert work["computed"] == [], "refusals are kept as well"


def told_before(changed):
    """What the page is told of rows that have not been run in it."""
    texts = {"concepts": "cat\nrose", "protected_concepts": "", "preserve": "", "mode": "exact"}
    given = SMALL | texts | {"method": "closed form", "templates": TEMPLATES} | changed
    return {row["concept"]: row["state"] for row in known_rows(given)["rows"]}


def texts_of(**changed):
    texts = {"concepts": "cat\nrose", "protected_concepts": "", "preserve": "", "mode": "exact"}
    given = SMALL | texts | {"method": "closed form", "templates": TEMPLATES} | changed
    return known_rows(given)["texts"]


def test_a_run_tells_which_texts_it_was_queued_with(folder, loaded, clip):
    output = run(loaded, clip, rows="rose off")
    sent = [told for event, told in PromptServer.instance.sent if event == "sepme.row"]
    assert {row["texts"] for row in [*sent, *output.ui["sepme_rows"]]} == {texts_of()}
    same = [{"concepts": " rose\n\ncat"}, {"mode": "merged"}, {"resolution": 512}]
    assert {texts_of(**changed) for changed in same} == {texts_of()}
    others = [{"protected_concepts": "car"}, {"concepts": "cat"}, {"method": "refine"}]
    others.append({"templates": "{} style"})
    assert len({texts_of(**changed) for changed in [{}, *others]}) == 5


def test_what_is_there_is_known_before_a_run(folder, loaded, clip):
    assert told_before({}) == {}
    run(loaded, clip, rows="rose off")
    assert told_before({}) == {"cat": "ready"}
    run(loaded, clip, rows="cat off")
    assert told_before({"concepts": " rose\ncat"}) == {"cat": "ready", "rose": "ready"}
    others = [{"concepts": "cat"}, {"method": "refine"}, {"protected_concepts": "car"}]
    for other in (*others, {"templates": "{} style"}):
        assert told_before(other) == {}
    run(loaded, clip, protected_concepts=TWIN)
    assert told_before({"protected_concepts": TWIN}) == {"cat": "ready", "rose": "refused"}
    for path in (folder / "cache").glob("increment-*"):
        path.unlink()
    assert told_before({}) == {}
    (folder / "cache" / next((folder / "cache").glob("run-*")).name).write_text("[]")
    assert told_before({}) == {}


def test_resolution_0_trains_on_pictures_of_the_models_own_size(folder, loaded, clip, monkeypatch):
    drawn = []

    def missing(_model, _clip, kept, *_, **__):
        drawn.append(kept.task.resolution)
        return []

    monkeypatch.setattr(eraser, "compute_missing", missing)
    for resolution in (0, 64):
        run(loaded, clip, method="refine", resolution=resolution)
    assert drawn == [host.picture_size(loaded)[0], 64]


def test_increments_are_saved_where_one_says_and_a_file_in_the_way_stays(folder, loaded, clip):
    report = run(loaded, clip, rows="rose off", save_to="mine").result[2]
    assert [path.name for path in folder.glob("*/*.safetensors") if path.parent.name == "mine"] == [
        "cat.safetensors"
    ], "what has not been computed cannot be saved"
    assert "1 file written:" in report
    _, stack, report = run(loaded, clip, save_to="mine").result
    assert "1 file written, 1 there already:" in report
    kept = {
        e.name: read_increment(folder / "mine" / f"{e.name}.safetensors") for e in stack.entries
    }
    assert [i.digest for i in kept.values()] == [e.increment.digest for e in stack.entries]

    output = run(loaded, clip, protected_concepts="car", save_to="mine")
    assert "Nothing was saved: cat.safetensors exists already" in output.result[2]
    assert output.ui["sepme_state"][0]["level"] == "warning"
    assert len(output.result[1]) == 2, "and the model is erased all the same"
    now = {name: read_increment(folder / "mine" / f"{name}.safetensors") for name in kept}
    assert {n: i.digest for n, i in now.items()} == {n: i.digest for n, i in kept.items()}


def test_nothing_is_saved_unless_it_is_asked_for(folder, loaded, clip):
    run(loaded, clip, "cat")
    assert {path.name for path in folder.iterdir()} == {"cache"}
    run(loaded, clip, "cat", save_to=".")
    assert {path.name for path in folder.iterdir()} == {"cache", "cat.safetensors"}


def test_prompts_that_name_what_is_erased_are_flagged(folder, loaded, clip):
    prompts = "a house\nCats on a roof\na rosebud"
    report = run(loaded, clip, "cat\nrose", prompts_to_check=prompts).result[2]
    assert "- prompt 2 names 'cat': 'Cats on a roof'" in report
    assert "prompt 1" not in report
    assert "prompt 3" not in report
    report = run(loaded, clip, rows="cat off", prompts_to_check=prompts).result[2]
    assert "No prompt names" in report


def test_merged_mode_says_what_it_moves(folder, loaded, clip):
    assert "leaking" not in states_of(run(loaded, clip))
    merged = run(loaded, clip, mode="merged")
    leak = merged.result[1].entries[0].increment.provenance.leak["linear"]
    assert (leak > concept_rows.VISIBLE_LEAK) == ("leaking" in states_of(merged))
    assert not torch.equal(
        models.draw(merged.result[0], clip, "cat"), models.draw(loaded, clip, "cat")
    )


def states_of(output):
    return [row["state"] for row in output.ui["sepme_rows"]]


def test_a_negative_prompt_may_name_what_is_erased_where_only_the_positive_one_is_acted_on(
    folder, loaded, clip, work
):
    both, *_ = run(loaded, clip, "cat").result
    positive, *_ = run(loaded, clip, "cat", prompts="positive").result
    plain = models.draw(loaded, clip, "a house", "cat")
    assert not torch.equal(models.draw(both, clip, "a house", "cat"), plain)
    assert torch.equal(models.draw(positive, clip, "a house", "cat"), plain)
    erased = models.draw(positive, clip, "cat")
    assert not torch.equal(erased, models.draw(loaded, clip, "cat"))
    with pytest.raises(ConceptError, match="Set prompts to 'both', or mode to 'exact'"):
        run(loaded, clip, "cat\nrose\ndog", prompts="positive", mode="merged")
    assert work["computed"] == ["cat"], "refused before anything is computed"


def test_templates_are_those_that_one_writes(folder, loaded, clip):
    style = "a painting by {}"
    _, stack, _ = run(loaded, clip, "cat", templates=style).result
    assert "a painting by" in stack.entries[0].increment.provenance.protected
    _, stack, _ = run(loaded, clip, "cat").result
    assert "a painting by" not in stack.entries[0].increment.provenance.protected


def test_concepts_of_nodes_before_are_protected(folder, loaded, clip):
    first, *_ = run(loaded, clip, "cat").result
    both, stack, _ = run(first, clip, "rose").result
    assert "cat" in stack.entries[0].increment.provenance.protected
    assert [s.names for s in host.applied(both)] == [("cat", "rose")]


@pytest.mark.parametrize("method", ["closed form", "refine"])
def test_nearest_is_never_a_row_however_the_rows_are_switched_or_trained(
    folder, loaded, clip, method
):
    rows = {"dog": {"on": method != "closed form"}}
    given = {"protected_concepts": "car", "method": method}
    _, stack, _ = run(loaded, clip, "cat -> nearest\ndog", rows, **given).result
    assert stack.entries[0].increment.concept.anchor == "car"


def test_training_takes_concepts_one_by_one_and_cancelling_keeps_what_is_finished(
    folder, loaded, clip, work, monkeypatch
):
    class Cancelled(BaseException):
        pass

    def cancel():
        if any(e["concept"] == "rose" and e["step"] for e in rows()):
            raise Cancelled

    def rows():
        return [e for name, e in PromptServer.instance.sent if name == "sepme.row"]

    monkeypatch.setattr(
        host.running.comfy.model_management, "throw_exception_if_processing_interrupted", cancel
    )
    run(loaded, clip)
    with pytest.raises(Cancelled):
        run(loaded, clip, method="refine")
    assert work["computed"] == ["cat", "rose"] * 2, "another method, other increments"
    assert (states("cat"), states("rose")) == (["computing", "ready"], ["computing"])
    assert told_before({"method": "refine"}) == {"cat": "ready"}
    assert {e["max_steps"] for e in rows() if e["step"]} == {60}
    monkeypatch.undo()
    _, stack, _ = run(loaded, clip, rows="rose off", method="refine").result
    assert stack.names == ("cat",)
    assert states("cat") == ["ready"], "nothing of it was lost"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"concepts": "cat\na -> b -> c"}, "Concept line 2.*more than one '->'"),
        ({"concepts": ""}, "No concept is given"),
        ({"concepts": "cat\nCat"}, "'Cat' is given twice"),
        ({"concepts": "cat", "rows": "{"}, "no valid JSON"),
        ({"concepts": "cat", "preserve_list": "gone.txt"}, "'gone.txt' is not in models/sepme"),
        ({"concepts": "cat -> dog\ndog", "rows": ""}, "'dog' is erased, too"),
        ({"concepts": "cat", "templates": "in the style of"}, "'in the style of'"),
        ({"concepts": "cat", "save_to": "../secret"}, "lies outside models/sepme"),
    ],
)
def test_what_cannot_be_read_is_refused_before_anything_runs(folder, given, message):
    with pytest.raises(ConceptError, match=message):
        raise ConceptError(str(Eraser.validate_inputs(**given)))
    assert Eraser.validate_inputs(**{"concepts": "cat", "rows": "gone off\ncat 0.5"}) is True
    assert Eraser.validate_inputs() is True  # linked: not known yet


def test_another_row_may_be_the_anchor_while_it_is_off(folder, loaded, clip, work):
    both = "cat -> dog\ndog"
    for rows in ("dog off", "cat off", "dog off"):
        assert Eraser.validate_inputs(concepts=both, rows=rows) is True
        run(loaded, clip, both, rows)
    assert told_before({"concepts": both}) == {"cat": "ready", "dog": "ready"}
    with pytest.raises(ConceptError, match="'cat' falls back to 'dog', but 'dog' is erased, too"):
        run(loaded, clip, both)
    assert work["computed"] == ["cat", "dog"], "switching computes nothing again"
