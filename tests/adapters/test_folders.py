"""Model folders beside the host's own: whose is looked into first, written to, kept results in."""

import importlib.util
import os
import shutil
from pathlib import Path

import folder_paths
import pytest
from comfy.cli_args import args
from sepme_pack.nodes import files, host
from sepme_pack.nodes.stacks import Load, Save
from sepme_pack.sepme_core.errors import IncrementFileError
from sepme_pack.sepme_core.increment import Stack

from tests.adapters.models import small_increment as increment


def host_reads(config):
    """What the host does with extra model paths; other packages have a `utils` as well."""
    path = Path(folder_paths.__file__).parent / "utils" / "extra_config.py"
    spec = importlib.util.spec_from_file_location("host_extra_config", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.load_extra_path_config(str(config))


@pytest.fixture
def extra(increments_folder, tmp_path, monkeypatch):
    """Starts the host anew with a share in its extra model paths, and the pack after it."""

    def start(settings=""):
        share = tmp_path / "share"
        (share / "erased").mkdir(parents=True, exist_ok=True)
        text = f"nas:\n    base_path: {share}\n    sepme: erased\n{settings}other:\n"
        config = tmp_path / "paths.yaml"
        config.write_text(text, "utf-8")
        monkeypatch.delitem(folder_paths.folder_names_and_paths, "sepme")
        monkeypatch.setattr(args, "extra_model_paths_config", [[str(config)]])
        host_reads(config)
        files.register_folder()
        files.register_folder()  # the host may ask twice
        return share / "erased"

    yield start
    shutil.rmtree(increments_folder, ignore_errors=True)


def saved(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def save(*names, folder="", overwrite=False):
    (text,) = Save.execute(Stack.of(map(increment, names)), folder, overwrite).result
    return [Path(path) for path in text.splitlines()]


def test_a_share_that_is_not_the_default_captures_neither_saves_nor_results(
    extra, increments_folder
):
    share = extra()
    assert files.roots() == [increments_folder, share]
    assert save("cat") == [increments_folder / "cat.safetensors"]
    assert saved(share) == []
    assert files.cache_folder() == increments_folder / "cache"


def test_a_share_that_is_the_default_gets_what_is_saved_and_no_results(extra, increments_folder):
    share = extra("    is_default: true\n")
    assert files.roots() == [share, increments_folder]
    assert save("cat", folder="styles") == [share / "styles" / "cat.safetensors"]
    assert saved(increments_folder) == []
    assert files.list_increments() == ["styles/cat.safetensors"]
    assert files.cache_folder() == increments_folder / "cache"


def test_what_is_saved_goes_where_it_can_be_written(extra, increments_folder, monkeypatch):
    share = extra("    is_default: true\n")
    can_write = os.access
    locked = (share, share / "styles")
    monkeypatch.setattr(
        os, "access", lambda path, mode: Path(path) not in locked and can_write(path, mode)
    )
    output = Save.execute(Stack.of([increment("cat")]), "styles", False)
    assert output.result == (str(increments_folder / "styles" / "cat.safetensors"),)
    assert output.ui["sepme_saved"][0]["file"] == "styles/cat.safetensors"
    assert str(increments_folder) in output.ui["sepme_report"][0], "the node says where"
    assert saved(share) == []
    locked = ()
    assert save("dog", folder="styles")[0].is_relative_to(share)


def test_a_share_that_only_claims_to_be_writable_is_passed_over(
    extra, increments_folder, monkeypatch
):
    share = extra("    is_default: true\n")
    touch = Path.touch

    def refusing(path, *args, **kwargs):
        if path.parent == share:
            raise PermissionError(13, "Permission denied")
        touch(path, *args, **kwargs)

    monkeypatch.setattr(Path, "touch", refusing)
    assert os.access(share, os.W_OK)
    assert save("cat") == [increments_folder / "cat.safetensors"]
    monkeypatch.undo()
    assert list(increments_folder.glob(".sepme-*")) == [], "trying leaves nothing behind"


def test_a_file_that_the_host_would_go_on_loading_is_in_the_way(extra, monkeypatch):
    share = extra("    is_default: true\n")
    save("cat")
    can_write = os.access
    monkeypatch.setattr(os, "access", lambda p, mode: Path(p) != share and can_write(p, mode))
    with pytest.raises(IncrementFileError, match=f"exists already .* in {share}"):
        Save.execute(Stack.of([increment("cat", 2.0)]), "", False)
    assert save("cat") == [share / "cat.safetensors"]
    assert Load.execute("cat.safetensors", True, 1.0).result[0].names == ("cat",)


@pytest.mark.parametrize("text", ["", "[]", "a: 3", "{", "\x00", "nas:\n  is_default: true\n"])
def test_what_cannot_be_understood_decides_nothing(increments_folder, tmp_path, monkeypatch, text):
    config = tmp_path / "paths.yaml"
    config.write_text(text, "utf-8")
    monkeypatch.setattr(args, "extra_model_paths_config", [[str(config)], [str(tmp_path / "no")]])
    known = folder_paths.folder_names_and_paths
    monkeypatch.setitem(known, "sepme", ([str(tmp_path)], set()))
    files.register_folder()
    assert files.roots() == [host.own_folder("sepme"), tmp_path]
