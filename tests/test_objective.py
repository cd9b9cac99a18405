"""How much of a concept is left, by hand."""

import pytest
import torch

from sepme_core.errors import NonFiniteError
from sepme_core.objective import (
    accumulate_gradients,
    balance,
    correlation_loss,
    mean_l1,
    normalised_correlation,
)

EPS = torch.finfo(torch.float32).eps


def test_papers_loss_is_the_mean_product():
    erased, original = (
        torch.tensor([[1.0, 2.0], [3.0, -4.0]]),
        torch.tensor([[2.0, 0.5], [1.0, 1.0]]),
    )
    assert float(correlation_loss(erased, original)) == (2 + 1 + 3 - 4) / 4


def test_papers_loss_cancels_over_times_where_the_normalised_one_does_not():
    original = torch.tensor([[1.0, 1.0], [1.0, 1.0]])
    erased = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    assert float(correlation_loss(erased, original)) == 0
    assert normalised_correlation(erased, original).tolist() == [1.0, -1.0]


def test_papers_loss_drowns_a_quiet_time_where_the_normalised_one_does_not():
    original = torch.tensor([[100.0], [1.0]])
    erased = torch.tensor([[0.0], [1.0]])
    assert float(correlation_loss(erased, original)) < 1e-3 * float(original.square().mean())
    assert normalised_correlation(erased, original).tolist() == [0.0, 1.0]


def test_correlation_is_one_when_untouched_zero_when_orthogonal_and_negative_beyond():
    original = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    ones = normalised_correlation(original, original)
    torch.testing.assert_close(ones, torch.ones(3), rtol=0, atol=4 * EPS)
    assert normalised_correlation(torch.zeros_like(original), original).tolist() == [0.0] * 3
    torch.testing.assert_close(
        normalised_correlation(-0.5 * original, original),
        torch.full((3,), -0.5),
        rtol=0,
        atol=4 * EPS,
    )
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert float(normalised_correlation(a, b)) == 0


def test_correlation_by_hand():
    erased, original = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]])
    assert float(normalised_correlation(erased, original)) == pytest.approx(11 / 25, abs=EPS)


@pytest.mark.parametrize("scale", [2.0**-10, 2.0**10])
def test_correlation_does_not_depend_on_the_scale_of_both(scale):
    g = torch.Generator().manual_seed(1)
    erased, original = torch.randn(2, 4, 8, generator=g)
    rho = normalised_correlation(erased, original)
    assert torch.equal(normalised_correlation(scale * erased, scale * original), rho)
    assert not torch.equal(normalised_correlation(scale * erased, original), rho)


def test_empty_representation_gives_zero_not_nan():
    assert normalised_correlation(torch.ones(1, 4), torch.zeros(1, 4)).tolist() == [0.0]


def test_balance_makes_every_concept_weigh_alike():
    losses = [torch.tensor(x) for x in (4.0, -1.0, 0.5)]
    assert balance(losses) == [1.0, 4.0, 8.0]
    assert [abs(eta * float(x)) for eta, x in zip(balance(losses), losses, strict=True)] == [
        4.0
    ] * 3
    assert balance([torch.tensor(0.3)]) == [1.0]


def test_balance_takes_no_part_in_the_gradient():
    loss = torch.tensor(2.0, requires_grad=True)
    (balance([loss, torch.tensor(4.0)])[0] * loss).backward()
    assert float(loss.grad) == 2.0


def test_gradients_add_up_whatever_the_scale():
    used, unused = (torch.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    for scale in (1.0, 4096.0):
        accumulate_gradients((used**2).sum(), [used, unused], scale)
    assert used.grad.tolist() == [4.0, 8.0]
    assert unused.grad is None or not unused.grad.any()


def test_scale_carries_gradients_that_half_precision_would_lose():
    def gradient(scale: float) -> float:
        p = torch.tensor(1.0, requires_grad=True)
        half = (p.half() * 1e-4).float() * 1e-5
        accumulate_gradients(half, [p], scale)
        return float(p.grad)

    assert gradient(1.0) == 0
    assert gradient(2.0**14) == pytest.approx(1e-9, rel=1e-2)


def test_gradient_that_overflows_is_refused():
    p = torch.tensor(0.0, requires_grad=True)
    with pytest.raises(NonFiniteError, match="smaller learning rate"):
        accumulate_gradients(p.sqrt(), [p], 1.0)
    assert p.grad is None


def test_size_is_the_l1_norm_averaged_over_layers():
    assert float(mean_l1([torch.tensor([[1.0, -2.0]]), torch.tensor([[-5.0]])])) == 4.0
    assert float(mean_l1(iter([torch.zeros(2, 2)]))) == 0.0
