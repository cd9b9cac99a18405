"""The bench of speed measures what it says; how fast anything is, no test asserts."""

import importlib

import pytest
import torch

from bench.speed import NAMES, PIECES
from bench.speed.basis import _rows
from bench.speed.profile import Stopwatch
from bench.speed.timing import paired, slope
from sepme_core.nullspace import null_space


def test_every_piece_can_be_run_alone():
    assert set(PIECES) == set(NAMES)
    for name in NAMES:
        assert callable(importlib.import_module(f"bench.speed.{name}").measure)


def test_slope_is_the_exponent_of_growth():
    sizes = [1, 10, 30, 100]
    assert slope(sizes, [7 * n**1.5 for n in sizes]) == pytest.approx(1.5)
    assert slope(sizes, [3.0] * 4) == pytest.approx(0)


def test_pairs_change_sides_and_their_middle_counts():
    order = []
    others = iter([99.0, 2.0, 2.2, 8.0, 2.1, 2.1])  # the first runs warm up

    def plain():
        order.append("plain")
        return 1.0

    def other():
        order.append("other")
        return next(others)

    found = paired(plain, other, 5)
    assert order[2:6] == ["plain", "other", "other", "plain"]
    assert (found["ratio"], found["lower"], found["upper"]) == (2.1, 2.1, 2.2)
    assert found["added_seconds"] == pytest.approx(1.1)


def test_time_in_an_inner_stage_is_not_counted_twice():
    now = iter([0.0, 1.0, 4.0, 6.0, 10.0, 11.0])
    stages = Stopwatch(lambda: next(now))
    with stages.stage("outer"):
        with stages.stage("inner"):
            pass
    with stages.stage("inner"):
        pass
    assert stages.seconds == {"inner": 3 + 1, "outer": 6 - 3}


def test_a_watched_function_does_what_it_did():
    class Owner:
        @staticmethod
        def double(x):
            return 2 * x

    stages = Stopwatch()
    stages.watch(Owner, "double", "doubling")
    assert Owner.double(4) == 8
    assert stages.seconds.keys() == {"doubling"}


def test_both_bases_that_are_compared_span_the_same_space():
    sympy = pytest.importorskip("sympy")
    rows = _rows(2, 48)
    found = sympy.Matrix(rows.numpy()).nullspace()
    theirs = torch.tensor([[float(x) for x in column] for column in found], dtype=torch.float64)
    ours = null_space(rows.double())
    assert len(theirs) == len(ours) == 48 - len(rows)
    outside = theirs - (theirs @ ours.T) @ ours
    assert float(outside.abs().max()) < 1e-6 * float(theirs.abs().max())
    assert float((ours - ours.flip(1)).abs().max()) > 0.1
