"""The unit of geometry, and that no unit, turn or common vector of an encoder gets through it."""

import pytest
import torch

from sepme_core.errors import ConceptError, IncompatibleError, NonFiniteError
from sepme_core.text.language import LanguageFitter

D = 24
# In double precision sums of thousands of products are good to far more than this.
EXACT = 1e-9


def tokens(n=600, seed=0):
    """Rows with a spread that differs by orders between directions, about a large common vector."""
    generator = torch.Generator().manual_seed(seed)
    spread = torch.logspace(-1, 1, D, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(D, D, generator=generator, dtype=torch.float64))[0]
    rows = torch.randn(n, D, generator=generator, dtype=torch.float64) * spread
    return rows @ turn + 50 * turn[0]


def language(rows, batch=100):
    fitter = LanguageFitter(D)
    for part in rows.split(batch):
        fitter.add(part)
    return fitter.language()


def test_whitened_tokens_have_mean_zero_and_unit_covariance():
    rows = tokens()
    x = language(rows).whiten(rows).double()
    assert x.mean(0).abs().max() < 1e-5
    covariance = x.T @ x / len(x)
    # The shrinkage takes a part away where language varies least.
    assert (covariance - torch.eye(D)).abs().max() < 0.25
    assert (torch.linalg.eigvalsh(covariance) <= 1 + 1e-5).all()
    raw = rows - rows.mean(0)
    assert torch.linalg.cond(raw.T @ raw) > 1000, "and the raw rows have not"


def test_batches_make_no_difference_even_far_from_the_origin():
    rows = tokens() + 1e6
    a, b = language(rows, 1000), language(rows, 7)
    assert torch.allclose(a.mean, b.mean, rtol=EXACT)
    assert torch.allclose(a.whitening, b.whitening, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_neither_units_nor_a_turn_nor_a_common_vector_change_lengths(scale):
    rows = tokens()
    generator = torch.Generator().manual_seed(5)
    turn = torch.linalg.qr(torch.randn(D, D, generator=generator, dtype=torch.float64))[0]
    other = scale * (rows @ turn) + 300 * turn[1]
    x, y = language(rows).whiten(rows), language(other).whiten(other)
    assert torch.allclose(x @ x.T, y @ y.T, atol=1e-3)
    assert not torch.allclose(rows @ rows.T, other @ other.T, rtol=0.5), "raw lengths have changed"


def test_a_dimension_a_thousand_times_larger_hardly_changes_lengths():
    rows = tokens()
    other = rows.clone()
    other[:, 3] *= 1000
    x, y = language(rows).whiten(rows), language(other).whiten(other)
    assert (x.norm(dim=1) / y.norm(dim=1) - 1).abs().max() < 0.1
    assert (rows.norm(dim=1) / other.norm(dim=1) - 1).abs().max() > 0.9


def test_linear_functions_of_whitened_rows_are_those_of_raw_ones():
    rows = tokens()
    found = language(rows)
    weights = torch.randn(3, D, generator=torch.Generator().manual_seed(1))
    raw, constant = found.to_raw(weights)
    assert torch.allclose(
        rows @ raw.T + constant, (found.whiten(rows) @ weights.T).double(), atol=1e-4
    )


def test_an_encoder_wider_than_the_captions_have_tokens_still_gets_a_unit():
    rows = tokens(D // 2)
    found = language(rows)
    assert bool(torch.isfinite(found.whitening).all())
    assert found.whiten(rows).norm(dim=1).mean() > 1


def test_bad_rows_are_refused():
    fitter = LanguageFitter(D)
    with pytest.raises(IncompatibleError, match="7 wide, expected 24"):
        fitter.add(torch.zeros(3, 7))
    with pytest.raises(NonFiniteError, match="NaN or infinity"):
        fitter.add(torch.full((2, D), torch.nan))
    with pytest.raises(ConceptError, match="Got 0 tokens"):
        fitter.language()
    fitter.add(torch.ones(5, D))
    with pytest.raises(ConceptError, match="all alike"):
        fitter.language()
