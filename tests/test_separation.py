"""Biorthogonal bases: each sees its own concept and no other, whatever the order of coming."""

import itertools

import pytest
import torch
from torch import Tensor

from sepme_core.errors import NotSeparableError
from sepme_core.nullspace import concept_basis, row_space
from sepme_core.separation import OwnSpace, Separation, own_space, share_capacity
from tests.toy import seeded

D_TEXT = 48


def directions(name: str, rank: int = 3) -> Tensor:
    return torch.linalg.qr(seeded(name, D_TEXT, rank).double())[0].T


COMMON = directions("common", 4)
SPACES = {name: directions(name) for name in ("cat", "dog", "rose", "car", "pizza")}


def separated(*names: str, metric: Tensor | None = None) -> Separation:
    found = Separation(COMMON, metric)
    found.add({name: SPACES[name] for name in names})
    return found


def language() -> Tensor:
    """A second moment that is far from the identity."""
    rows = seeded("language", 400, D_TEXT).double() * torch.linspace(0.1, 3, D_TEXT)
    return rows.T @ rows / len(rows) + 1e-3 * torch.eye(D_TEXT)


@pytest.mark.parametrize("metric", [None, language()])
def test_each_basis_sees_its_own_concept_and_is_blind_to_all_others(metric):
    bases = separated(*SPACES, metric=metric)
    for name, other in itertools.product(SPACES, SPACES):
        expected = torch.eye(3) if name == other else torch.zeros(3, 3)
        seen = SPACES[other] @ bases.dual(name).T
        torch.testing.assert_close(seen, expected.double(), rtol=0, atol=1e-9)
    assert (COMMON @ bases.dual("cat").T).abs().max() < 1e-9
    assert (SPACES["dog"] @ SPACES["cat"].T).abs().max() > 0.05, "which the own directions are not"


def test_agrees_with_the_one_at_a_time_basis():
    bases = separated(*SPACES)
    others = torch.cat([COMMON, *(rows for name, rows in SPACES.items() if name != "cat")])
    alone = concept_basis(SPACES["cat"], row_space(others)).rows
    together = torch.linalg.qr(bases.dual("cat").T)[0]
    cosines = torch.linalg.svdvals(alone @ together)
    torch.testing.assert_close(cosines, torch.ones(3).double(), rtol=0, atol=1e-9)
    rejected = row_space(others).reject(SPACES["cat"])
    torch.testing.assert_close(bases.left("cat"), rejected, rtol=0, atol=1e-9)


def test_any_order_of_adding_one_by_one_ends_in_the_same_bases():
    together = separated(*SPACES)
    for order in itertools.permutations(SPACES):
        bases = Separation(COMMON)
        for name in order:
            bases.add({name: SPACES[name]})
        assert bases.names == order
        for name in SPACES:
            torch.testing.assert_close(bases.dual(name), together.dual(name), rtol=0, atol=1e-9)


def test_removed_concept_leaves_no_trace():
    bases = separated(*SPACES)
    with_dog = bases.dual("cat")
    bases.remove("dog")
    fresh = separated(*(n for n in SPACES if n != "dog"))
    assert bases.rank == fresh.rank == len(COMMON) + 12
    for name in fresh.names:
        torch.testing.assert_close(bases.dual(name), fresh.dual(name), rtol=0, atol=1e-9)
        torch.testing.assert_close(bases.own(name), fresh.own(name))
    assert (bases.dual("cat") - with_dog).abs().max() > 1e-3


def test_metric_gives_the_least_response_to_ordinary_language():
    metric = language()

    def response(bases: Separation) -> float:
        dual = bases.dual("cat")
        return float((dual @ metric @ dual.T).trace())

    assert response(separated(*SPACES, metric=metric)) < 0.9 * response(separated(*SPACES))


def test_parallel_protected_concepts_do_not_disturb_a_third():
    bases = separated("cat", "dog")
    bases.add({"pooch": SPACES["dog"]})
    assert torch.isfinite(bases.dual("cat")).all()
    assert (SPACES["dog"] @ bases.dual("cat").T).abs().max() < 1e-6
    assert bases.left("pooch").abs().max() < 1e-3, "nothing is left of it"
    assert bases.in_the_way("pooch") == ("dog", pytest.approx(1))


def test_full_space_and_repeated_names_are_refused_and_nothing_changes():
    bases = separated("cat")
    before = bases.dual("cat")
    with pytest.raises(NotSeparableError, match="cat is separated already"):
        bases.add({"cat": SPACES["dog"]})
    with pytest.raises(NotSeparableError, match="7 of 48 directions .* 48 more"):
        bases.add({"all": torch.eye(D_TEXT).double()})
    assert torch.equal(bases.dual("cat"), before)
    assert bases.names == ("cat",)


def test_own_space_keeps_what_reaches_the_tolerance_and_bounds_the_rest():
    strong, weak = directions("strong", 2), directions("weak", 3)
    rows = torch.cat([3 * strong, 0.05 * weak])
    space = own_space(rows, rows, 0.1)
    assert space.rank < 4
    left = rows - rows @ space.rows.T @ space.rows
    shares = left.norm(dim=1) / rows.norm(dim=1)
    assert float(shares.max()) == pytest.approx(space.truncated, abs=1e-6)
    assert left.norm(dim=1).max() < 0.1
    everything = own_space(rows, rows, 1e-6)
    assert everything.rank == 5
    assert everything.truncated < 1e-6 < everything.cut(space.rank).truncated
    assert everything.cut(space.rank).truncated == pytest.approx(space.truncated)
    identity = everything.rows @ everything.rows.T
    torch.testing.assert_close(identity, torch.eye(5).double(), rtol=0, atol=1e-12)


def space(*values: float) -> OwnSpace:
    strengths = torch.tensor(values, dtype=torch.float64)
    return OwnSpace(torch.eye(len(values), 9), strengths, torch.tensor([*values, 0]) / 10, 1.0)


def test_capacity_is_shared_by_strength_and_everyone_keeps_one_direction():
    spaces = {"a": space(5, 4, 0.5), "b": space(3, 1), "c": space(0.2, 0.1)}
    assert share_capacity(spaces, 7) == spaces
    cut = share_capacity(spaces, 5)
    assert {k: s.rank for k, s in cut.items()} == {"a": 2, "b": 2, "c": 1}
    assert cut["a"].truncated == pytest.approx(0.05) and cut["c"].truncated == pytest.approx(0.01)
    with pytest.raises(NotSeparableError, match="3 concepts .* only 2 directions"):
        share_capacity(spaces, 2)
