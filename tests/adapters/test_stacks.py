"""Loading, saving and joining increments through the nodes."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from sepme_pack.nodes import files
from sepme_pack.nodes.stacks import Load, Save, StackNode
from sepme_pack.sepme_core.errors import ConceptError, IncrementFileError
from sepme_pack.sepme_core.increment import Stack, StackEntry

from tests.adapters.models import small_increment as increment

FILES = "**/*"


def save(*increments, folder="", overwrite=False):
    (paths,) = Save.execute(Stack.of(increments), folder, overwrite).result
    return paths.splitlines()


def saved(folder):
    return {p.relative_to(folder).as_posix() for p in folder.glob(FILES) if p.is_file()}


def test_what_is_saved_is_listed_and_loads_again(increments_folder):
    paths = save(increment("cat"), increment("Van Gogh"), folder="styles")
    assert [os.path.basename(p) for p in paths] == ["cat.safetensors", "Van Gogh.safetensors"]
    assert saved(increments_folder) == {"styles/cat.safetensors", "styles/Van Gogh.safetensors"}
    assert set(files.list_increments()) == saved(increments_folder)
    assert Load.validate_inputs("styles/cat.safetensors") is True
    (stack,) = Load.execute("styles/cat.safetensors", True, 0.5).result
    (entry,) = stack.entries
    assert (entry.name, entry.strength, entry.enabled) == ("cat", 0.5, True)
    assert entry.increment.digest == increment("cat").digest


def test_load_offers_what_is_there_when_the_page_asks(increments_folder):
    def offered():
        (combo,) = (i for i in Load.define_schema().inputs if i.id == "increment")
        return list(combo.options)

    assert offered() == []
    save(increment("cat"))
    assert offered() == ["cat.safetensors"]


def test_load_appends_to_a_stack(increments_folder):
    save(increment("cat"))
    known = Stack.of([increment("rose")])
    (stack,) = Load.execute("cat.safetensors", False, 1.0, known).result
    assert stack.names == ("rose", "cat")
    assert [e.enabled for e in stack.entries] == [True, False]


def test_a_missing_file_is_refused_before_anything_runs(increments_folder):
    message = Load.validate_inputs("dog.safetensors")
    assert "'dog.safetensors' is not in models/sepme" in message
    assert "press R" in message
    save(increment("dog"))
    assert Load.validate_inputs("dog.safetensors") is True


def test_a_file_that_vanished_since_is_an_error_with_its_name(increments_folder):
    with pytest.raises(IncrementFileError, match=r"'dog.safetensors' is not in models/sepme"):
        Load.execute("dog.safetensors", True, 1.0)


def test_loading_runs_again_only_when_the_file_changed(increments_folder):
    missing = Load.fingerprint_inputs("cat.safetensors", enabled=True, strength=1.0)
    save(increment("cat"))
    first = Load.fingerprint_inputs("cat.safetensors", enabled=True, strength=1.0)
    assert Load.fingerprint_inputs("cat.safetensors", enabled=True, strength=1.0) == first
    os.utime(increments_folder / "cat.safetensors", (1, 1))
    changed = Load.fingerprint_inputs("cat.safetensors", enabled=True, strength=1.0)
    assert len({missing, first, changed}) == 3


@pytest.mark.parametrize("folder", ["..", "../other", "/tmp", "a/../../b"])
def test_nothing_is_written_outside_the_folder(increments_folder, folder):
    with pytest.raises(IncrementFileError, match="lies outside models/sepme"):
        save(increment(), folder=folder)
    assert not list(increments_folder.parent.glob("**/*.safetensors"))
    save(increment(), folder="a/../b")
    assert saved(increments_folder) == {"b/cat.safetensors"}


@pytest.mark.parametrize("name", ["../cat", "a/b", "a\\b", "..", "c:cat", "cat\n"])
def test_a_name_cannot_lead_out_of_the_folder(increments_folder, name):
    (path,) = save(increment(name))
    assert saved(increments_folder) == {os.path.basename(path)}


def test_other_content_is_not_replaced_unless_asked(increments_folder):
    save(increment("cat"))
    path = increments_folder / "cat.safetensors"
    before = path.read_bytes()
    with pytest.raises(IncrementFileError, match="exists already with other content"):
        save(increment("rose"), increment("cat", 2.0))
    assert path.read_bytes() == before
    assert saved(increments_folder) == {"cat.safetensors"}  # all or nothing: no rose either
    save(increment("rose"), increment("cat", 2.0), overwrite=True)
    assert path.read_bytes() != before
    assert saved(increments_folder) == {"cat.safetensors", "rose.safetensors"}


def test_what_acts_the_same_is_no_other_content(increments_folder):
    one = increment("cat")
    (path,) = save(one)
    before = Path(path).read_bytes()
    made = replace(one.provenance, method={"name": "closed form", "seed": 5}, base="other")
    save(replace(one, provenance=made))
    assert Path(path).read_bytes() == before
    save(replace(one, provenance=made), overwrite=True)
    assert Path(path).read_bytes() != before


@pytest.mark.parametrize(
    "names", [("C++", "C#"), ("🐱", "🐶"), ("AC/DC", "AC_DC"), ("猫" * 99, "猫" * 98)]
)
def test_two_concepts_never_share_a_file(increments_folder, names):
    save(*map(increment, names))
    assert len(saved(increments_folder)) == 2
    again = [files.load_increment(name).concept.name for name in files.list_increments()]
    assert sorted(again) == sorted(names)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_of_another_concept_is_never_replaced_nor_told_to_be(increments_folder, overwrite):
    (path,) = save(increment("dog"))
    os.rename(path, increments_folder / "cat.safetensors")
    with pytest.raises(IncrementFileError, match="holds 'dog', not 'cat'") as refused:
        save(increment("cat"), overwrite=overwrite)
    assert "overwrite" not in str(refused.value)
    assert files.load_increment("cat.safetensors").concept.name == "dog"
    (path,) = save(increment("cat"), folder="mine", overwrite=overwrite)
    save(increment("Cat", 2.0), folder="mine", overwrite=True)
    assert files.load_increment("mine/Cat.safetensors").concept.name == "Cat"


@pytest.mark.parametrize("folder", ["cache", "Trash", "PRESERVE/mine", "a/../cache", "cache\\x"])
def test_folders_of_other_things_are_refused_by_name(increments_folder, folder):
    with pytest.raises(IncrementFileError, match="is not for increments.*not listed.*'styles'"):
        save(increment(), folder=folder)
    assert saved(increments_folder) == set()
    save(increment(), folder=f"my/{folder.split('/')[0]}")
    assert len(files.list_increments()) == 1


@pytest.mark.parametrize("folder", ["con", "a/b:c", "a" * 300, "猫" * 90, "a/._b", "x\0y"])
def test_folders_that_cannot_be_made_everywhere_are_refused_with_the_reason(
    increments_folder, folder
):
    with pytest.raises(IncrementFileError, match="cannot be made everywhere: .*'styles'"):
        save(increment(), folder=folder)
    save(increment(), folder="a/b c")
    assert saved(increments_folder) == {"a/b c/cat.safetensors"}


def test_a_linked_folder_is_saved_into(increments_folder, tmp_path):
    increments_folder.mkdir(parents=True)
    (increments_folder / "linked").symlink_to(tmp_path)
    (path,) = save(increment(), folder="linked/styles")
    assert path == str(increments_folder / "linked" / "styles" / "cat.safetensors")
    assert saved(tmp_path) == {"styles/cat.safetensors"}
    assert files.list_increments() == ["linked/styles/cat.safetensors"]


def test_a_folder_that_is_there_is_saved_into_whatever_it_is_called(increments_folder):
    (increments_folder / "who?").mkdir(parents=True)
    save(increment(), folder="who?")
    assert saved(increments_folder) == {"who?/cat.safetensors"}


def test_saving_the_same_again_is_no_conflict(increments_folder):
    (path,) = save(increment("cat"))
    before = os.stat(path).st_mtime_ns
    assert save(increment("cat"), increment("rose")) == [path, path.replace("cat.", "rose.")]
    assert os.stat(path).st_mtime_ns == before


def test_saving_runs_again_when_its_folder_changed_and_only_then(increments_folder):
    def stamp():
        return Save.fingerprint_inputs(folder="styles", overwrite=False)

    empty = stamp()
    both = (increment("cat"), increment("dog"))
    save(*both, folder="styles")
    written = stamp()
    assert written != empty
    assert stamp() == written
    save(*both, folder="styles")
    assert stamp() == written, "what is there already is not written again"
    (increments_folder / "cat.safetensors").write_bytes(b"of another folder")
    assert stamp() == written
    (increments_folder / "styles" / "cat.safetensors").unlink()
    assert stamp() not in (written, empty)
    save(*both, folder="styles")
    assert (increments_folder / "styles" / "cat.safetensors").exists()
    assert "outside" in Save.fingerprint_inputs(folder="../elsewhere")


def test_saving_into_a_folder_that_comes_through_a_link_follows_all_folders(increments_folder):
    save(increment("cat"), folder="styles")
    before = Save.fingerprint_inputs(folder=None)
    assert Save.fingerprint_inputs(folder=None) == before
    (increments_folder / "styles" / "cat.safetensors").unlink()
    assert Save.fingerprint_inputs(folder=None) != before


def test_two_increments_of_one_name_are_refused_whole(increments_folder):
    with pytest.raises(ConceptError, match=r"share a file: rose, Cat, cat\."):
        save(increment("rose"), increment("Cat"), increment("cat", 2.0))
    assert saved(increments_folder) == set()
    save(increment("rose"), increment("cat"))
    assert len(saved(increments_folder)) == 2


def test_stacks_are_joined_in_order_and_count_a_shared_increment_once():
    cat, rose, dog = (Stack.of([increment(n)]) for n in ("cat", "rose", "dog"))
    again = Stack((replace(cat.entries[0], strength=0.5),))
    (joined,) = StackNode.execute(
        stack_1=cat, stack_2=None, stack_3=rose + dog, stack_4=again
    ).result
    assert [(e.name, e.strength) for e in joined.entries] == [
        ("rose", 1.0),
        ("dog", 1.0),
        ("cat", 0.5),
    ]
    assert isinstance(joined.entries[0], StackEntry)
    (empty,) = StackNode.execute().result
    assert len(empty) == 0
