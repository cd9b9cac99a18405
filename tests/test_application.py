"""Exact application: `torch.equal` for what is protected, and a change for what is not."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import pytest
import torch
from torch import Tensor, nn

from sepme_core import application
from sepme_core.application import StackBranch, attached, check_fits, noise_floor, token_mask
from sepme_core.concepts import Concept
from sepme_core.config import BasisConfig, EraseConfig
from sepme_core.erase import erase
from sepme_core.errors import IncompatibleError
from sepme_core.increment import Increment, Stack, StackEntry
from tests.toy import (
    D_HIDDEN,
    D_TEXT,
    LATENT,
    ToyDenoiser,
    ToyEncoder,
    seeded,
    toy_concepts,
    toy_increment,
)

DTYPES = [torch.float32, torch.float16, torch.bfloat16]
PROTECTIONS = ["truncated", "reduced", "full"]
ENCODER = ToyEncoder()
CONCEPTS = toy_concepts()


@lru_cache
def increments(protection: str = "truncated") -> dict[str, Increment]:
    """One increment per concept of the toy world, in closed form."""
    config = EraseConfig(basis=BasisConfig(protection=protection))
    weights = ToyDenoiser().weights
    made = erase(CONCEPTS, CONCEPTS.concepts, ENCODER, weights, config)
    return {e.increment.concept.name: e.increment for e in made}


@lru_cache
def layers_of(dtype: torch.dtype) -> Mapping[str, nn.Linear]:
    denoiser = ToyDenoiser()
    denoiser.model.to(dtype)
    return denoiser.layers


def run(stack: Stack, embeddings: Tensor, rows: Tensor | None = None) -> dict[str, Tensor]:
    """Every layer's output for one model call with a stack applied."""
    layers, branch = layers_of(embeddings.dtype), StackBranch(stack)
    with attached(layers, branch):
        branch.begin(rows)
        return {path: layer(embeddings) for path, layer in layers.items()}


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    assert a.keys() == b.keys()
    return all(torch.equal(a[k], b[k]) for k in a)


def moved(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """Smallest relative change of any layer."""
    return min(float((a[k] - b[k]).float().norm() / b[k].float().norm()) for k in a)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("protection", PROTECTIONS)
def test_increment_leaves_protected_prompts_unchanged_and_changes_its_concept(protection, dtype):
    for name, increment in increments(protection).items():
        concept = CONCEPTS[name]
        kept = ENCODER.batch(*CONCEPTS.protected_from(concept), dtype=dtype)
        assert same(run(Stack.of([increment]), kept), run(Stack(), kept)), name
        for prompt in CONCEPTS.prompts_of(concept):
            e = ENCODER.batch(prompt.text, dtype=dtype)
            assert moved(run(Stack.of([increment]), e), run(Stack(), e)) > 0.1, prompt.text


@pytest.mark.parametrize("dtype", DTYPES)
def test_protected_row_is_unchanged_beside_a_row_that_shows_the_concept(dtype):
    e = ENCODER.batch("a photo of a car", "a photo of a cat", "", "kitten", dtype=dtype)
    shows = torch.tensor([False, True, False, True])
    erased, original = run(Stack.of([increments()["cat"]]), e), run(Stack(), e)
    for module in original:
        assert torch.equal(erased[module][~shows], original[module][~shows])
        assert all(
            not torch.equal(a, b)
            for a, b in zip(erased[module][shows], original[module][shows], strict=True)
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("protection", PROTECTIONS)
@pytest.mark.parametrize("weight", [0.3, 1.1, 1.6])
def test_weighted_protected_tokens_are_unchanged(protection, dtype, weight):
    empty = ENCODER.batch("")
    stack = Stack.of(increments(protection).values())

    def weighted(prompt: str, places: slice) -> Tensor:
        e = ENCODER.batch(prompt)
        e[:, places] = empty[:, places] + weight * (e[:, places] - empty[:, places])
        return e.to(dtype)

    for prompt in ("a photo of a car", "pizza in the garden"):
        for places in (slice(1, 2), slice(1, 6), slice(None)):
            e = weighted(prompt, places)
            assert same(run(stack, e), run(Stack(), e)), (prompt, places)
    e = weighted("a photo of a cat", slice(1, 6))
    assert not same(run(stack, e), run(Stack(), e))


@pytest.mark.parametrize("dtype", DTYPES)
def test_averaged_and_joined_protected_prompts_are_unchanged(dtype):
    e = ENCODER.batch("a photo of a car", "pizza in the garden")
    average, joined = e.mean(0, keepdim=True).to(dtype), torch.cat([*e]).to(dtype)[None]
    stack = Stack.of(increments("reduced").values())
    assert same(run(stack, average), run(Stack(), average))
    assert same(run(stack, joined), run(Stack(), joined))
    with_cat = torch.cat([joined, ENCODER.batch("cat", dtype=dtype)], 1)
    assert not same(run(stack, with_cat), run(Stack(), with_cat))


@pytest.mark.parametrize("dtype", DTYPES)
def test_order_of_the_stack_does_not_matter_to_the_bit(dtype):
    e = ENCODER.batch("a cat", "rose in the garden", "cat rose van gogh", "car", dtype=dtype)
    entries = [
        StackEntry(i, s) for i, s in zip(increments().values(), (0.3, 1.0, 0.7), strict=True)
    ]
    results = [run(Stack(order), e) for order in itertools.permutations(entries)]
    assert all(same(r, results[0]) for r in results)
    assert not same(results[0], run(Stack(tuple(entries[:2])), e))


@pytest.mark.parametrize("dtype", DTYPES)
def test_increment_of_an_absent_concept_leaves_the_bits_as_without_it(dtype):
    cat, others = increments()["cat"], [increments()["rose"], increments()["van gogh"]]
    for prompts in (["a photo of a cat"], ["a photo of a cat", "car", ""]):
        e = ENCODER.batch(*prompts, dtype=dtype)
        assert same(run(Stack.of([*others, cat]), e), run(Stack.of([cat]), e))
    beside = ENCODER.batch("a photo of a cat", "rose", dtype=dtype)
    both, alone = run(Stack.of([*others, cat]), beside), run(Stack.of([cat]), beside)
    for module in both:
        assert torch.equal(both[module][0], alone[module][0])
        assert not torch.equal(both[module][1], alone[module][1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_removing_restores_every_bit_and_disturbs_no_other_erasure(dtype):
    e = ENCODER.batch("a photo of a cat", "rose", "car", dtype=dtype)
    stack = Stack.of(increments().values())
    assert same(run(stack.without(["cat", "rose", "van gogh"]), e), run(Stack(), e))
    restored = run(stack.without(["cat"]), e)
    for module, original in run(Stack(), e).items():
        assert torch.equal(restored[module][0], original[0])
        assert torch.equal(restored[module][1], run(stack, e)[module][1])
        assert not torch.equal(restored[module][1], original[1])


def test_rows_of_strength_zero_or_switched_off_are_as_absent():
    e = ENCODER.batch("a photo of a cat")
    cat = increments()["cat"]
    off = Stack((StackEntry(cat, 0.0), StackEntry(cat, 1.0, enabled=False)))
    assert same(run(off, e), run(Stack(), e))
    assert not same(run(Stack((StackEntry(cat, 0.01),)), e), run(Stack(), e))


def test_strength_scales_what_is_added():
    e = ENCODER.batch("a photo of a cat")
    cat = increments()["cat"]
    original = run(Stack(), e)
    whole, half = run(Stack.of([cat]), e), run(Stack((StackEntry(cat, 0.5),)), e)
    for k in original:
        torch.testing.assert_close(
            half[k] - original[k], (whole[k] - original[k]) / 2, rtol=0, atol=1e-5
        )


def test_delta_weight_equals_what_the_branch_adds_to_the_acting_tokens():
    e = ENCODER.batch("a photo of a cat", "kitten in the garden")
    cat = increments()["cat"]
    branch = StackBranch(Stack.of([cat]))
    branch.begin()
    mask = token_mask((e @ cat.basis.T).norm(dim=-1), e.norm(dim=-1), cat, e.dtype)
    assert mask.any(1).all()
    assert not mask.all()
    for module in cat.coef:
        linear = e @ cat.delta_weight(module).T
        added = branch(module, e)
        atol = D_TEXT * torch.finfo(e.dtype).eps * float(linear.abs().max())
        torch.testing.assert_close(added[mask], linear[mask], rtol=0, atol=atol)
        assert not added[~mask].any()


def test_full_delta_weight_equals_what_the_branch_adds():
    full = {"block.to_k": seeded("full", D_HIDDEN, D_TEXT)}
    increment = Increment(Concept("cat"), torch.zeros(0, 0), {}, full)
    e = ENCODER.batch("a cat", "car")
    branch = StackBranch(Stack((StackEntry(increment, 0.5),)))
    branch.begin()
    torch.testing.assert_close(branch("block.to_k", e), e @ full["block.to_k"].T / 2)
    assert branch("block.to_v", e) is None
    branch.begin(torch.tensor([True, False]))
    added = branch("block.to_k", e)
    assert added[0].abs().max() > 0
    assert not added[1].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_chosen_rows_alone_are_acted_on(dtype):
    e = ENCODER.batch("a photo of a cat", "a photo of a cat", dtype=dtype)
    stack = Stack.of([increments()["cat"]])
    original, everywhere = run(Stack(), e), run(stack, e)
    positive = run(stack, e, torch.tensor([True, False]))
    for module in original:
        assert torch.equal(positive[module][0], everywhere[module][0])
        assert torch.equal(positive[module][1], original[module][1])
        assert not torch.equal(everywhere[module][1], original[module][1])


def test_each_call_decides_anew_also_when_the_embeddings_were_changed_in_place():
    layers, branch = layers_of(torch.float32), StackBranch(Stack.of([increments()["cat"]]))
    e = ENCODER.batch("a photo of a cat")
    shows, car = e.clone(), ENCODER.batch("a photo of a car")
    with attached(layers, branch):
        branch.begin()
        first = layers["block.to_k"](e)
        e.copy_(car)
        branch.begin()
        second = layers["block.to_k"](e)
    assert torch.equal(second, layers["block.to_k"](car))
    assert not torch.equal(first, layers["block.to_k"](shows))


def test_hooks_are_gone_after_the_block_also_when_it_raises():
    e = ENCODER.batch("a photo of a cat")
    layers, branch = layers_of(torch.float32), StackBranch(Stack.of([increments()["cat"]]))
    original = {k: layer(e) for k, layer in layers.items()}
    with attached(layers, branch):
        branch.begin()
        assert not same({k: layer(e) for k, layer in layers.items()}, original)
    assert same({k: layer(e) for k, layer in layers.items()}, original)
    with pytest.raises(RuntimeError, match="cancelled"), attached(layers, branch):
        assert all(layer._forward_hooks for layer in layers.values())
        raise RuntimeError("cancelled")
    assert not any(layer._forward_hooks for layer in layers.values())
    assert same({k: layer(e) for k, layer in layers.items()}, original)


def test_branch_that_fails_leaves_no_hook_behind():
    layers = layers_of(torch.float32)

    def broken(module: str, e: Tensor) -> Tensor:
        raise ValueError(module)

    with pytest.raises(ValueError, match="to_v"), attached(layers, broken):
        layers["block.to_v"](ENCODER.batch("x"))
    assert not any(layer._forward_hooks for layer in layers.values())


def test_autocast_around_the_model_does_not_coarsen_the_branch():
    e = ENCODER.batch("a photo of a cat")
    branch = StackBranch(Stack.of([increments()["cat"]]))
    plain = branch("block.to_k", e)
    branch.begin()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(branch("block.to_k", e), plain)
        assert (e @ e[0].T).dtype == torch.bfloat16, "autocast was on"


def test_noise_floor_is_above_the_rounding_of_protected_rows():
    basis = increments("full")["cat"].basis.double()
    for dtype in DTYPES:
        e = ENCODER.batch(*CONCEPTS.protected_from(CONCEPTS["cat"]), dtype=dtype).double()
        reach = float(((e @ basis.T).norm(dim=-1) / e.norm(dim=-1)).max())
        assert 0 < reach < noise_floor(dtype, len(basis), D_TEXT)


def test_prompt_without_a_token_above_the_threshold_passes_whole():
    increment = toy_increment()  # threshold 0.25, protected tokens reach 0.125
    length = torch.ones(2, 4)
    component = torch.tensor([[0.0, 0.2, 0.24, 0.13], [0.0, 0.2, 0.26, 0.12]])
    mask = token_mask(component, length, increment, torch.float32)
    assert mask.tolist() == [[False] * 4, [False, True, True, False]]


def test_dead_zone_of_zero_still_leaves_rounding_out():
    zone = replace(toy_increment().dead_zone, threshold=0.0, largest_protected=0.0)
    increment = toy_increment(zone=zone)
    floor = noise_floor(torch.float16, increment.n_basis, 8)
    component = torch.tensor([[0.9 * floor, 1.1 * floor]])
    mask = token_mask(component, torch.ones(1, 2), increment, torch.float16)
    assert mask.tolist() == [[False, True]]


def test_fitting_increment_passes_and_a_missing_layer_is_named_with_concept_and_family():
    cat = increments()["cat"]
    layers = layers_of(torch.float32)
    check_fits([cat], layers)
    with pytest.raises(IncompatibleError, match="'cat'.*unknown.*block.to_v"):
        check_fits([cat], {"block.to_k": layers["block.to_k"]})


def test_layer_of_another_width_is_refused_with_both_shapes():
    cat, layers = increments()["cat"], dict(layers_of(torch.float32))
    layers["block.to_k"] = nn.Linear(32, D_HIDDEN)
    with pytest.raises(IncompatibleError, match=r"\[24, 64\] for block.to_k.*\[24, 32\]"):
        check_fits([cat], layers)
    full = Increment(Concept("x"), torch.zeros(0, 0), {}, {"block.to_k": torch.ones(7, 32)})
    with pytest.raises(IncompatibleError, match=r"\[7, 32\]"):
        check_fits([full], layers)


def test_unconstrained_increment_may_edit_image_layers_beside_separable_ones():
    denoiser = ToyDenoiser()
    query = denoiser.cross_attention["block.to_q"]
    full = Increment(
        Concept("nudity"),
        torch.zeros(0, 0),
        {},
        {"block.to_q": 0.1 * torch.ones_like(query.weight)},
    )
    cat = increments()["cat"]
    x, sigma = seeded("picture", 1, *LATENT), torch.ones(1)

    def predict(*stack: Increment) -> Tensor:
        with attached(denoiser.cross_attention, StackBranch(Stack.of(stack))):
            return denoiser(x, sigma, ["cat"])

    both = predict(cat, full)
    assert not torch.equal(both, predict(cat))
    assert not torch.equal(both, predict(full))
    assert torch.equal(both, predict(full, cat))


def test_nothing_to_add_is_none():
    branch = StackBranch(Stack.of([increments()["cat"]]))
    assert branch("block.to_k", ENCODER.batch("car")) is None
    branch.begin()
    assert branch("elsewhere", ENCODER.batch("cat")) is None
    branch.begin()
    assert branch("block.to_k", ENCODER.batch("cat")) is not None


def test_layout_in_memory_does_not_decide_a_single_bit():
    """A basis as the decomposition leaves it, one off the alignment, and one as a file gives it."""
    increment = increments()["cat"]
    plain = increment.basis.contiguous()
    shifted = torch.cat([plain.new_zeros(1), plain.flatten()])[1:].view_as(plain)
    embeddings = torch.stack([ENCODER.encode(p).embeddings for p in ("cat", "a photo of a cat")])
    outputs = [
        run(Stack.of([replace(increment, basis=basis)]), embeddings)
        for basis in (plain, plain.T.contiguous().T, shifted)
    ]
    assert not torch.equal(outputs[0]["block.to_k"], run(Stack(), embeddings)["block.to_k"])
    for other in outputs[1:]:
        assert all(torch.equal(outputs[0][path], other[path]) for path in other)


def fresh(stack: Stack, e: Tensor, rows: Tensor | None = None) -> list[Tensor | None]:
    """What a branch that has never seen anything adds."""
    return added(StackBranch(stack), e, rows)


def added(branch: StackBranch, e: Tensor, rows: Tensor | None = None) -> list[Tensor | None]:
    """What one model call is given, the embeddings in a new tensor as the host makes them."""
    branch.begin(rows)
    e = e.clone()
    return [branch(module, e) for module in ("block.to_k", "block.to_v")]


def alike(a: list[Tensor | None], b: list[Tensor | None]) -> bool:
    return all(
        x is y if x is None or y is None else torch.equal(x, y) for x, y in zip(a, b, strict=True)
    )


def shows(*prompts: str, dtype: torch.dtype = torch.float32) -> Tensor:
    return ENCODER.batch(*prompts, dtype=dtype)


def test_embeddings_that_come_again_are_looked_at_once(monkeypatch):
    looks = []
    plain = application._Row.look
    monkeypatch.setattr(application._Row, "look", lambda *a: looks.append(1) or plain(*a))
    branch = StackBranch(Stack.of([increments()["cat"]]))
    for _ in range(3):
        added(branch, shows("cat"))
    assert len(looks) == 1
    added(branch, shows("rose"))
    assert len(looks) == 2
    for _ in range(3):  # the host may send prompt and negative prompt in turn
        added(branch, shows("cat"))
        added(branch, shows("rose"))
    assert len(looks) == 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_kept_is_what_a_fresh_branch_adds_to_the_bit(dtype):
    stack = Stack.of(increments().values())
    branch = StackBranch(stack)
    calls = [("cat", "rose"), ("cat", "rose"), ("rose", "cat"), ("car",), ("cat", "rose"), ("cat",)]
    for prompts in [*calls, *calls]:
        e = shows(*prompts, dtype=dtype)
        assert alike(added(branch, e), fresh(stack, e)), prompts
    assert not alike(fresh(stack, shows("cat")), fresh(stack, shows("rose")))


def test_nothing_stale_is_used_when_a_single_number_differs():
    stack = Stack.of([increments()["cat"]])
    branch = StackBranch(stack)
    e = shows("a photo of a cat", "car")
    first = added(branch, e)
    place = (0, int(first[0][0].abs().sum(-1).argmax()), 0)
    e[place] = torch.nextafter(e[place], torch.tensor(9.0))
    e[place] += 0.5
    second = added(branch, e)
    assert alike(second, fresh(stack, e))
    assert not alike(first, second)


def test_what_is_kept_depends_on_rows_dtype_and_shape():
    stack = Stack.of([increments()["cat"]])
    branch = StackBranch(stack)
    e = shows("cat", "cat")
    one, other = torch.tensor([True, False]), torch.tensor([False, True])
    for rows in (None, one, other, None, one, other):
        assert alike(added(branch, e, rows), fresh(stack, e, rows))
    assert not alike(added(branch, e, one), added(branch, e, other))
    for changed in (e.half(), e.bfloat16(), e[:1], e.view(1, -1, D_TEXT)):
        assert alike(added(branch, changed), fresh(stack, changed))


def test_what_is_kept_is_bounded_and_what_has_no_room_is_computed(monkeypatch):
    stack = Stack.of([increments()["cat"]])
    expected = fresh(stack, shows("cat"))
    one_sum = expected[0].nbytes
    monkeypatch.setattr(application, "_ROOM", application._N_KEPT * one_sum)
    branch = StackBranch(stack)
    for i in range(20):
        added(branch, shows(f"cat number {i}"))
        assert alike(added(branch, shows("cat")), expected)
        sums = [s for kept in branch._kept for s in kept.effect._sums.values()]
        assert 0 < sum(s.nbytes for s in sums) <= application._ROOM
    assert len(branch._kept) == application._N_KEPT


def test_gradients_through_the_embeddings_are_never_kept():
    branch = StackBranch(Stack.of([increments()["cat"]]))
    added(branch, shows("cat"))
    for _ in range(2):  # a kept graph could be gone through only once
        e = shows("cat").requires_grad_()
        branch.begin()
        branch("block.to_k", e).sum().backward()
        assert e.grad.abs().sum() > 0


def test_what_was_kept_while_drawing_can_be_used_while_computing():
    stack = Stack.of([increments()["cat"]])
    branch, e = StackBranch(stack), shows("cat")
    with torch.inference_mode():
        added(branch, e)
    leaf = torch.zeros(1, requires_grad=True)
    branch.begin()
    (leaf + branch("block.to_k", e)).sum().backward()
    assert leaf.grad > 0


def test_branch_made_in_inference_mode_lets_gradients_through_afterwards():
    """A host draws in inference mode; whoever trains with the same model comes later."""
    embeddings = ENCODER.batch("cat").requires_grad_()
    with torch.inference_mode():
        branch = StackBranch(Stack.of([increments()["cat"]]))
        branch.begin()
        branch("block.to_k", ENCODER.batch("cat"))
    branch.begin()
    addend = branch("block.to_k", embeddings)
    assert addend is not None
    addend.sum().backward()
    assert embeddings.grad is not None and embeddings.grad.abs().sum() > 0
