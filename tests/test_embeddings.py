"""Prompts as weighted rows."""

import pytest
import torch

from sepme_core.embeddings import EncodedPrompt, relative_component, stack_rows, unit_rows
from tests.toy import D_TEXT, N_TOKENS, ToyEncoder, seeded

EPS = torch.finfo(torch.float64).eps


def test_all_padding_together_weighs_as_much_as_one_token():
    prompt = ToyEncoder().encode("a cat")
    weights = prompt.weights()
    assert weights[: prompt.n_words].tolist() == [1.0] * prompt.n_words
    assert float(weights[prompt.n_words :].square().sum()) == pytest.approx(1, abs=N_TOKENS * EPS)


def test_prompt_without_padding_has_only_ones():
    assert EncodedPrompt("x", torch.ones(4, 3), 4).weights().tolist() == [1.0] * 4


def test_unit_rows_have_length_one_and_zero_stays_zero():
    rows = unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0], [1e-20, 0.0]], dtype=torch.float32))
    assert rows.dtype == torch.float64
    lengths = rows.norm(dim=-1).tolist()
    assert lengths == pytest.approx([1, 0, 1], abs=4 * EPS)


def test_scale_of_embeddings_does_not_matter_for_components():
    e, basis = seeded("tokens", 5, D_TEXT), torch.eye(D_TEXT)[:7]
    alike = relative_component(4 * e, basis)
    torch.testing.assert_close(alike, relative_component(e, basis), rtol=0, atol=D_TEXT * EPS)


def test_component_is_one_inside_the_basis_zero_outside_and_between_otherwise():
    basis = torch.eye(4)[:2]
    e = torch.tensor([[3.0, 4, 0, 0], [0, 0, 1, 2], [1, 0, 0, 1]])
    expected = [1, 0, 0.5**0.5]
    assert relative_component(e, basis).tolist() == pytest.approx(expected, abs=4 * EPS)


def test_common_start_counts_once_however_many_prompts_share_it():
    encoder = ToyEncoder()
    one = stack_rows(encoder(["a cat"]))
    two = stack_rows(encoder(["a cat", "a cat"]))
    other = stack_rows(encoder(["a cat", "a dog"]))
    assert torch.equal(one, two)
    # Start mark and "a" are shared; "dog", its end mark and its padding are new.
    assert len(other) == len(one) + 3


def test_stacked_rows_carry_the_weights_of_their_tokens():
    prompt = ToyEncoder(blur=0.2).encode("a cat")
    rows = stack_rows([prompt])
    padding = 1 / (N_TOKENS - prompt.n_words) ** 0.5
    assert sorted(set(rows.norm(dim=-1).round(decimals=9).tolist())) == [round(padding, 9), 1.0]
