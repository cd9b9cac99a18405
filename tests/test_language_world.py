"""The world with language: its files are read, and its training runs from end to end."""

import struct

import numpy as np
import pytest
import torch

from demo.language import gguf, judge, store
from demo.language.config import MODEL
from demo.language.pictures import training_pictures
from demo.language.train import loop, run
from demo.language.train.network import NextDiT
from demo.language.train.scenes import Scenes


def test_blocks_of_four_and_eight_bits_are_read_as_they_are_written():
    codes = np.arange(32) % 16
    half = np.array([0.5, -2.0], np.float16).tobytes()
    packed = (codes[:16] | codes[16:] << 4).astype(np.uint8).tobytes()
    block = np.frombuffer(half + packed, np.uint8)[None]
    expected = torch.from_numpy(codes * 0.5 - 2.0).float()
    assert torch.equal(gguf.decode(block, (32,)), expected)
    signed = np.arange(-16, 16).astype(np.int8)
    block = np.frombuffer(np.float16(0.25).tobytes() + signed.tobytes(), np.uint8)[None]
    assert torch.equal(gguf.decode(block, (4, 8)), torch.arange(-16.0, 16).view(4, 8) * 0.25)


def gguf_file(path, kind: int = gguf.F32):
    """A file with one text, one list of numbers, and one tensor of 32 values."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    fields = text("name") + struct.pack("<I", 8) + text("little")
    fields += text("numbers") + struct.pack("<IIQ3i", 9, 5, 3, 1, -2, 3)
    entry = text("weight") + struct.pack("<I2QIQ", 2, 8, 4, kind, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 2) + fields + entry
    values = np.arange(32, dtype=np.float32).tobytes()
    path.write_bytes(head + bytes(-len(head) % 32) + values)
    return path


def test_a_file_gives_its_metadata_and_its_tensors(tmp_path):
    file = gguf.File(gguf_file(tmp_path / "a.gguf"))
    assert file.metadata == {"name": "little", "numbers": [1, -2, 3]}
    assert file.names() == ["weight"]
    assert torch.equal(file.tensor("weight"), torch.arange(32.0).view(4, 8))


def test_other_files_and_other_kinds_of_weights_are_refused(tmp_path):
    (tmp_path / "b").write_bytes(b"something else than a model")
    with pytest.raises(ValueError, match="is no GGUF file"):
        gguf.File(tmp_path / "b")
    with pytest.raises(ValueError, match="weight in .* is of kind 14"):
        gguf.File(gguf_file(tmp_path / "c", kind=14)).tensor("weight")


def test_scenes_stay_pictures_and_pairs_keep_their_sides():
    scenes = Scenes(training_pictures())
    torch.manual_seed(0)
    cats, styles = torch.zeros(8, dtype=torch.long), torch.arange(8) % 4
    pair = scenes.pair(cats, cats + 20, styles)
    assert pair.shape == (8, 3, 64, 64)
    assert 0 <= pair.min() and pair.max() <= 1
    left, right = judge.halves(pair)
    assert left.shape == right.shape == pair.shape
    single = scenes.single(cats, styles)
    assert not torch.equal(single[0], single[4]), "the same cat twice, but never the same picture"


@pytest.fixture(scope="module")
def network() -> NextDiT:
    """Random weights, also where training begins with zeros."""
    torch.manual_seed(0)
    network = NextDiT().eval()
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.05)
    return network


@torch.no_grad()
def test_rows_behind_a_prompt_are_nothing_to_the_network(network):
    x, sigma, n_rows = torch.randn(1, 16, 8, 8), torch.tensor([0.5]), torch.tensor([10])
    rows = torch.randn(1, 16, MODEL["cap_feat_dim"])
    other = rows.clone()
    other[:, 10:] += 1
    drawn = network(x, sigma, rows, n_rows)
    assert torch.equal(network(x, sigma, other, n_rows), drawn)
    other[:, 9] += 1
    assert not torch.equal(network(x, sigma, other, n_rows), drawn)


def test_training_goes_on_where_it_was_ended(tmp_path):
    wanted = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))

    def trainer(seconds: float) -> loop.Trainer:
        torch.manual_seed(1)
        return loop.Trainer(torch.nn.Linear(4, 8), tmp_path / "state", seconds, loop.adam, 1e-2)

    def losses():
        return [lambda model: (model.weight.T - wanted).square().mean()]

    first = trainer(0.05)
    first.run(losses, "first")
    second = trainer(1e6)
    assert second.step == first.step > 0
    assert 0 < second.spent < 1
    assert all(
        map(torch.equal, second.model.state_dict().values(), first.model.state_dict().values())
    )
    untrained = torch.nn.Linear(4, 8)
    assert not torch.equal(second.model.weight, untrained.weight)


@pytest.fixture
def one_thread():
    """For steps this small more threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_all_stages_run_and_what_they_leave_can_be_stored(tmp_path):
    trained, stored = tmp_path / "trained", tmp_path / "stored"
    trained.mkdir()
    run.rehearse(trained)
    assert (trained / "results.json").exists()
    store.put(trained, stored)
    NextDiT().load_state_dict(store.network("few", stored))
    assert store.autoencoder(stored)["taesd_decoder.1.weight"].shape[1] == MODEL["in_channels"]
    objects, styles = judge.judge(
        torch.rand(2, 3, 64, 64), judge.load(stored / "judge.safetensors")
    )
    assert objects.shape == styles.shape == (2,)
    size = sum(file.stat().st_size for file in stored.iterdir())
    assert size < 25e6, f"{size / 1e6:.1f} MB"


def test_a_world_that_is_not_trained_says_how_to_train_it(tmp_path):
    for read in (lambda: store.network("model", tmp_path), lambda: store.autoencoder(tmp_path)):
        with pytest.raises(FileNotFoundError, match=r"trained first.*demo/language/README\.md"):
            read()


def test_the_judge_takes_one_size_only():
    with pytest.raises(ValueError, match=r"takes pictures \[n, 3, 64, 64\], got \[1, 3, 32, 32\]"):
        judge.judge(torch.rand(1, 3, 32, 32), judge.Judge())
