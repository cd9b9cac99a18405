"""The bench counts what it says it counts, keeps what is finished, and mixes nothing."""

import itertools
import json
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tqdm import tqdm

from bench.__main__ import _arguments, _measured
from bench.peers import Peer, peers
from bench.pieces import Bench, Own
from bench.quality.erasing_tables import trained
from bench.quality.pictures import _mmd
from bench.quality.scenes import FULL, Scenes
from bench.quality.summary import harmonic_mean, summarise
from bench.store import Store
from bench.tables import DOCS, main, report
from bench.tasks import FAMILIES, OBJECTS_TASK, STYLES_TASK, from_file

TASKS = (OBJECTS_TASK, STYLES_TASK)
STAMP = {"protocol": 1, "torch": "2.14"}


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_scenes_erase_and_give_back_and_no_method_is_told_of_what_is_held_out(task):
    assert set(task.scenes) == {"1", "2", "3", "4"}
    for states in task.scenes.values():
        assert all(state and state <= set(task.erasable) for state in states)
        assert any(earlier - later for earlier, later in itertools.pairwise(states))
    assert not set(task.seen) & set(task.held_out)
    told = " ".join(c.name for c in task.concept_set().concepts) + " ".join(task.protected)
    assert not [name for name in task.unlisted if name in told]


def test_first_scene_is_that_of_the_paper():
    c = OBJECTS_TASK.erasable
    assert OBJECTS_TASK.scenes["1"] == (frozenset(c), frozenset(c[2:]), frozenset(c[3:]))


def test_anchor_is_the_sentence_without_the_name():
    assert OBJECTS_TASK.anchored("cat", "bare") == ("",)
    assert "a photo of a" in OBJECTS_TASK.anchored("cat", "seen")


def counts(hits: dict[str, int], of: int = 4) -> dict:
    return {name: {f: [hits.get(name, of), of] for f in FAMILIES} for name in OBJECTS_TASK.watched}


def test_summary_counts_erased_above_the_floor_and_keeps_roles_apart():
    task, state = OBJECTS_TASK, OBJECTS_TASK.scenes["1"][-1]
    erased, back = sorted(state), [n for n in task.erasable if n not in state]
    drawn = {
        "seen": counts({n: 1 for n in erased} | {back[0]: 2}),
        "identical": counts({n: 0 for n in erased}),
        "drift": dict.fromkeys(task.watched, 0.0) | dict.fromkeys(erased, 0.25),
        "distance": dict.fromkeys(task.watched, 0.0),
        "mixed": {n: [0, 3, 4] for n in task.erasable},
    }
    original = {"floor": counts({n: 1 for n in erased}), "mixed": {n: [4, 1, 4] for n in erased}}
    s = summarise(task, state, drawn, original)
    assert s.seen["erased", "bare"] == s.floor["bare"] == 25
    assert s.seen["restored", "bare"] == pytest.approx(100 * 10 / 12)
    assert s.above_floor("bare") == 0 and s.h_o("bare") == 100
    assert s.h_o("bare", above_floor=False) == pytest.approx(harmonic_mean((75, 100, 100)))
    assert s.identical["protected", "seen"] == 100 and s.identical["erased", "seen"] == 0
    assert s.drift["erased"] == 25 and s.mixed == (0, 75)
    assert s.mixed_before == (100, 25)


def test_harmonic_mean_forgives_nothing():
    assert harmonic_mean((50, 100)) == pytest.approx(200 / 3)
    assert harmonic_mean((0, 100, 100)) == 0


def test_distance_of_distributions_is_nothing_for_equal_ones_and_large_for_others():
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    assert _mmd(x, x.clone()) == pytest.approx(0, abs=1e-9)
    assert _mmd(x, x + 1) > 0.5


def test_finished_pieces_are_kept_and_not_measured_again(tmp_path):
    path = tmp_path / "results.json"
    assert Store(path, STAMP).once("a", lambda: {"n": (1, 2)}) == {"n": [1, 2]}
    again = Store(path, STAMP)
    assert again.once("a", lambda: pytest.fail("measured again")) == {"n": [1, 2]}


def test_how_long_a_piece_took_is_kept_with_it(tmp_path):
    path = tmp_path / "results.json"
    Store(path, STAMP).once("a", lambda: 1)
    assert list(Store(path, STAMP).seconds) == ["a"]


@pytest.mark.parametrize("quick", [False, True])
def test_every_method_is_drawn_in_all_states_and_quick_runs_draw_quick_ones_in_one(tmp_path, quick):
    pieces = [name for name, _ in scenes_of(tmp_path, quick).pieces(peers())]
    shown = {peer: [p for p in pieces if p.endswith(f"/{peer}")] for peer in peers()}
    for peer in peers().values():
        expected = not peer.takes_minutes if quick else len(OBJECTS_TASK.states())
        assert len(shown[peer.name]) == expected


def test_the_model_that_is_attacked_is_computed_once(tmp_path):
    calls = []

    def fit(*_):
        calls.append("fit")
        return lambda state: calls.append(state)

    course, peer = scenes_of(tmp_path), Peer("p", "", fit)
    for _ in range(2):
        course.model(peer)
    assert calls == ["fit", frozenset(["car", "pizza", "guitar"])]


def test_the_server_runs_when_it_is_first_needed_and_no_longer_than_the_bench(
    tmp_path, monkeypatch
):
    told = []

    class Recorded:
        def __init__(self, base_directory, **_):
            self.base_directory = base_directory

        def __enter__(self):
            told.append("started")
            return self

        def __exit__(self, *_):
            told.append("ended")

    monkeypatch.setattr("bench.pieces.Server", Recorded)
    monkeypatch.setattr("bench.pieces.checkpoint", lambda: tmp_path / "model.safetensors")
    monkeypatch.setattr("bench.pieces.comfyui.base_directory", lambda folder, _: folder)
    with closing(Bench(FULL, False, tmp_path)) as bench:
        assert told == []
        assert bench.server is bench.server and told == ["started"]
        folder: Path = bench.server.base_directory
        assert folder.is_dir()
    assert told == ["started", "ended"] and not folder.exists()


def scenes_of(folder, quick: bool = False) -> Scenes:
    """The scenes of objects, of which nothing is drawn."""
    nobody: Any = None
    return Scenes(nobody, OBJECTS_TASK, nobody, FULL, quick, folder, lambda _: None)


def test_a_piece_that_fails_takes_no_other_along(tmp_path):
    store = Store(tmp_path / "results.json", STAMP)
    store.once("a", lambda: 1)
    with pytest.raises(ZeroDivisionError):
        store.once("b", lambda: 1 // 0)
    assert Store(store.path, STAMP).pieces == {"a": 1}


def test_figures_of_another_machine_are_told_and_set_aside(tmp_path, capsys):
    path = tmp_path / "results.json"
    Store(path, STAMP).once("a", lambda: 1)
    other = Store(path, STAMP | {"torch": "3.0"})
    assert other.pieces == {} and "torch was '2.14', is '3.0'" in capsys.readouterr().out
    assert json.loads((tmp_path / "results.1.json").read_text())["pieces"] == {"a": 1}


def test_a_file_that_is_no_results_is_set_aside_too(tmp_path, capsys):
    path = tmp_path / "results.json"
    path.write_text("not JSON")
    assert Store(path, STAMP).pieces == {} and "kept in results.1.json" in capsys.readouterr().out
    assert (tmp_path / "results.1.json").read_text() == "not JSON"


def test_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    store = Store(tmp_path / "results.json", STAMP)
    store.once("a", lambda: 1)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(OSError, match=r"No space left.*are kept"):
        store.once("b", lambda: 2)
    monkeypatch.undo()
    assert Store(store.path, STAMP).pieces == {"a": 1}


TASK_OF_A_FILE = {
    "name": "artists",
    "erasable": ["A", "B", "C"],
    "protected": ["D"],
    "unlisted": ["E"],
    "seen": ["by {}"],
    "held_out": ["like {}"],
    "mixed": [["a dog by {}", "E"]],
    "labels": ["A", "B", "C", "D", "E"],
}


def test_tasks_of_a_file_are_read(tmp_path):
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps([TASK_OF_A_FILE]))
    (found,) = from_file(path)
    assert found.mixed == (("a dog by {}", "E"),) and found.prompts("A", "seen") == ("by A",)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"colour": 1}, "colour"),
        ({"erasable": ["A"]}, "1 erasable concepts"),
        ({"erasable": 3}, "erasable is 3"),
        ({"protected": []}, "protected is ()"),
        ({"unlisted": ["A"]}, "A is named twice"),
        ({"seen": ["a painting"]}, "'a painting' needs one {}"),
        ({"mixed": [["a dog", "E"]]}, "'a dog' needs one {}"),
        ({"mixed": [["by {}"]]}, "a list of [template, other]"),
        ({}, "the name 'artists' is taken"),
    ],
)
def test_a_wrong_task_is_told_by_its_number(tmp_path, wrong, told):
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps([TASK_OF_A_FILE, TASK_OF_A_FILE | wrong]))
    with pytest.raises(ValueError, match=rf"task 1: .*{re.escape(told)}"):
        list(from_file(path))


@pytest.mark.parametrize("text", ["[", "[]", '{"name": "artists"}', '["artists"]'])
def test_a_file_that_is_no_list_of_tasks_says_what_is_expected(tmp_path, text):
    path = tmp_path / "tasks.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"tasks\.json.*expected"):
        list(from_file(path))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--checkpoint", "a"], "needs --prompts and --classifier"),
        (["--prompts", "a"], "go with --checkpoint"),
        (["--resolution", "512"], "go with --checkpoint"),
        (
            ["speed", "--checkpoint", "a", "--prompts", "b", "--classifier", "c"],
            "speed does not measure your checkpoint",
        ),
    ],
)
def test_options_that_would_be_ignored_are_refused(monkeypatch, capsys, options, told):
    monkeypatch.setattr("sys.argv", ["bench", *options])
    with pytest.raises(SystemExit):
        _arguments()
    assert told in capsys.readouterr().err


def test_own_checkpoints_are_told_apart_by_what_is_in_them(tmp_path):
    for name in ("model", "tasks", "judge"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(bytes(1_000_000))
    own = Own(tmp_path / "model" / "file", tmp_path / "tasks" / "file", tmp_path / "judge")
    before = own.told
    assert own.told == before
    for path in (own.checkpoint, own.prompts, own.classifier / "file"):
        path.write_bytes(bytes(500_000) + b"1" * 500_000)
        assert own.told != before
        before = own.told


def test_a_server_that_does_not_answer_costs_its_piece_alone(tmp_path):
    def silent():
        raise ConnectionRefusedError("nobody is there")

    store = Store(tmp_path / "results.json", STAMP)
    with tqdm(disable=True) as bar:
        failed = _measured([("a", silent), ("b", lambda: 1)], store, bar)
    assert list(failed) == ["a"] and store.pieces == {"b": 1}


def test_strip_shows_one_picture_of_every_concept():
    from bench.judge import DemoJudge
    from bench.quality.pictures import Amount, Gallery

    gallery = Gallery(None, OBJECTS_TASK, DemoJudge(), Amount(2, 1, 1, 0))
    pictures = np.zeros((len(gallery.wanted), 64, 64, 3), np.uint8)
    for number, wanted in enumerate(gallery.wanted):
        pictures[number] = OBJECTS_TASK.watched.index(wanted.concept)
    strip = gallery.strip(pictures)
    assert strip.shape == (64, 640, 3) and strip[0, ::64, 0].tolist() == list(range(10))


def test_tables_and_plots_of_what_is_there_are_written_beside_the_file(tmp_path):
    pieces = {"speed/size": {"SD1.5": {"bytes": 420_000, "rank": 4, "layers": 32}}}
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"stamp": {}, "pieces": pieces}))
    written = report(path, TASKS)
    assert written == [tmp_path / "own.md", tmp_path / "own pictures" / "scaling.png"]
    assert "420,000" in written[0].read_text()


def test_methods_that_train_stand_beside_the_published_one():
    def found(evaluations, stopped):
        return {
            "evaluations": evaluations,
            "seconds": 3.0,
            "steps": 7,
            "stopped_by_its_rule": stopped,
            "rho": [0.1, -0.3],
            "pictures": 4,
            "drawn": {"{}": 1, "a {}": 2},
            "others_right": 19,
            "others_identical": 18,
            "others_pictures": 20,
        }

    ours = {"trained/refine": found(100, True)}
    assert trained(ours) == []
    *_, paper, refine, _, _ = trained({"trained/paper separate": found(1000, False)} | ours)
    assert paper == (
        "| paper separate | 1000 | 3 | 7, the limit | 0.30 | 3 of 8 | 19 of 20 | 18 of 20 |"
    )
    assert refine.startswith("| refine | 100 (10 times fewer) | 3 | 7 |")


def test_only_full_runs_on_the_demo_model_are_published(tmp_path):
    path = tmp_path / "own.json"
    stamp = {"checkpoint": "mine.safetensors", "pictures": {"bare": 16}}
    path.write_text(json.dumps({"stamp": stamp, "pieces": {}}))
    before = (DOCS / "results.json").read_bytes()
    with pytest.raises(ValueError, match=r"mine\.safetensors.*full runs on the demo model"):
        main([str(path)])
    assert (DOCS / "results.json").read_bytes() == before
