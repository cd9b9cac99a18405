"""From a concept set to increments, with every method."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sepme_core.application import StackBranch, attached, check_fits
from sepme_core.concepts import Concept, ConceptSet
from sepme_core.config import (
    METHODS,
    PROTECTIONS,
    BasisConfig,
    EraseConfig,
    PaperConfig,
    RefineConfig,
)
from sepme_core.denoiser import Progress
from sepme_core.erase import Erasure, erase
from sepme_core.errors import ConceptError, NotSeparableError
from sepme_core.increment import Increment, Provenance, Stack
from sepme_core.increment_file import read_increment, write_increment
from sepme_core.objective import normalised_correlation
from tests.toy import LATENT, TEMPLATES, ToyDenoiser, ToyEncoder, parameters_digest, toy_concepts

CONCEPTS = toy_concepts()
SEPARABLE = [m for m in METHODS if m != "unconstrained"]


def settings(method: str, seed: int = 0) -> EraseConfig:
    """Small settings; the paper's methods on exact bases, as published."""
    exact = method.startswith("paper")
    return EraseConfig(
        method,
        BasisConfig("reduced" if exact else "truncated"),
        # The published step belongs to 768 directions.
        PaperConfig(
            beta=0.1,
            learning_rate=0.01 if method == "unconstrained" else 0.1,
            n_images=2,
            n_sampling_steps=5,
            max_steps=40,
        ),
        RefineConfig(n_strata=5, n_trajectories=2, n_sampling_steps=10),
        seed,
    )


def run(
    method: str,
    names: tuple[str, ...] = ("cat",),
    denoiser: ToyDenoiser | None = None,
    config: EraseConfig | None = None,
    **options,
) -> list[Erasure]:
    denoiser = denoiser or ToyDenoiser()
    return erase(
        CONCEPTS,
        [CONCEPTS[name] for name in names],
        denoiser.encoder,
        denoiser.weights,
        config or settings(method),
        denoiser=denoiser,
        **options,
    )


def predictions(denoiser: ToyDenoiser, prompt: str, stack: Stack) -> Tensor:
    sigma = denoiser.sigmas(torch.linspace(0, 1, 6))
    noise = torch.randn(6, *LATENT, generator=torch.Generator().manual_seed(1))
    x = noise * sigma.view(-1, 1, 1, 1)
    with torch.no_grad(), attached(denoiser.cross_attention, StackBranch(stack)):
        return denoiser(x, sigma, [prompt] * 6)


def left(denoiser: ToyDenoiser, prompt: str, anchor: str, stack: Stack) -> Tensor:
    """ρ over the schedule."""
    base = predictions(denoiser, anchor, Stack())
    erased = predictions(denoiser, prompt, stack) - base
    original = predictions(denoiser, prompt, Stack()) - base
    return normalised_correlation(erased, original)


@pytest.mark.parametrize("method", SEPARABLE)
def test_every_separable_method_takes_the_concept_out_and_leaves_the_rest_to_the_bit(method):
    denoiser = ToyDenoiser()
    erasures = run(method, ("cat", "rose"), denoiser)
    assert [e.increment.concept.name for e in erasures] == ["cat", "rose"]
    check_fits([e.increment for e in erasures], denoiser.layers)
    for erasure in erasures:
        increment = erasure.increment
        stack = Stack.of([increment])
        name = increment.concept.name
        rho, before = (left(denoiser, name, "", s) for s in (stack, Stack()))
        # The paper drives the mean over all times to zero, not every time.
        rest = rho.mean() if method.startswith("paper") else rho.abs().max()
        assert float(rest) < 0.5 < float(before.min())
        for prompt in CONCEPTS.protected_from(increment.concept):
            untouched = predictions(denoiser, prompt, Stack())
            assert torch.equal(predictions(denoiser, prompt, stack), untouched), prompt
    both = Stack.of(e.increment for e in erasures)
    for erasure in erasures:
        name = erasure.increment.concept.name
        alone = predictions(denoiser, name, Stack.of([erasure.increment]))
        assert torch.equal(predictions(denoiser, name, both), alone)
        restored = predictions(denoiser, name, both.without([name]))
        assert torch.equal(restored, predictions(denoiser, name, Stack()))


def test_unconstrained_increment_is_marked_and_covers_all_of_cross_attention():
    denoiser = ToyDenoiser()
    (erasure,) = run("unconstrained", denoiser=denoiser)
    assert erasure.plan is None and erasure.leak is None
    assert not erasure.increment.separable
    assert set(erasure.increment.full) == set(denoiser.cross_attention)
    stack = Stack.of([erasure.increment])
    before = predictions(denoiser, "pizza", Stack())
    assert not torch.equal(predictions(denoiser, "pizza", stack), before)


@pytest.mark.parametrize("protection", PROTECTIONS)
def test_reduced_and_truncated_bases_are_small_and_the_full_one_is_not(protection):
    config = EraseConfig(basis=BasisConfig(protection))
    (erasure,) = run("", config=config)
    plan = erasure.plan
    assert plan is not None
    free = 64 - plan.directions.capacity.used
    assert len(plan.basis) == free if protection == "full" else len(plan.basis) <= 4 < free
    assert plan.dead_zone.largest_protected < plan.dead_zone.threshold
    assert plan.dead_zone.threshold < plan.dead_zone.smallest_concept


def test_full_and_reduced_bases_act_alike_on_the_concept():
    denoiser = ToyDenoiser()
    stacks = [
        Stack.of([run("", config=EraseConfig(basis=BasisConfig(p, ridge=1e-9)))[0].increment])
        for p in ("reduced", "full")
    ]
    small, large = (predictions(denoiser, "a photo of a cat", s) for s in stacks)
    torch.testing.assert_close(small, large, rtol=0, atol=1e-3)
    assert (small - predictions(denoiser, "a photo of a cat", Stack())).abs().max() > 0.1


@pytest.mark.parametrize("blur", [0.1, 0.3])
def test_truncated_protection_stays_exact_where_full_protection_has_no_room(blur):
    encoder = ToyEncoder(blur)
    denoiser = ToyDenoiser(encoder)
    (erasure,) = run("closed form", denoiser=denoiser)
    assert erasure.leak is not None and erasure.leak.exact == 0 < erasure.leak.linear
    stack = Stack.of([erasure.increment])
    for prompt in CONCEPTS.protected_from(CONCEPTS["cat"]):
        untouched = predictions(denoiser, prompt, Stack())
        assert torch.equal(predictions(denoiser, prompt, stack), untouched)
    assert left(denoiser, "a photo of a kitten", "a photo of a", stack).abs().max() < 0.6
    for protection in ("reduced", "full"):
        with pytest.raises(NotSeparableError, match=r"'cat' cannot be erased.*64 of 64"):
            run("", denoiser=denoiser, config=EraseConfig(basis=BasisConfig(protection)))


def test_anchor_is_what_the_prediction_falls_back_to():
    denoiser = ToyDenoiser()
    stack = Stack.of([run("closed form + refine", ("van gogh",), denoiser)[0].increment])
    erased = predictions(denoiser, "a photo of a van gogh", stack)
    original = predictions(denoiser, "a photo of a van gogh", Stack())
    anchor = predictions(denoiser, "a photo of a painting", Stack())
    assert float((erased - anchor).norm()) < 0.7 * float((original - anchor).norm())


@pytest.mark.parametrize("protection", PROTECTIONS)
def test_concept_made_only_of_protected_words_is_refused_by_name(protection):
    concepts = ConceptSet((Concept("car pizza"),), ("a {}",), ("car", "pizza"))
    denoiser = ToyDenoiser()
    config = EraseConfig(basis=BasisConfig(protection))
    with pytest.raises(NotSeparableError, match="'car pizza' cannot be erased"):
        erase(concepts, concepts.concepts, denoiser.encoder, denoiser.weights, config)


@pytest.mark.parametrize("blur", [0, 0.3])
def test_protected_prompt_that_shows_the_concept_is_refused_and_both_are_named(blur):
    concepts = ConceptSet((Concept("cat"),), TEMPLATES)
    shown = replace(concepts, protected_prompts=("cat cat",))
    denoiser = ToyDenoiser(ToyEncoder(blur))
    given = denoiser.encoder, denoiser.weights, EraseConfig()
    with pytest.raises(NotSeparableError, match="'cat' cannot be erased: .*'cat cat'"):
        erase(shown, [shown["cat"]], *given)
    assert erase(concepts, [concepts["cat"]], *given)


@pytest.mark.parametrize("method", [m for m in METHODS if m != "closed form"])
def test_method_that_needs_a_denoiser_says_so(method):
    denoiser = ToyDenoiser()
    with pytest.raises(ConceptError, match=f"'{method.replace('+', '.')}' needs a denoiser"):
        erase(CONCEPTS, [CONCEPTS["cat"]], denoiser.encoder, denoiser.weights, EraseConfig(method))


def test_closed_form_calls_no_denoiser():
    denoiser = ToyDenoiser()
    (erasure,) = run("closed form", denoiser=denoiser)
    assert denoiser.n_evaluations == erasure.evaluations == 0
    assert erasure.statistics == erasure.rho == []


@pytest.mark.parametrize("method", [m for m in METHODS if m != "closed form"])
def test_reported_evaluations_are_those_that_were_made(method):
    denoiser = ToyDenoiser()
    erasures = run(method, denoiser=denoiser)
    assert erasures[-1].evaluations == denoiser.n_evaluations > 0
    assert erasures[-1].statistics


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_gives_equal_digests(method):
    first, again = (run(method)[0].increment.digest for _ in range(2))
    assert first == again
    if method != "closed form":
        assert run(method, config=settings(method, seed=1))[0].increment.digest != first


@pytest.mark.parametrize("method", METHODS)
def test_model_stays_as_it_was(method):
    denoiser = ToyDenoiser()
    before = parameters_digest(denoiser.model)
    run(method, denoiser=denoiser)
    assert parameters_digest(denoiser.model) == before

    def cancel(progress: Progress) -> None:
        if method == "closed form" or progress.statistic is not None:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run(method, denoiser=denoiser, on_step=cancel)
    assert parameters_digest(denoiser.model) == before
    assert not any(m._forward_hooks for m in denoiser.model.modules())


@pytest.mark.parametrize("method", ["refine", "paper separate", "paper joint", "unconstrained"])
def test_given_pictures_are_used_instead_of_drawings(method, monkeypatch):
    denoiser = ToyDenoiser()

    def no_drawing(*_: object) -> None:
        raise AssertionError("drawn")

    latents = denoiser.draw("cat", 2, 0, 5)
    monkeypatch.setattr(denoiser, "draw", no_drawing)
    monkeypatch.setattr(denoiser, "trajectory", no_drawing)
    assert run(method, denoiser=denoiser, latents=latents)
    with pytest.raises(AssertionError, match="drawn"):
        run(method, denoiser=denoiser)


def test_given_pictures_of_several_concepts_are_refused():
    latents = ToyDenoiser().draw("cat", 2, 0, 5)
    with pytest.raises(ConceptError, match="2 concepts at once"):
        run("refine", ("cat", "rose"), latents=latents)


def test_closed_form_reports_every_concept():
    seen: list[Progress] = []
    run("closed form", ("cat", "rose"), on_step=seen.append)
    assert [(p.concept, p.step, p.max_steps, p.statistic) for p in seen] == [
        ("cat", 1, 2, None),
        ("rose", 2, 2, None),
    ]


class RoundingEncoder(ToyEncoder):
    """Prompts as a model in half precision receives them."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def encode(self, prompt):
        encoded = super().encode(prompt)
        return replace(encoded, embeddings=encoded.embeddings.to(self.dtype).float())


@pytest.mark.parametrize("protection", PROTECTIONS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_rounded_prompts_keep_their_exact_protection_and_a_small_basis(dtype, protection):
    encoder = RoundingEncoder(dtype)
    denoiser = ToyDenoiser(encoder)
    config = EraseConfig(basis=BasisConfig(protection))
    (erasure,) = run("", denoiser=denoiser, config=config, dtype=dtype)
    plan = erasure.plan
    assert plan is not None and erasure.leak is not None
    assert plan.directions.capacity.used <= run("", config=config)[0].plan.directions.capacity.used
    assert erasure.leak.exact == 0
    branch = StackBranch(Stack.of([erasure.increment]))
    for prompt in CONCEPTS.protected_from(CONCEPTS["cat"]):
        assert branch("block.to_k", encoder.batch(prompt, dtype=dtype)) is None, prompt
    for prompt in CONCEPTS.prompts_of(CONCEPTS["cat"]):
        assert branch("block.to_k", encoder.batch(prompt.text, dtype=dtype)) is not None


@pytest.mark.parametrize("method", METHODS)
def test_increment_knows_how_it_was_made_and_survives_its_file(method, tmp_path):
    made = Provenance(family="sd1", text_encoder="abc", base="def")
    (erasure,) = run(method, provenance=made)
    increment: Increment = erasure.increment
    kept = increment.provenance
    assert (kept.family, kept.text_encoder, kept.base) == ("sd1", "abc", "def")
    assert kept.method["name"] == method
    assert ("paper" in kept.method) == method.startswith(("paper", "unconstrained"))
    assert ("refine" in kept.method) == method.endswith("refine")
    if increment.separable:
        assert list(kept.protected) == CONCEPTS.protected_from(CONCEPTS["cat"])
        assert kept.leak["exact"] == 0
    path = tmp_path / "cat.safetensors"
    write_increment(increment, path)
    read = read_increment(path)
    assert read.digest == increment.digest
    assert read.provenance == increment.provenance


def test_separate_results_do_not_depend_on_what_else_is_erased():
    for method in ("closed form", "closed form + refine", "paper separate"):
        alone = run(method)[0].increment.digest
        together = run(method, ("cat", "rose"))[0].increment.digest
        assert together == alone, method


def test_only_the_chosen_concepts_are_erased_and_the_others_are_protected():
    (erasure,) = run("closed form", ("rose",))
    assert erasure.increment.concept == CONCEPTS["rose"]
    assert {"cat", "kitten", TEMPLATES[0].format("cat")} <= set(
        erasure.increment.provenance.protected
    )


class ForgetfulDenoiser(ToyDenoiser):
    """Runs the model again in the backward pass, as a host short of memory does."""

    def __call__(self, x, sigma, prompts):
        return checkpoint(super().__call__, x, sigma, prompts, use_reentrant=False)


@pytest.mark.parametrize("method", ["refine", "paper separate", "paper joint", "unconstrained"])
def test_a_denoiser_that_remembers_nothing_gives_the_same_increment(method):
    forgetful = ForgetfulDenoiser()
    (once,), (again,) = run(method), run(method, denoiser=forgetful)
    assert once.increment.digest == again.increment.digest
    assert once.evaluations == again.evaluations < forgetful.n_evaluations
