"""Settings: the published defaults, and ranges that are checked before anything runs."""

import pytest

from sepme_core.config import (
    METHODS,
    PROTECTIONS,
    BasisConfig,
    EraseConfig,
    PaperConfig,
    RefineConfig,
)
from sepme_core.errors import ConceptError

INFINITE, NAN = float("inf"), float("nan")


def test_papers_settings_are_the_published_ones():
    paper = PaperConfig()
    assert (paper.learning_rate, paper.beta, paper.l1) == (0.1, 1e-4, 1e-6)
    assert (paper.tau, paper.momentum, paper.min_steps, paper.max_steps) == (1e-4, 0.9, 10, 1000)


@pytest.mark.parametrize(
    ("kind", "name", "bad", "good"),
    [
        (BasisConfig, "protection", "exact", "full"),
        (BasisConfig, "energy", 0.0, 1.0),
        (BasisConfig, "energy", 1.01, 0.01),
        (BasisConfig, "tolerance", 0.0, 0.5),
        (BasisConfig, "tolerance", 1.0, 0.99),
        (BasisConfig, "ridge", 0.0, 1e-9),
        (BasisConfig, "push", 0.0, 2.0),
        (BasisConfig, "dead_zone", 0.0, None),
        (BasisConfig, "dead_zone", 1.0, 0.5),
        (BasisConfig, "energy", float("nan"), 0.5),
        (PaperConfig, "learning_rate", 0.0, 1e-5),
        (PaperConfig, "learning_rate", -1.0, 1.0),
        (PaperConfig, "max_steps", 0, 1),
        (PaperConfig, "n_images", 0, 1),
        (RefineConfig, "learning_rate", 0.0, 1e-5),
        (RefineConfig, "max_steps", 0, 1),
        (RefineConfig, "n_trajectories", 0, 1),
        (RefineConfig, "n_strata", 0, 1),
        *((BasisConfig, "capacity", bad, 1.0) for bad in (0.0, 1.01)),
        *((BasisConfig, "max_basis", bad, 1) for bad in (0, 2.5)),
        *((BasisConfig, "soft", bad, 0.0) for bad in (-1.0, INFINITE, NAN)),
        *((BasisConfig, name, bad, 2.0) for name in ("ridge", "push") for bad in (INFINITE, NAN)),
        (PaperConfig, "tau", -1.0, 0.0),
        (PaperConfig, "min_steps", -5, 0),
        (PaperConfig, "l1", -1.0, 0.0),
        (RefineConfig, "learning_rate", INFINITE, 0.5),
        (RefineConfig, "damping", INFINITE, 1.0),
        (RefineConfig, "residual", -1.0, 0.0),
        (RefineConfig, "tau", -1.0, 0.0),
        (RefineConfig, "min_steps", -5, 0),
        (RefineConfig, "n_trajectories", 2.5, 2),
        *((config, "min_steps", 2.5, 2) for config in (PaperConfig, RefineConfig)),
        (EraseConfig, "method", "magic", "refine"),
        *((EraseConfig, "seed", bad, 0) for bad in (-1, 2.5, NAN)),
    ],
)
def test_setting_out_of_range_is_refused_by_name_with_what_was_expected(kind, name, bad, good):
    assert getattr(kind(**{name: good}), name) == good
    with pytest.raises(ConceptError, match=rf"^{name} is {bad!r}, expected ".replace("+", r"\+")):
        kind(**{name: bad})


def test_all_methods_and_protections_are_accepted():
    assert [EraseConfig(m).method for m in METHODS] == list(METHODS)
    assert [BasisConfig(p).protection for p in PROTECTIONS] == list(PROTECTIONS)


def test_only_settings_that_a_method_uses_are_told_of():
    closed = EraseConfig("closed form", seed=5).used()
    assert closed == EraseConfig("closed form", refine=RefineConfig(max_steps=3)).used()
    assert set(closed) == {"name", "basis"}
    assert set(EraseConfig("refine").used()) == {"name", "basis", "refine", "seed"}
    assert set(EraseConfig("paper joint").used()) == {"name", "basis", "paper", "seed"}
    assert set(EraseConfig("unconstrained").used()) == {"name", "paper", "seed"}
    exact = [BasisConfig("full", energy=energy).used() for energy in (0.6, 0.9)]
    assert exact[0] == exact[1]
    assert BasisConfig(energy=0.6).used() != BasisConfig(energy=0.9).used()
