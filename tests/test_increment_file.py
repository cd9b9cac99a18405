"""The increment file: whole or not at all, read strictly."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load, save_file

from sepme_core.concepts import Concept
from sepme_core.errors import IncrementFileError
from sepme_core.increment import Increment, Provenance
from sepme_core.increment_file import (
    FORMAT_VERSION,
    read_hashed,
    read_increment,
    read_label,
    to_bytes,
    write_increment,
)
from tests.toy import toy_increment

KEYS = ("concept", "protected", "family", "text_encoder", "base", "method", "dead_zone", "leak")
INCREMENT = replace(
    toy_increment(),
    concept=Concept("Côté 猫", ("kitten", "tom, cat"), "dog"),
    provenance=Provenance(
        templates=("a photo of a {}",),
        protected=("", "a dog", "猫\n"),
        family="sd1",
        text_encoder="abc",
        base="def",
        method={"name": "closed form", "seed": 7, "basis": {"energy": 0.97, "dead_zone": None}},
        leak={"linear": 0.1, "exact": 0.0, "prompt": "a dog"},
    ),
)
FULL = Increment(
    Concept("nudity"), torch.zeros(0, 0), {}, {"block.to_q": torch.arange(6.0).view(2, 3)}
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cat.safetensors"


def tamper(
    path: Path,
    tensors: Callable[[dict[str, torch.Tensor]], object] = lambda _: None,
    metadata: Callable[[dict[str, str]], object] = lambda _: None,
) -> None:
    """Writes a good file and rewrites it with something changed."""
    write_increment(INCREMENT, path, overwrite=True)
    with safe_open(path, "pt") as file:
        texts = dict(file.metadata())
    loaded = load(path.read_bytes())
    tensors(loaded)
    metadata(texts)
    save_file(loaded, path, texts)


@pytest.mark.parametrize("increment", [INCREMENT, FULL, INCREMENT.scaled(1 / 3)])
def test_what_was_written_is_read_bit_for_bit(increment, path):
    write_increment(increment, path)
    read = read_increment(path)
    assert read.digest == increment.digest
    assert read.tensors().keys() == increment.tensors().keys()
    for key, tensor in increment.tensors().items():
        assert torch.equal(read.tensors()[key], tensor)
        assert read.tensors()[key].dtype == tensor.dtype
    assert read.concept == increment.concept
    assert read.dead_zone == increment.dead_zone
    assert read.provenance == increment.provenance
    assert to_bytes(read) == to_bytes(increment) == path.read_bytes()


def test_tampering_with_nothing_leaves_a_readable_file(path):
    tamper(path)
    assert read_increment(path).digest == INCREMENT.digest


def test_half_precision_coefficients_stay_as_they_are(path):
    half = replace(INCREMENT, coef={k: v.half() for k, v in INCREMENT.coef.items()})
    write_increment(half, path)
    assert read_increment(path).coef["block.to_k"].dtype == torch.float16


def test_equal_increments_give_equal_bytes_and_different_ones_do_not():
    again = replace(
        INCREMENT, coef=dict(reversed(INCREMENT.coef.items())), basis=INCREMENT.basis.clone()
    )
    assert len({to_bytes(INCREMENT) for _ in range(8)} | {to_bytes(again)}) == 1
    assert to_bytes(INCREMENT.scaled(0.5)) != to_bytes(INCREMENT)
    moved = replace(INCREMENT, provenance=replace(INCREMENT.provenance, base="x"))
    assert to_bytes(moved) != to_bytes(INCREMENT)


def test_file_is_plain_safetensors_with_the_documented_names(path):
    write_increment(INCREMENT, path)
    with safe_open(path, "pt") as file:
        assert set(file.keys()) == {"basis.context", "coef.block.to_k", "coef.block.to_v"}
        metadata = file.metadata()
    assert metadata["sepme.format"] == str(FORMAT_VERSION) == "1"
    assert {f"sepme.{k}" for k in KEYS} < metadata.keys()
    assert json.loads(metadata["sepme.concept"])["name"] == "Côté 猫"
    assert metadata["modelspec.title"].endswith("Côté 猫")
    assert metadata["modelspec.architecture"].startswith("sd1/")
    header = int.from_bytes(path.read_bytes()[:8], "little")
    assert header % 8 == 0, "tensors are aligned"


def test_existing_file_is_kept_unless_overwriting_was_asked_for(path):
    write_increment(INCREMENT, path)
    before = path.read_bytes()
    with pytest.raises(IncrementFileError, match="cat.safetensors exists already.*overwrite"):
        write_increment(FULL, path)
    assert path.read_bytes() == before
    write_increment(FULL, path, overwrite=True)
    assert path.read_bytes() == to_bytes(FULL) != before


def test_missing_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "cat.safetensors"
    write_increment(INCREMENT, path)
    assert read_increment(path).digest == INCREMENT.digest


@pytest.mark.parametrize("failing", ["replace", "fsync"])
def test_failed_write_leaves_nothing_behind_and_the_old_file_as_it_was(path, monkeypatch, failing):
    write_increment(FULL, path)

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, full_disk)
    with pytest.raises(IncrementFileError, match="cat.safetensors.*No space left on device"):
        write_increment(INCREMENT, path, overwrite=True)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == to_bytes(FULL)
    monkeypatch.undo()
    write_increment(INCREMENT, path, overwrite=True)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == to_bytes(INCREMENT)


def test_interrupted_write_leaves_nothing_behind(path, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_increment(INCREMENT, path)
    assert list(path.parent.iterdir()) == []


def test_folder_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(IncrementFileError, match="could not be written"):
        write_increment(INCREMENT, tmp_path / "file" / "cat.safetensors")


@pytest.mark.parametrize("size", [0, 4, 100, -1])
def test_truncated_file_is_refused_by_name(path, size):
    path.write_bytes(to_bytes(INCREMENT)[:size])
    with pytest.raises(IncrementFileError, match="cat.safetensors cannot be read"):
        read_increment(path)


USED_AFTER = """
import sys
from pathlib import Path
from sepme_core.increment_file import read_increment, to_bytes

path = Path(sys.argv[1])
increment = read_increment(path)
before, digest = to_bytes(increment), increment.digest
with path.open("r+b") as file:
    {change}
assert to_bytes(increment) == before and increment.digest == digest
"""


@pytest.mark.parametrize(
    "change",
    ["file.truncate(0)", "file.truncate(4096)", "file.seek(4096); file.write(bytes(60_000))"],
)
def test_what_was_read_stays_as_it_was_whatever_becomes_of_the_file(path, change):
    coef = {"block.to_k": torch.ones(8192, 3)}  # many pages of memory, so that some would be gone
    write_increment(replace(INCREMENT, coef=coef), path)
    whole = path.read_bytes()
    command = [sys.executable, "-c", USED_AFTER.format(change=change), str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
    assert ended.returncode == 0, ended.stderr
    assert path.read_bytes() != whole


def test_the_digest_is_that_of_the_bytes_that_were_read(path):
    write_increment(INCREMENT, path)
    increment, digest = read_hashed(path)
    assert increment.digest == INCREMENT.digest
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_foreign_file_is_refused_before_its_tensors_are_read(path):
    n_bytes = 2**36  # more than any machine's memory; nothing of it is on the disk
    header = {"x": {"dtype": "U8", "shape": [n_bytes], "data_offsets": [0, n_bytes]}}
    start = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(start).to_bytes(8, "little") + start)
        file.truncate(8 + len(start) + n_bytes)
    with pytest.raises(IncrementFileError, match="not an increment"):
        read_increment(path)


@pytest.mark.parametrize("read", [read_increment, read_label])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
            "This is a Git LFS pointer.*git lfs pull",
        ),
        (b"\n  <!DOCTYPE html>\n<html><body>cat</body></html>", "This is a web page.*download the"),
        (b"\xef\xbb\xbf<HTML lang='en'>" + b" " * 5000, "This is a web page"),
        (b"", "The file is empty"),
        (b"\x07" * 500, "truncated, damaged"),
    ],
)
def test_what_is_no_increment_is_told_for_what_it_is(path, read, content, words):
    path.write_bytes(content)
    with pytest.raises(IncrementFileError, match=f"cat.safetensors cannot be read.*{words}"):
        read(path)


@pytest.mark.parametrize("read", [read_increment, read_label])
@pytest.mark.parametrize(
    "header",
    [b"[" * 50_000, b"[]", b'{"__metadata__": 3}', b'{"x": 1}', b"\xff" * 8, b"9" * 20_000]
    + [b'{"x": {"data_offsets": [0, "many"]}, "__metadata__": {}}'],
)
def test_headers_that_make_no_sense_are_refused(path, read, header):
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(IncrementFileError, match="cat.safetensors"):
        read(path)


@pytest.mark.parametrize("content", [b"not a file", b"\xff" * 64, b"PK\x03\x04" * 20])
def test_garbage_is_refused_by_name(path, content):
    path.write_bytes(content)
    with pytest.raises(IncrementFileError, match="cat.safetensors cannot be read"):
        read_increment(path)


def test_missing_file_is_refused_by_name(path):
    with pytest.raises(IncrementFileError, match="cat.safetensors cannot be read"):
        read_increment(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_other_safetensors_are_refused_as_no_increment(path, metadata):
    save_file({"lora_up.weight": torch.ones(2, 2)}, path, metadata)
    with pytest.raises(IncrementFileError, match="cat.safetensors: .*not an increment"):
        read_increment(path)


def test_newer_format_is_refused_with_both_numbers(path):
    tamper(path, metadata=lambda m: m.update({"sepme.format": "2"}))
    with pytest.raises(IncrementFileError, match=r"format 2; this version reads up to 1.*Update"):
        read_increment(path)


@pytest.mark.parametrize("version", ["0", "-1", "1.0", "", "one"])
def test_format_that_is_no_known_number_is_refused(path, version):
    tamper(path, metadata=lambda m: m.update({"sepme.format": version}))
    with pytest.raises(IncrementFileError, match="format"):
        read_increment(path)


@pytest.mark.parametrize("key", KEYS)
def test_missing_metadata_is_refused_and_named(path, key):
    tamper(path, metadata=lambda m: m.pop(f"sepme.{key}"))
    with pytest.raises(IncrementFileError, match=f"incomplete.*sepme.{key}'"):
        read_increment(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("concept", "{not json"),
        ("concept", "[1]"),
        ("concept", '{"name": "cat"}'),
        ("dead_zone", "[0.1]"),
        ("dead_zone", '{"threshold": 0.1}'),
        ("dead_zone", '{"threshold": "x", "largest_protected": 0, "smallest_concept": 1}'),
        ("dead_zone", '{"threshold": NaN, "largest_protected": 0, "smallest_concept": 1}'),
        ("dead_zone", '{"threshold": 2, "largest_protected": 0, "smallest_concept": 1}'),
        ("dead_zone", '{"threshold": -0.1, "largest_protected": 0, "smallest_concept": 1}'),
        ("concept", '{"name": " ", "synonyms": [], "anchor": "", "templates": []}'),
        ("concept", '{"name": "cat", "synonyms": "kitten", "anchor": "", "templates": []}'),
        ("concept", '{"name": "cat", "synonyms": [], "anchor": null, "templates": []}'),
        ("protected", "7"),
        ("protected", '"a dog"'),
        ("protected", "[1]"),
        ("leak", "[]"),
        ("later_addition", "1"),
        ("method", "{"),
    ],
)
def test_damaged_metadata_is_refused(path, key, value):
    tamper(path, metadata=lambda m: m.update({f"sepme.{key}": value}))
    with pytest.raises(IncrementFileError, match="cat.safetensors"):
        read_increment(path)


@pytest.mark.parametrize(
    ("key", "tensor", "reason"),
    [
        ("extra", torch.ones(2, 2), "unknown tensor 'extra'"),
        ("coef.", torch.ones(5, 3), "unknown tensor 'coef.'"),
        ("basis.image", torch.ones(3, 8), "unknown tensor 'basis.image'"),
        ("lora.block", torch.ones(2, 2), "unknown tensor 'lora.block'"),
        ("coef.block.to_k", torch.ones(5), r"coef.block.to_k .*shape \[5\], expected a matrix"),
        (
            "coef.block.to_k",
            torch.ones(5, 3, 1),
            r"coef.block.to_k .*shape \[5, 3, 1\], expected a matrix",
        ),
        ("coef.block.to_k", torch.ones(5, 3, dtype=torch.int32), "int32"),
        ("basis.context", torch.ones(3, 8, dtype=torch.bool), "bool"),
        ("coef.block.to_k", torch.ones(5, 4), "coef.block.to_k has 4 columns, the basis 3"),
        ("basis.context", torch.eye(2, 8), "has 3 columns, the basis 2"),
        ("basis.context", torch.eye(3, 8).half(), "basis.context is torch.float16"),
        ("coef.block.to_k", torch.ones(5, 3).double(), "coef.block.to_k is torch.float64"),
        ("basis.context", 1.01 * torch.eye(3, 8), "basis.context are not orthonormal"),
        ("full.block.to_q", torch.ones(2, 2), "1 full tensors; expected"),
        ("basis.context", torch.full((3, 8), float("nan")), "basis.context .*[nN]a[nN]"),
        ("coef.block.to_v", torch.full((5, 3), float("inf")), "coef.block.to_v .*infinity"),
    ],
)
def test_wrong_tensor_is_refused_and_named(path, key, tensor, reason):
    tamper(path, tensors=lambda t: t.update({key: tensor}))
    with pytest.raises(IncrementFileError, match=f"cat.safetensors: .*{reason}"):
        read_increment(path)


def test_file_without_basis_or_without_coefficients_is_refused(path):
    tamper(path, tensors=lambda t: t.pop("basis.context"))
    with pytest.raises(
        IncrementFileError, match="0 basis, 2 coef and 0 full.*expected a basis with coefs"
    ):
        read_increment(path)
    tamper(path, tensors=lambda t: [t.pop(f"coef.block.to_{x}") for x in "kv"])
    with pytest.raises(IncrementFileError, match="1 basis, 0 coef and 0 full"):
        read_increment(path)


def test_the_label_is_read_without_the_tensors(path):
    tamper(path, tensors=lambda t: t.update({"basis.context": torch.ones(2, 16)}))
    with pytest.raises(IncrementFileError, match="cat.safetensors"):
        read_increment(path)
    label = read_label(path)
    assert (label.concept, label.provenance) == (INCREMENT.concept, INCREMENT.provenance)
    assert label.dead_zone == INCREMENT.dead_zone


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:100], lambda _: b""])
def test_the_label_of_a_truncated_file_is_refused(path, damage):
    path.write_bytes(damage(to_bytes(INCREMENT)))
    with pytest.raises(IncrementFileError, match="cat.safetensors cannot be read"):
        read_label(path)
