"""Moments of preserve lists are kept on disk, and a damaged file is only computed again."""

import pytest
import torch

from tests.toy import ToyEncoder

CAPTIONS = ("a red house", "people in the rain", "still life")


@pytest.fixture
def moments(tmp_path, monkeypatch):
    from sepme_pack.nodes import files, moments

    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path / "cache")
    return moments


def test_same_list_is_encoded_once_and_another_encoder_is_told_apart(moments):
    encoder = ToyEncoder()
    first = moments.kept_moments(encoder, "one", lambda _: None)(CAPTIONS)
    assert encoder.n_calls == 1
    again = moments.kept_moments(encoder, "one", lambda _: None)(CAPTIONS)
    assert encoder.n_calls == 1
    assert torch.equal(first.matrix, again.matrix) and again.n_prompts == 3
    for kept, read in zip(first.sample, again.sample, strict=True):
        assert torch.equal(kept.embeddings, read.embeddings) and kept.n_words == read.n_words
    moments.kept_moments(encoder, "two", lambda _: None)(CAPTIONS)
    moments.kept_moments(encoder, "one", lambda _: None)(CAPTIONS[:2])
    assert encoder.n_calls == 3


def test_damaged_file_is_replaced(moments, tmp_path):
    encoder = ToyEncoder()
    first = moments.kept_moments(encoder, "one", lambda _: None)(CAPTIONS)
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    again = moments.kept_moments(encoder, "one", lambda _: None)(CAPTIONS)
    assert torch.equal(first.matrix, again.matrix)
    assert encoder.n_calls == 2
