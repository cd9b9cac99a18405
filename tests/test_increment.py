"""The algebra of increments and stacks."""

from dataclasses import replace

import pytest
import torch

from sepme_core.concepts import Concept
from sepme_core.dead_zone import DeadZone
from sepme_core.errors import ConceptError, IncompatibleError, NonFiniteError
from sepme_core.increment import Increment, Provenance, Stack, StackEntry
from tests.toy import toy_increment

EPS = torch.finfo(torch.float32).eps
CAT, DOG, ROSE = (toy_increment(name) for name in ("cat", "dog", "rose"))
MODULE = "block.to_k"


def test_delta_weight_is_coefficients_times_basis():
    delta = CAT.delta_weight(MODULE)
    assert delta.shape == (5, 8)
    by_hand = torch.stack([sum(a * d for a, d in zip(r, CAT.basis)) for r in CAT.coef[MODULE]])  # noqa: B905
    torch.testing.assert_close(delta, by_hand, rtol=0, atol=30 * EPS)
    assert torch.linalg.matrix_rank(delta) == CAT.n_basis


def test_increment_and_its_inverse_cancel():
    there, back = CAT.delta_weight(MODULE), CAT.scaled(-1).delta_weight(MODULE)
    assert torch.equal(there + back, torch.zeros_like(there))
    assert there.abs().max() > 0


def test_full_weights_are_their_own_delta_and_are_not_separable():
    full = Increment(Concept("cat"), torch.zeros(0, 0), {}, {MODULE: torch.ones(5, 8)})
    assert torch.equal(full.scaled(0.5).delta_weight(MODULE), torch.full((5, 8), 0.5))
    assert not full.separable
    assert CAT.separable
    assert list(full.tensors()) == ["full.block.to_k"]


def test_tensors_carry_the_names_of_the_file():
    assert list(CAT.tensors()) == ["basis.context", "coef.block.to_k", "coef.block.to_v"]
    assert CAT.target_modules == ("block.to_k", "block.to_v")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("which", ["basis", "coef", "full"])
def test_number_that_is_not_finite_is_refused_and_the_tensor_named(number, which):
    bad = torch.full((5, 3), number)
    changes = {"basis": torch.full((3, 8), number), "coef": {"m": bad}, "full": {"m": bad}}
    name = {"basis": "basis.context", "coef": "coef.m", "full": "full.m"}[which]
    with pytest.raises(NonFiniteError, match=f"{name} of the increment for 'cat'"):
        replace(CAT, **{which: changes[which]})


def test_coefficients_must_fit_the_basis():
    with pytest.raises(IncompatibleError, match="coef.m has 2 columns, the basis 3 rows"):
        replace(CAT, coef={"m": torch.ones(5, 2)})


def test_equal_increments_have_equal_digests_and_every_change_that_acts_changes_it():
    same = toy_increment("cat")
    assert same is not CAT
    assert same.digest == CAT.digest
    zone = CAT.dead_zone
    changed = [
        replace(CAT, concept=Concept("Cat")),
        replace(CAT, concept=Concept("cat", anchor="dog")),
        replace(CAT, basis=-CAT.basis),
        CAT.scaled(1 + 2 * EPS),
        replace(CAT, coef={MODULE: CAT.coef[MODULE]}),
        replace(CAT, dead_zone=replace(zone, threshold=0.26)),
        replace(CAT, dead_zone=replace(zone, largest_protected=0.2)),
    ]
    digests = {CAT.digest, *(i.digest for i in changed)}
    assert len(digests) == 1 + len(changed)


def test_what_does_not_act_is_not_in_the_digest():
    told = replace(CAT, provenance=Provenance(family="sd1", leak={"linear": 0.1}))
    moved = replace(CAT, coef=dict(reversed(CAT.coef.items())))
    assert told.digest == moved.digest == CAT.digest


def test_stacks_join_and_take_a_common_increment_once():
    first, second = Stack.of([CAT, DOG]), Stack((StackEntry(toy_increment("cat"), 0.5),))
    joined = first + second
    assert joined.names == ("dog", "cat")
    assert [e.strength for e in joined.entries] == [1.0, 0.5], "the later row counts"
    assert len(first + Stack.of([ROSE])) == 3


def test_active_rows_are_those_that_act_in_an_order_of_their_own():
    rows = (StackEntry(CAT), StackEntry(DOG, 0.0), StackEntry(ROSE, 1.0, False), StackEntry(CAT, 2))
    assert [(e.name, e.strength) for e in Stack(rows).active()] == [("cat", 1.0), ("cat", 2)]
    orders = [Stack.of(o) for o in ([CAT, DOG, ROSE], [ROSE, DOG, CAT], [DOG, CAT, ROSE])]
    assert len({tuple(e.name for e in s.active()) for s in orders}) == 1
    assert Stack(rows[::-1]).active()[0].strength == 1.0


def test_strength_of_a_stack_multiplies_every_row():
    stack = Stack((StackEntry(CAT, 0.5), StackEntry(DOG, 2.0, False))).scaled(0.5)
    assert [(e.strength, e.enabled) for e in stack.entries] == [(0.25, True), (1.0, False)]
    assert stack.scaled(0).active() == ()


def test_named_concepts_leave_the_stack_by_any_of_their_names():
    kitten = replace(CAT, concept=Concept("cat", ("Kitten",)))
    stack = Stack.of([kitten, DOG, ROSE])
    assert stack.without(["KITTEN", "rose"]).names == ("dog",)
    assert stack.without([]).names == stack.names == ("cat", "dog", "rose")


def test_a_synonym_of_two_increments_takes_both_out_of_the_stack():
    cat, kitten, dog = (
        replace(toy_increment(), concept=Concept(*given))
        for given in (("cat", ("kitty",)), ("kitten", ("Kitty",)), ("dog",))
    )
    stack = Stack.of([cat, kitten, dog])
    assert stack.without(["kitty"]).names == ("dog",)
    assert stack.without(["cat"]).names == ("kitten", "dog")


def test_removing_what_is_not_there_is_refused_and_says_what_is():
    with pytest.raises(ConceptError, match="'lion', 'bird' is not in the stack. In it: cat, dog"):
        Stack.of([CAT, DOG]).without(["cat", "lion", "bird"])
    with pytest.raises(ConceptError, match="In it: nothing"):
        Stack().without(["cat"])


def test_empty_dead_zone_is_the_default():
    assert Increment(Concept("x"), torch.eye(1), {}).dead_zone == DeadZone(0.0, 0.0, 1.0)
