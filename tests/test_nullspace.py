"""Null spaces, row spaces and the directions of one concept."""

import pytest
import torch
from torch import Tensor

from sepme_core.errors import NotSeparableError
from sepme_core.nullspace import RANK_RTOL, concept_basis, null_space, rank_rtol, row_space

EPS = torch.finfo(torch.float64).eps


def matrix(n_rows: int, width: int, rank: int, seed: int = 0) -> Tensor:
    """A random matrix of exactly that rank."""
    g = torch.Generator().manual_seed(seed)
    left = torch.randn(n_rows, rank, generator=g, dtype=torch.float64)
    return left @ torch.randn(rank, width, generator=g, dtype=torch.float64)


def assert_orthonormal(rows: Tensor) -> None:
    identity = torch.eye(len(rows), dtype=rows.dtype)
    torch.testing.assert_close(rows @ rows.T, identity, rtol=0, atol=10 * rows.shape[1] * EPS)


@pytest.mark.parametrize("n_rows", [5, 24, 60])
@pytest.mark.parametrize("rank", [1, 4, 5])
def test_null_space_is_blind_to_every_row_and_holds_all_that_is(n_rows, rank):
    rows = matrix(n_rows, 24, rank)
    basis = null_space(rows)
    assert basis.shape == (24 - rank, 24)
    assert_orthonormal(basis)
    assert float((rows @ basis.T).abs().max()) <= 100 * EPS * float(rows.norm())
    assert row_space(rows).rank == rank
    assert float((rows @ row_space(rows).basis.T).abs().max()) > 0.1, "the row space does see them"


def test_row_space_and_null_space_complete_each_other():
    rows = matrix(9, 16, 6)
    both = torch.cat([row_space(rows).basis, null_space(rows)])
    assert both.shape == (16, 16)
    assert_orthonormal(both)


def test_rows_of_full_rank_leave_nothing():
    assert null_space(matrix(30, 8, 8)).shape == (0, 8)


def test_rows_that_differ_by_rounding_count_once_and_by_more_twice():
    row, other = torch.eye(6, dtype=torch.float64)[:2]
    same = torch.stack([row, row + RANK_RTOL / 10 * other])
    distinct = torch.stack([row, row + RANK_RTOL * 10 * other])
    assert (row_space(same).rank, len(null_space(same))) == (1, 5)
    assert (row_space(distinct).rank, len(null_space(distinct))) == (2, 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rank_is_honest_for_rows_that_were_rounded(dtype):
    rows = matrix(60, 24, 4)
    rounded = (rows / rows.norm(dim=-1, keepdim=True)).to(dtype).double()
    assert row_space(rounded, rank_rtol(dtype)).rank == 4
    if dtype != torch.float32:
        assert row_space(rounded).rank > 4, "which the limit for float32 does not see"


def test_null_space_of_many_rows_builds_no_square_matrix_of_them(monkeypatch):
    shapes: list[bool] = []
    svd = torch.linalg.svd

    def watched(rows, full_matrices):
        shapes.append(full_matrices)
        return svd(rows, full_matrices=full_matrices)

    monkeypatch.setattr(torch.linalg, "svd", watched)
    assert null_space(matrix(500, 8, 3)).shape == (5, 8)
    assert shapes == [False]


def test_truncated_protection_keeps_its_bound():
    g = torch.Generator().manual_seed(1)
    fading = torch.randn(40, 20, generator=g, dtype=torch.float64) * 0.5 ** torch.arange(20)
    exact, truncated = row_space(fading), row_space(fading, rtol=0.05)
    assert truncated.rank < exact.rank == 20
    bound = truncated.truncated * float(truncated.singular_values[0])
    reach = float(truncated.reject(fading).norm(dim=-1).max())
    assert 0 < reach <= bound * (1 + 100 * EPS)
    assert truncated.truncated <= 0.05
    assert float(exact.reject(fading).norm(dim=-1).max()) <= 1000 * EPS
    assert exact.truncated == 0.0


def test_rejected_rows_are_outside_and_rows_outside_stay():
    span = row_space(matrix(4, 12, 4))
    rows = matrix(7, 12, 7, seed=2)
    outside = span.reject(rows)
    assert float((outside @ span.basis.T).abs().max()) <= 100 * EPS * float(rows.norm())
    torch.testing.assert_close(span.reject(outside), outside, rtol=0, atol=1000 * EPS)
    assert not torch.allclose(outside, rows)


def test_reduced_basis_acts_on_the_concept_exactly_like_the_full_null_space():
    protected, concept = matrix(10, 32, 6), matrix(9, 32, 4, seed=3)
    full, reduced = null_space(protected), concept_basis(concept, row_space(protected)).rows
    assert len(reduced) == 4 < len(full) == 26
    coef = matrix(5, len(full), 5, seed=4)
    by_full = (concept @ full.T) @ coef.T
    by_reduced = (concept @ reduced.T) @ (coef @ full @ reduced.T).T
    torch.testing.assert_close(by_reduced, by_full, rtol=0, atol=1e4 * EPS)
    assert float(by_full.abs().max()) > 1, "and it does act"


def test_concepts_directions_are_blind_to_the_protected_rows():
    protected, concept = matrix(10, 32, 6), matrix(9, 32, 4, seed=3)
    basis = concept_basis(concept, row_space(protected))
    assert_orthonormal(basis.rows)
    assert float((protected @ basis.rows.T).abs().max()) <= 1000 * EPS * float(protected.norm())
    assert 0 < basis.surviving < 1


def test_concept_inside_the_protected_span_is_refused_with_the_span_s_size():
    protected = matrix(10, 16, 6)
    mixture = matrix(3, 10, 3, seed=5) @ protected
    with pytest.raises(NotSeparableError, match=r"6 of 16 directions"):
        concept_basis(mixture, row_space(protected))
    outside = mixture + 1e-3 * null_space(protected)[0]
    assert len(concept_basis(outside, row_space(protected)).rows) == 1
