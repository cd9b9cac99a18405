"""Preserve lists of the Concepts node: chosen, refused, noticed; and workflows without them."""

import asyncio
import os

import execution
import folder_paths
import pytest
from comfy_execution.utils import CurrentNodeContext
from sepme_pack.nodes import files, host
from sepme_pack.nodes.concepts import Concepts
from sepme_pack.sepme_core.denoiser import Progress
from sepme_pack.sepme_core.errors import ConceptError
from sepme_pack.sepme_core.preserve import MAX_LINES, general_captions
from server import PromptServer

import nodes as host_nodes

FIELDS = {
    "concepts": "cat",
    "templates": "a photo of a {}",
    "protected_concepts": "",
    "protected_prompts": "",
}


@pytest.fixture
def folder(increments_folder):
    """Where `models/sepme/preserve` is, empty."""
    made = increments_folder / "preserve"
    made.mkdir(parents=True)
    return made


def kept(**fields):
    (concepts,) = Concepts.execute(**FIELDS, **fields).result
    return concepts.preserve


def validated(monkeypatch, **fields):
    """What the host itself says to a workflow in API form: errors of the node."""
    monkeypatch.setitem(host_nodes.NODE_CLASS_MAPPINGS, "SepME_Concepts", Concepts)
    prompt = {"1": {"class_type": "SepME_Concepts", "inputs": {**FIELDS, **fields}}}
    ok, errors, _ = asyncio.run(execution.validate_inputs("test", prompt, "1", {}))
    assert ok == (errors == [])
    return errors


def fingerprint(**fields):
    return Concepts.fingerprint_inputs(**FIELDS, **fields)


def test_files_are_offered_behind_general_and_none(folder):
    def offered():
        (combo,) = (i for i in Concepts.define_schema().inputs if i.id == "preserve_list")
        return list(combo.options)

    assert offered() == ["general", "none"]
    for name in ("mine.txt", "a.txt", "no_list.json", "general.txt"):
        (folder / name).write_text("a boat\n", "utf-8")
    (folder / "folder.txt").mkdir()
    assert offered() == ["general", "none", "a.txt", "general.txt", "mine.txt"]


def test_new_nodes_keep_the_general_list_and_workflows_from_before_keep_none(folder):
    (combo,) = (i for i in Concepts.define_schema().inputs if i.id == "preserve_list")
    assert kept(preserve_list=combo.default) == general_captions() != ()
    assert kept() == kept(preserve_list="none") == ()


def test_captions_of_the_field_come_on_top_of_the_list_once_each(folder):
    (folder / "mine.txt").write_text("a boat\na tree\n", "utf-8")
    field = "a lamp\n# a comment\na tree"
    assert kept(preserve=field, preserve_list="mine.txt") == ("a boat", "a tree", "a lamp")
    assert kept(preserve=field, preserve_list="none") == ("a lamp", "a tree")
    both = dict.fromkeys([*general_captions(), "a lamp", "a tree"])
    assert kept(preserve=field, preserve_list="general") == tuple(both)


def test_the_first_folder_wins_where_two_have_a_list_of_one_name(folder, tmp_path, monkeypatch):
    paths, extensions = folder_paths.folder_names_and_paths[files.FOLDER]
    monkeypatch.setitem(
        folder_paths.folder_names_and_paths, files.FOLDER, ([*paths, str(tmp_path)], extensions)
    )
    (tmp_path / "preserve").mkdir()
    (tmp_path / "preserve" / "mine.txt").write_text("second", "utf-8")
    assert kept(preserve_list="mine.txt") == ("second",)
    (folder / "mine.txt").write_text("first", "utf-8")
    assert kept(preserve_list="mine.txt") == ("first",)


@pytest.mark.parametrize("lists", [{}, {"preserve": ""}, {"preserve_list": "none"}])
def test_workflows_saved_before_the_lists_are_valid_to_the_host(folder, monkeypatch, lists):
    assert validated(monkeypatch, **lists) == []


def test_a_list_that_vanished_is_refused_by_the_host_before_anything_runs(folder, monkeypatch):
    (error,) = validated(monkeypatch, preserve_list="mine.txt")
    assert "'mine.txt' is not in models/sepme/preserve" in error["details"]
    assert "press R to refresh, or choose 'general' or 'none'" in error["details"]
    (folder / "mine.txt").write_text("a boat", "utf-8")
    assert validated(monkeypatch, preserve_list="mine.txt") == []


def test_a_list_that_vanished_since_is_an_error_with_its_name(folder):
    with pytest.raises(ConceptError, match=r"'mine.txt' is not in models/sepme/preserve"):
        kept(preserve_list="mine.txt")


@pytest.mark.parametrize("name", ["../mine.txt", "/etc/passwd", "../preserve/in.txt", "", "."])
def test_nothing_is_read_outside_the_folder(folder, monkeypatch, name):
    (folder.parent / "mine.txt").write_text("a boat", "utf-8")
    (folder / "in.txt").write_text("a boat", "utf-8")
    assert validated(monkeypatch, preserve_list=name)
    with pytest.raises(ConceptError, match="is not in models/sepme/preserve"):
        kept(preserve_list=name)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a café".encode("latin-1"), "is not UTF-8: line 1 has the byte 0xE9"),
        (b"", "holds no caption"),
        (b"PK\x03\x04\x00", "is no text"),
        (b"a boat\n" * 10**6, f"has more than {MAX_LINES} lines"),
    ],
)
def test_a_bad_list_is_refused_with_its_name(folder, data, message):
    (folder / "mine.txt").write_bytes(data)
    with pytest.raises(ConceptError, match=f"'mine.txt' {message}"):
        kept(preserve_list="mine.txt")


def test_the_node_runs_again_only_when_the_list_changed(folder):
    missing = fingerprint(preserve_list="mine.txt")
    (folder / "mine.txt").write_text("a boat", "utf-8")
    first = fingerprint(preserve_list="mine.txt")
    assert fingerprint(preserve_list="mine.txt", preserve="a tree") == first
    os.utime(folder / "mine.txt", (1, 1))
    assert len({missing, first, fingerprint(preserve_list="mine.txt")}) == 3
    assert fingerprint() == fingerprint(preserve_list="none")
    assert fingerprint() != fingerprint(preserve_list="general")


def test_a_linked_list_is_valid_and_noticed_whichever_it_is(folder):
    """Its name is not known before it runs; the host gives None for it."""
    assert Concepts.validate_inputs(preserve_list=None) is True
    empty = fingerprint(preserve_list=None)
    (folder / "mine.txt").write_text("a boat", "utf-8")
    assert fingerprint(preserve_list=None) == fingerprint(preserve_list=None) != empty


def test_the_page_is_told_how_many_captions_are_done():
    told = PromptServer.instance.told
    told.clear()
    with CurrentNodeContext("prompt", "1"):
        progress = host.NodeProgress()
        progress(Progress("preserve list", 64, 600, unit="captions"))
        progress(Progress("cat", 1, 3))
    texts = [text for _, text in told]
    assert texts == ["preserve list: 64 of 600 captions", "cat: 1 of 3 concepts"]
