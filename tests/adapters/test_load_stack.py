"""Many increment files in one node."""

import json
import os

import pytest
import torch
from comfy_execution.utils import CurrentNodeContext
from sepme_pack.nodes import files
from sepme_pack.nodes.load_stack import LoadStack
from sepme_pack.nodes.stacks import Save
from sepme_pack.sepme_core.concepts import Concept
from sepme_pack.sepme_core.errors import IncrementFileError
from sepme_pack.sepme_core.increment import Increment, Provenance, Stack
from sepme_pack.sepme_core.increment_file import to_bytes
from server import PromptServer

NAMES = ("cat", "dog", "rose")


def increment(name, value=1.0, family="sd1", encoder="abc", protected=NAMES):
    made = Provenance(tuple(protected), family=family, text_encoder=encoder)
    coef = {"block.to_k": torch.full((4, 2), value)}
    return Increment(Concept(name), torch.eye(2, 8), coef, provenance=made)


def save(*increments, folder=""):
    Save.execute(Stack.of(increments), folder, False)


def load(rows, stack=None):
    """As the host runs a node, with what its page was told."""
    text = rows if isinstance(rows, str) else json.dumps({"version": 1, "rows": rows})
    PromptServer.instance.sent.clear()
    with CurrentNodeContext("prompt", "1:2"):
        return LoadStack.execute(text, stack)


def told(rows, stack=None):
    return load(rows, stack).ui["sepme_state"][0]


def states():
    sent = PromptServer.instance.sent
    assert all(event == "sepme.row" and told["node"] == "1:2" for event, told in sent)
    return [told["state"] for _, told in sent]


@pytest.fixture
def saved(increments_folder):
    save(*map(increment, NAMES))
    return increments_folder


def test_rows_give_a_stack_in_their_order_with_their_settings(saved):
    output = load([{"file": "rose.safetensors", "strength": 0.5, "end": 0.6}, "cat.safetensors"])
    stack, report = output.result
    assert [(e.name, e.strength, e.start, e.end) for e in stack.entries] == [
        ("rose", 0.5, 0.0, 0.6),
        ("cat", 1.0, 0.0, 1.0),
    ]
    assert "2 rows: 2 on" in report
    assert "rose, strength 0.5 from 0 to 0.6" in report
    assert states() == ["ready", "ready"] == [row["state"] for row in output.ui["sepme_rows"]]


def test_plain_lines_do_the_same(saved):
    stack, _ = load("rose 0.5\n# a note\ncat.safetensors off\ndog").result
    assert [(e.name, e.strength) for e in stack.entries] == [("rose", 0.5), ("dog", 1.0)]
    assert states() == ["ready", "off", "ready"]


def test_rows_are_added_to_a_stack(saved):
    stack, _ = load(["cat.safetensors"], Stack.of([increment("dog")])).result
    assert stack.names == ("dog", "cat")
    assert load("").result[0].names == ()


def test_rows_that_are_off_are_not_even_opened(saved, monkeypatch):
    opened = []
    read = files.load_hashed
    monkeypatch.setattr(files, "load_hashed", lambda name: opened.append(name) or read(name))
    load("cat\ndog off\ngone off")
    assert opened == ["cat.safetensors"]
    load("cat off\ndog")
    assert opened == ["cat.safetensors", "dog.safetensors"]


def test_rows_that_cannot_be_read_are_refused_before_anything_runs():
    assert "Row 1: strength is 9" in LoadStack.validate_inputs('[["cat", 9]]')
    assert LoadStack.validate_inputs("cat\ngone") is True  # what is connected is not known yet
    assert LoadStack.validate_inputs(None) is True


def test_missing_files_are_refused_unless_their_rows_are_off(saved):
    with pytest.raises(IncrementFileError) as refused:
        load("cat\ngone\nstyles/lost 0.5")
    assert "2 of 3 rows" in str(refused.value)
    assert "row 3, 'styles/lost.safetensors'" in str(refused.value)
    assert "switch the row off" in str(refused.value)
    assert "SepME Concepts with the line 'lost'" in str(refused.value)
    assert load("cat\ngone off\nstyles/lost 0.5 off").result[0].names == ("cat",)


def test_all_rows_are_looked_at_before_any_is_refused(saved):
    (saved / "broken.safetensors").write_bytes(b"x" * 100)
    (saved / "cut.safetensors").write_bytes((saved / "cat.safetensors").read_bytes()[:-8])
    with pytest.raises(IncrementFileError) as refused:
        load("cat\nbroken\ngone\ncut\ndog")
    assert "3 of 5 rows cannot be used" in str(refused.value)
    assert "row 2, 'broken.safetensors'" in str(refused.value)
    assert "row 3, 'gone.safetensors': It is not in models/sepme" in str(refused.value)
    assert "truncated" in str(refused.value)
    assert states() == ["ready", "corrupt", "missing", "corrupt", "ready"]
    assert load("cat\nbroken off\ngone off\ncut off\ndog").result[0].names == ("cat", "dog")


def test_another_family_or_encoder_is_refused_with_what_it_clashes_with(saved):
    save(increment("big", family="sdxl"), increment("other", encoder="xyz"))
    with pytest.raises(IncrementFileError, match="for sdxl, but 'cat' for sd1"):
        load("cat\nbig")
    with pytest.raises(IncrementFileError, match="another text encoder.* than 'cat'"):
        load("other", Stack.of([increment("cat")]))
    assert load("big").result[0].names == ("big",)
    assert load("cat\nbig off").result[0].names == ("cat",)


def test_two_files_of_one_concept_are_told(saved):
    save(increment("cat", 2.0), folder="mine")
    stack, report = load("cat\ndog\nmine/cat").result
    assert states() == ["ready", "ready", "doubled"]
    assert "DOUBLED: 'cat' acts twice. Both push" in report
    assert len(stack) == 3
    assert "DOUBLED" not in load("cat\ndog\nmine/cat off").result[1]


def test_files_of_one_concept_that_take_turns_are_fine_and_those_that_meet_are_told(saved):
    save(increment("cat", 2.0), folder="mine")
    assert told("cat 1 0-0.5\nmine/cat 1 0.5-1")["level"] == "ok"
    assert states() == ["ready", "ready"]
    assert "0.5 to 0.7 of the sampling" in load("cat 1 0-0.7\nmine/cat 1 0.5-1").result[1]
    assert states() == ["ready", "doubled"]
    load("cat\nmine/cat 0")
    assert states() == ["ready", "ready"], "what has no strength does nothing"
    assert told("dog", Stack.of([increment("cat"), increment("cat", 2.0)]))["headline"] == (
        "'cat' acts twice"
    )


def test_one_row_is_one_row(saved):
    assert load("cat").result[1].startswith("1 row: 1 on, 0 off.")


def test_one_file_in_two_rows_counts_once(saved):
    stack, report = load("cat 0.5\ncat 0.7").result
    assert [e.strength for e in stack.entries] == [0.7]
    assert "counts once" in report
    again, _ = load("cat 0.7", stack).result
    assert len(again) == 1


def test_rows_that_do_not_know_each_other_are_told(saved):
    save(increment("bird", protected=["cat", "rose"]))
    _, report = load("cat\nbird\nrose").result
    assert states() == ["leaking", "ready", "leaking"]
    assert "computed without 'bird'" in report
    load("cat\ndog\nrose")
    assert states() == ["ready", "ready", "ready"]


def test_a_replaced_file_is_told_by_its_hash_and_runs_again(saved):
    rows = [{"file": "cat.safetensors", "sha256": files.file_hash("cat.safetensors").upper()}]
    before = LoadStack.fingerprint_inputs(rows=json.dumps(rows))
    assert "REPLACED" not in load(rows).result[1]
    assert LoadStack.fingerprint_inputs(rows=json.dumps(rows)) == before
    Save.execute(Stack.of([increment("cat", 2.0)]), "", True)
    assert "REPLACED: It is another file than the workflow was saved with" in load(rows).result[1]
    assert states() == ["replaced"]
    assert LoadStack.fingerprint_inputs(rows=json.dumps(rows)) != before


def hashed(*names):
    return [
        {"file": f"{n}.safetensors", "sha256": files.file_hash(f"{n}.safetensors")} for n in names
    ]


def test_a_file_that_was_moved_is_found_by_its_hash(saved):
    rows = hashed("cat", "dog")
    before = LoadStack.fingerprint_inputs(rows=json.dumps(rows))
    (saved / "pets").mkdir()
    (saved / "cat.safetensors").rename(saved / "pets" / "tiger.safetensors")
    stack, report = load(rows).result
    assert stack.names == ("cat", "dog")
    assert states() == ["moved", "ready"]
    assert "MOVED: It is not in its place any more; 'pets/tiger.safetensors'" in report
    assert LoadStack.fingerprint_inputs(rows=json.dumps(rows)) != before
    with pytest.raises(IncrementFileError, match="row 1, 'cat.safetensors': It is not in models"):
        load("cat\ndog")  # without a hash any other file could be meant


def test_only_the_same_bytes_stand_in_for_a_file(saved):
    rows = hashed("cat")
    (saved / "cat.safetensors").unlink()
    missing = LoadStack.fingerprint_inputs(rows=json.dumps(rows))
    save(increment("cat", 2.0), folder="mine")
    with pytest.raises(IncrementFileError, match="It is not in models/sepme"):
        load(rows)
    assert LoadStack.fingerprint_inputs(rows=json.dumps(rows)) == missing
    save(increment("cat"), folder="theirs")
    assert "'theirs/cat.safetensors'" in load(rows).result[1]
    assert LoadStack.fingerprint_inputs(rows=json.dumps(rows)) != missing


def test_a_row_with_another_file_says_where_the_right_one_is(saved):
    rows = hashed("cat")
    (saved / "cat.safetensors").rename(saved / "right.safetensors")
    save(increment("cat", 2.0))
    _, report = load(rows).result
    assert states() == ["replaced"]
    assert "The right one is here as 'right.safetensors'" in report


def test_files_of_rows_that_are_off_may_change_without_running_again(saved):
    before = LoadStack.fingerprint_inputs(rows="cat off\ndog")
    os.utime(saved / "cat.safetensors", (1, 1))
    assert LoadStack.fingerprint_inputs(rows="cat off\ndog") == before
    linked = LoadStack.fingerprint_inputs(rows=None)
    os.utime(saved / "dog.safetensors", (1, 1))
    assert LoadStack.fingerprint_inputs(rows="cat off\ndog") != before
    assert LoadStack.fingerprint_inputs(rows=None) != linked


def test_what_was_thrown_away_or_kept_for_later_is_no_row(saved):
    for folder in ("trash", "cache"):
        (saved / folder).mkdir(exist_ok=True)
        (saved / folder / "dog.safetensors").write_bytes(to_bytes(increment("dog", 2.0)))
        with pytest.raises(IncrementFileError, match=f"'{folder}/dog.safetensors'"):
            load(f"{folder}/dog")
    assert files.list_increments() == [f"{n}.safetensors" for n in NAMES]


def test_rows_reach_what_the_host_lists(saved, tmp_path):
    (saved / "cat.safetensors").rename(tmp_path / "CAT.SAFETENSORS")
    (saved / "shared").symlink_to(tmp_path)
    (saved / ".hidden").mkdir()
    (saved / "dog.safetensors").rename(saved / ".hidden" / "dog.safetensors")
    (saved / "gone.safetensors").symlink_to(tmp_path / "nowhere")
    stack, _ = load("shared/CAT.SAFETENSORS\n.hidden/dog\nrose").result
    assert stack.names == ("cat", "dog", "rose")
    assert states() == ["ready", "ready", "ready"]
    with pytest.raises(IncrementFileError, match="row 1, 'gone.safetensors': It is not in"):
        load("gone")


def test_a_thousand_rows_are_loaded_and_a_thousand_flaws_listed_shortly(increments_folder):
    names = [f"n{i}" for i in range(1000)]
    increments_folder.mkdir(parents=True)
    for i, n in enumerate(names):
        data = to_bytes(increment(n, float(i), protected=names))
        (increments_folder / f"{n}.safetensors").write_bytes(data)
    stack, _ = load(names).result
    assert len(stack) == 1000
    with pytest.raises(IncrementFileError, match="and 980 more") as refused:
        load([f"gone{n}" for n in names])
    assert len(str(refused.value).splitlines()) == 22
