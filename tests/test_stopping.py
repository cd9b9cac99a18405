"""The momentum statistic and when it says stop."""

import pytest
import torch

from sepme_core.stopping import MomentumStop


def feed(stop: MomentumStop, *values: object) -> list[bool]:
    return [stop.update(torch.tensor(v)) for v in values]


def test_statistic_by_hand():
    stop = MomentumStop(tau=0.0, momentum=0.75)
    expected = [1.0, 0.75 * 1.0 + 0.25 * 0.5, 0.75 * 0.875 + 0.25 * 0.0]
    for value, mean in zip((1.0, 0.5, 0.0), expected, strict=True):
        stop.update(torch.tensor(value))
        assert stop.statistic == pytest.approx(mean, abs=1e-15)
    assert stop.step == 3


def test_first_value_is_the_first_mean():
    stop = MomentumStop(tau=0.5, momentum=0.9, min_steps=1)
    assert stop.statistic == float("inf")
    assert feed(stop, 0.4) == [True]
    assert stop.statistic == pytest.approx(0.4, abs=1e-7)


@pytest.mark.parametrize("min_steps", [1, 3, 10])
def test_never_stops_before_the_least_number_of_steps(min_steps):
    said = feed(MomentumStop(tau=1.0, min_steps=min_steps), *[0.0] * 12)
    assert said == [step >= min_steps for step in range(1, 13)]


def test_stops_when_the_mean_falls_to_tau_not_when_a_single_value_does():
    stop = MomentumStop(tau=0.5, momentum=0.5, min_steps=1)
    assert feed(stop, 2.0, 0.0, 0.0, 0.0) == [False, False, True, True]


def test_worst_stratum_decides():
    stop = MomentumStop(tau=0.1, momentum=0.0, min_steps=1)
    assert feed(stop, [0.0, 0.0, 0.2], [0.0, -0.2, 0.0], [0.05, 0.05, -0.05]) == [
        False,
        False,
        True,
    ]


def test_signs_at_different_times_do_not_cancel_but_do_in_the_papers_scalar():
    by_time = torch.tensor([0.8, -0.8])
    ours = MomentumStop(tau=0.1, min_steps=1)
    paper = MomentumStop(tau=0.1, min_steps=1, absolute=False)
    assert not ours.update(by_time)
    assert ours.statistic == pytest.approx(0.8, abs=1e-7)
    assert paper.update(by_time.mean())


def test_paper_stops_on_a_negative_mean_where_the_absolute_one_goes_on():
    assert feed(MomentumStop(tau=0.1, min_steps=1, absolute=False), -1.0) == [True]
    assert feed(MomentumStop(tau=0.1, min_steps=1), -1.0) == [False]


def test_alternating_signs_within_one_stratum_are_averaged():
    stop = MomentumStop(tau=0.1, momentum=0.9, min_steps=1)
    feed(stop, *[0.5, -0.5] * 20)
    assert stop.statistic < 0.1


def test_statistic_holds_no_gradient():
    stop = MomentumStop(tau=0.1)
    value = torch.tensor(1.0, requires_grad=True)
    stop.update(value * 2)
    assert stop.statistic == 2.0
    (value * 3).backward()
    assert value.grad == 3.0
