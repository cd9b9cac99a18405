"""Refining on the toy denoiser: the concept is uncorrelated at every time."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from sepme_core.application import StackBranch, attached
from sepme_core.concepts import ConceptPrompt
from sepme_core.config import EraseConfig, RefineConfig
from sepme_core.denoiser import CountingDenoiser, Progress
from sepme_core.embeddings import relative_component
from sepme_core.erase import Erasure, erase
from sepme_core.increment import Increment, Stack
from sepme_core.objective import normalised_correlation
from sepme_core.refine import Preconditioner, refine
from sepme_core.targets import collect, noised_pictures
from tests.toy import LATENT, ToyDenoiser, parameters_digest, seeded, toy_concepts

CONCEPTS = toy_concepts()
CONFIG = RefineConfig(n_strata=5, n_trajectories=2, n_sampling_steps=10)
PROMPTS = CONCEPTS.prompts_of(CONCEPTS["cat"])


@cache
def closed_form(name: str = "cat") -> Erasure:
    denoiser = ToyDenoiser()
    return erase(CONCEPTS, [CONCEPTS[name]], denoiser.encoder, denoiser.weights, EraseConfig())[0]


def zeros(increment: Increment) -> Increment:
    return increment.scaled(0)


def units() -> Preconditioner:
    plan = closed_form().plan
    assert plan is not None
    weights = ToyDenoiser().weights
    return Preconditioner(plan.basis, plan.encoded, plan.dead_zone.largest_protected, weights)


def refined(denoiser, config=CONFIG, seed=0, on_step=lambda _: None, start=None):
    counting = CountingDenoiser(denoiser)
    seen = collect(counting, PROMPTS, config, seed)
    start = start or zeros(closed_form().increment)
    generator = torch.Generator().manual_seed(seed)
    return refine(counting, start, units(), seen, config, generator, on_step), counting


def test_refine_from_zero_uncorrelates_the_concept_in_every_stratum():
    outcome, _ = refined(ToyDenoiser())
    assert outcome.converged
    assert outcome.statistics[0] == pytest.approx(1, abs=1e-5), "at first all of it is there"
    assert outcome.statistics[-1] <= CONFIG.tau
    assert len(outcome.rho) == CONFIG.n_strata
    assert max(map(abs, outcome.rho)) < 0.1


def test_closed_form_is_a_better_start_than_zero():
    near, _ = refined(ToyDenoiser(), start=closed_form().increment)
    far, _ = refined(ToyDenoiser())
    assert near.statistics[0] < 0.7 * far.statistics[0]
    assert near.converged


@pytest.mark.parametrize("anchor", ["", "dog"])
def test_evaluations_are_counted_as_documented(anchor):
    denoiser = ToyDenoiser()
    prompts = [ConceptPrompt("", "cat", "", anchor)]
    counting = CountingDenoiser(denoiser)
    seen = collect(counting, prompts, CONFIG, seed=0)
    # The concept drawn with guidance and its anchor beside it, two a step each: only where the
    # anchor is not the empty prompt must it be predicted along the concept's drawing.
    drawing = CONFIG.n_trajectories // 2 * CONFIG.n_sampling_steps * (5 if anchor else 4)
    assert counting.evaluations == denoiser.n_evaluations == drawing
    config = replace(CONFIG, max_steps=4)
    start = zeros(closed_form().increment)
    refine(counting, start, units(), seen, config, torch.Generator(), lambda _: None)
    training = 4 * CONFIG.n_strata * 3  # one forward and one backward, no teacher
    assert counting.evaluations == denoiser.n_evaluations == drawing + training


def test_targets_reuse_what_sampling_saw():
    denoiser = ToyDenoiser()
    bare, dog = ConceptPrompt("", "cat", "", ""), ConceptPrompt("a ", "cat", "", "dog")
    config = replace(CONFIG, n_trajectories=4)
    seen = collect(CountingDenoiser(denoiser), [bare, dog], config, seed=5)
    for targets, prompt in zip(seen, (bare, bare, dog, dog), strict=True):
        assert targets.prompt == prompt.text
        with torch.no_grad():
            concept, anchor = (
                denoiser(targets.x, targets.sigma, [p] * len(targets.x))
                for p in (prompt.text, prompt.anchored)
            )
        torch.testing.assert_close(targets.eps_anchor, anchor)
        torch.testing.assert_close(targets.representation, concept - anchor)
        assert targets.representation.abs().max() > 0.1
    drawn = [denoiser.trajectory(p.text, 5 + i, 10) for i, p in enumerate((bare, dog))]
    assert all(torch.equal(t.x, d.x) for t, d in zip(seen[::2], drawn, strict=True))


def test_half_of_the_drawings_follow_the_anchor_from_the_same_noise():
    denoiser = ToyDenoiser()
    led, beside = collect(CountingDenoiser(denoiser), PROMPTS[1:2], CONFIG, seed=5)
    assert torch.equal(beside.x[0], led.x[0])
    assert not torch.allclose(beside.x[-1], led.x[-1], atol=0.1)
    steps = beside.x.diff(dim=0) / beside.sigma.diff().view(-1, 1, 1, 1)
    torch.testing.assert_close(steps, beside.eps_anchor[:-1], rtol=1e-3, atol=1e-3)
    alone = collect(CountingDenoiser(denoiser), PROMPTS, replace(CONFIG, n_trajectories=3), seed=5)
    assert len(alone) == 3


def test_given_pictures_take_the_place_of_drawings():
    denoiser = ToyDenoiser()
    counting = CountingDenoiser(denoiser)
    latents = denoiser.draw("cat", 3, 0, 5)
    generator = torch.Generator().manual_seed(0)
    seen = noised_pictures(counting, PROMPTS, latents, CONFIG, generator)
    assert counting.evaluations == 3 * 2 * CONFIG.n_sampling_steps
    assert len(seen) == 3
    assert len({t.prompt for t in seen}) == 3, "each shows another phrasing"
    for targets in seen:
        assert targets.x.shape == (CONFIG.n_sampling_steps, *LATENT)
        assert targets.sigma.tolist() == sorted(targets.sigma.tolist(), reverse=True)
        assert not targets.representation.requires_grad
    start = zeros(closed_form().increment)
    outcome = refine(counting, start, units(), seen, CONFIG, generator, lambda _: None)
    assert max(map(abs, outcome.rho)) < 0.1


def test_units_are_unit_covariance():
    plan, precondition = closed_form().plan, units()
    assert plan is not None
    rows = torch.cat([p.embeddings.double() for p in plan.encoded])
    share = torch.cat([p.weights() for p in plan.encoded]).square()
    z = rows @ plan.basis.T
    share = share * (z.norm(dim=-1) > plan.dead_zone.largest_protected * rows.norm(dim=-1))
    white = z @ precondition.inverse_factor.T
    covariance = (white * share[:, None]).T @ white / share.sum()
    identity = torch.eye(len(covariance), dtype=torch.float64)
    # The factor carries a ridge of 1e-6 of the mean variance.
    torch.testing.assert_close(covariance, identity, rtol=0, atol=1e-3)


def test_a_shift_moves_tokens_before_every_layer():
    """Σ of what each layer adds is what it would have made of the moved token."""
    plan, precondition = closed_form().plan, units()
    assert plan is not None
    z = plan.encoded[0].embeddings.double() @ plan.basis.T
    shift = seeded("shift", plan.basis.shape[1], len(plan.basis))
    moved = z @ precondition.inverse_factor.T @ shift.double().T
    for module, weight in ToyDenoiser().weights.items():
        added = z.float() @ precondition.coef(shift)[module].T
        torch.testing.assert_close(added, moved.float() @ weight.T, rtol=1e-4, atol=1e-4)


def test_training_sees_what_the_exact_application_will_do():
    denoiser = ToyDenoiser()
    config = replace(CONFIG, max_steps=2, n_trajectories=1)
    start = closed_form().increment
    reach = relative_component(denoiser.encoder.encode("cat").embeddings, start.basis)
    # A dead zone so wide that only the strongest token is acted on.
    wide = 0.99 * float(reach.max())
    zone = replace(start.dead_zone, threshold=wide, largest_protected=wide)
    start = replace(zeros(start), dead_zone=zone)
    outcome, counting = refined(denoiser, config, start=start)
    # The second step looked at what the first one's increment does.
    again, _ = refined(denoiser, replace(config, max_steps=1), start=start)
    branch = StackBranch(Stack.of([replace(start, coef=again.coef)]))
    targets = collect(counting, PROMPTS, config, 0)[0]
    with torch.no_grad(), attached(denoiser.layers, branch):
        eps = denoiser(targets.x, targets.sigma, [targets.prompt] * len(targets.x))
    rho = normalised_correlation(eps - targets.eps_anchor, targets.representation)
    second = [2 * r - 1 for r in outcome.rho]  # of two steps, the first at 1
    for stratum, value in enumerate(second):  # two sampling steps per stratum, either was taken
        near = rho[2 * stratum : 2 * stratum + 2] - value
        assert near.abs().min() < 1e-4
    assert 0 < second[0] < 0.99, "on its way"


def test_every_step_is_reported():
    seen: list[Progress] = []
    outcome, counting = refined(
        ToyDenoiser(), replace(CONFIG, max_steps=3, n_strata=4), on_step=seen.append
    )
    assert [p.step for p in seen] == [1, 2, 3]
    assert [p.statistic for p in seen] == outcome.statistics
    assert [b.evaluations - a.evaluations for a, b in zip(seen, seen[1:], strict=False)] == [12, 12]
    assert {(p.concept, p.max_steps, p.tau) for p in seen} == {("cat", 3, CONFIG.tau)}
    assert not outcome.converged
    assert counting.evaluations == seen[-1].evaluations


@pytest.mark.parametrize("cancelled", [False, True])
def test_teacher_and_start_stay_as_they_were_also_when_cancelled(cancelled):
    denoiser, start = ToyDenoiser(), closed_form().increment
    before, digest = parameters_digest(denoiser.model), replace(start).digest

    def on_step(progress: Progress) -> None:
        if cancelled and progress.step == 2:
            raise InterruptedError

    if cancelled:
        with pytest.raises(InterruptedError):
            refined(denoiser, on_step=on_step, start=start)
    else:
        outcome, _ = refined(denoiser, on_step=on_step, start=start)
        assert not torch.equal(outcome.coef["block.to_v"], start.coef["block.to_v"])
    assert parameters_digest(denoiser.model) == before
    assert replace(start).digest == digest
    assert not any(m._forward_hooks for m in denoiser.model.modules())
    assert all(p.grad is None for p in denoiser.model.parameters())


def test_same_seed_gives_the_same_bits_and_another_seed_does_not():
    one, same, other = (refined(ToyDenoiser(), seed=s)[0] for s in (1, 1, 2))
    assert one.statistics == same.statistics
    assert all(torch.equal(one.coef[k], same.coef[k]) for k in one.coef)
    assert any(not torch.equal(one.coef[k], other.coef[k]) for k in one.coef)


def test_samples_per_pass_change_memory_and_nothing_else():
    config = replace(CONFIG, max_steps=3)
    (one, few), (several, many) = (
        refined(ToyDenoiser(), replace(config, n_at_once=n)) for n in (1, CONFIG.n_strata)
    )
    assert few.evaluations == many.evaluations
    assert one.statistics == pytest.approx(several.statistics, abs=1e-4)
    for module in one.coef:
        torch.testing.assert_close(one.coef[module], several.coef[module], rtol=0, atol=1e-3)
    assert one.statistics[-1] < 0.999 * one.statistics[0], "and it does train"


def test_fewer_sampling_steps_than_strata_still_cover_every_stratum():
    outcome, _ = refined(ToyDenoiser(), replace(CONFIG, n_sampling_steps=3, max_steps=2))
    assert len(outcome.rho) == CONFIG.n_strata


def test_residual_term_draws_the_prediction_to_the_anchors():
    left = []
    for weight in (0.0, 3.0):
        denoiser = ToyDenoiser()
        config = replace(CONFIG, residual=weight, max_steps=40, min_steps=40, tau=1e-9)
        start = closed_form().increment
        start = replace(start, coef={k: 0.5 * seeded(k, *v.shape) for k, v in start.coef.items()})
        outcome, counting = refined(denoiser, config, start=start)
        branch = StackBranch(Stack.of([replace(start, coef=outcome.coef)]))
        targets = collect(counting, PROMPTS, config, 0)[0]
        with torch.no_grad(), attached(denoiser.layers, branch):
            eps = denoiser(targets.x, targets.sigma, [targets.prompt] * len(targets.x))
        left.append(float((eps - targets.eps_anchor).norm() / targets.representation.norm()))
    assert left[1] < 0.8 * left[0]
