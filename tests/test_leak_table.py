"""Every increment against every prompt, beside the products they stand for."""

from dataclasses import replace

import pytest
import torch

from sepme_core.application import StackBranch
from sepme_core.concepts import Concept
from sepme_core.dead_zone import DeadZone
from sepme_core.embeddings import EncodedPrompt, relative_component
from sepme_core.increment import Increment, Stack
from sepme_core.leak_table import leak_table
from tests.toy import seeded, toy_increment

ZONE = DeadZone(0.7, 0.5, 0.9)
INCREMENTS = [
    toy_increment("cat", zone=ZONE),
    toy_increment("dog", n_basis=1, zone=replace(ZONE, threshold=0.3, largest_protected=0.3)),
    # A basis wider than a layer, as the paper's are.
    toy_increment("rose", n_basis=7, d_out=5, zone=ZONE),
]
WEIGHTS = {m: seeded(f"W {m}", 5, 8) for m in ("block.to_k", "block.to_v")}
PROMPTS = [EncodedPrompt(f"p{n}", seeded(f"p{n}", n % 5 + 1, 8), 1) for n in range(40)]


def ratios(increment: Increment, e: torch.Tensor) -> torch.Tensor:
    """‖ΔW e‖ / ‖W e‖ of each layer and token, multiplied out in float64."""
    e = e.double()
    return torch.stack(
        [
            (e @ increment.delta_weight(m).double().T).norm(dim=-1)
            / (e @ w.double().T).norm(dim=-1)
            for m, w in WEIGHTS.items()
            if m in increment.target_modules
        ]
    )


def test_linear_leak_and_peak_are_the_largest_over_all_tokens_and_layers():
    table = leak_table(INCREMENTS, PROMPTS, WEIGHTS)
    for j, increment in enumerate(INCREMENTS):
        linear = [float(ratios(increment, p.embeddings).max()) for p in PROMPTS]
        assert table.linear[j].tolist() == pytest.approx(linear, rel=1e-4)
        peak = [float(relative_component(p.embeddings, increment.basis).max()) for p in PROMPTS]
        assert table.peak[j].tolist() == pytest.approx(peak, rel=1e-5)


def test_exact_leak_is_what_the_application_adds():
    table = leak_table(INCREMENTS, PROMPTS, WEIGHTS)
    assert 0 < int(table.shown.sum()) < table.shown.numel(), "both kinds are there"
    for j, increment in enumerate(INCREMENTS):
        for n, prompt in enumerate(PROMPTS):
            e = prompt.embeddings[None]
            branch, worst = StackBranch(Stack.of([increment])), 0.0
            for m, w in WEIGHTS.items():
                added = branch(m, e)
                if added is not None:
                    worst = max(worst, float((added.norm(dim=-1) / (e @ w.T).norm(dim=-1)).max()))
            assert float(table.exact[j, n]) == pytest.approx(worst, rel=1e-4)
            assert bool(table.shown[j, n]) == (worst > 0)


def test_tokens_between_protected_and_threshold_count_only_beside_one_above():
    basis = torch.eye(1, 8)
    increment = Increment(
        Concept("x"), basis, {"block.to_k": torch.ones(5, 1)}, dead_zone=DeadZone(0.7, 0.5, 0.9)
    )

    def token(component: float, size: float = 1.0) -> torch.Tensor:
        rest = (1 - component**2) ** 0.5
        return size * torch.tensor([component, rest, 0, 0, 0, 0, 0, 0])

    weights = {"block.to_k": torch.eye(5, 8) * torch.tensor([[1.0], [0.01], [1], [1], [1]])}
    between, above = token(0.6), token(0.8)
    prompts = [EncodedPrompt("", torch.stack(t), 2) for t in ([between] * 2, [between, above])]
    exact = leak_table([increment], prompts, weights).exact[0]
    assert float(exact[0]) == 0
    assert float(exact[1]) > 1


def test_more_prompts_or_increments_do_not_change_a_number():
    table = leak_table(INCREMENTS, PROMPTS, WEIGHTS)
    alone = leak_table(INCREMENTS[1:2], iter(PROMPTS[20:21]), WEIGHTS)
    for field in ("linear", "exact", "peak"):
        found = getattr(table, field)[1, 20]
        assert float(getattr(alone, field)) == pytest.approx(float(found), rel=1e-5)


def test_layers_that_nobody_edits_do_not_count_and_missing_coefs_move_nothing():
    one = replace(INCREMENTS[0], coef={"block.to_k": INCREMENTS[0].coef["block.to_k"]})
    table = leak_table([one, INCREMENTS[0]], PROMPTS, WEIGHTS)
    expected = [float(ratios(one, p.embeddings).max()) for p in PROMPTS]
    assert table.linear[0].tolist() == pytest.approx(expected, rel=1e-4)
    assert bool((table.linear[0] <= table.linear[1] * (1 + 1e-5)).all())
    more = leak_table([one], PROMPTS, {**WEIGHTS, "other": torch.zeros(3, 8)})
    assert torch.equal(more.linear, leak_table([one], PROMPTS, WEIGHTS).linear)


def test_unconstrained_increment_acts_on_every_prompt():
    full = {"block.to_k": seeded("full", 5, 8), "block.to_q": torch.ones(3, 2)}
    loose = Increment(Concept("x"), torch.zeros(0, 0), {}, full)
    table = leak_table([INCREMENTS[0], loose, INCREMENTS[1]], PROMPTS, WEIGHTS)
    delta = full["block.to_k"]
    expected = [
        float(((e @ delta.T).norm(dim=-1) / (e @ WEIGHTS["block.to_k"].T).norm(dim=-1)).max())
        for e in (p.embeddings for p in PROMPTS)
    ]
    assert table.linear[1].tolist() == pytest.approx(expected, rel=1e-4)
    assert torch.equal(table.exact[1], table.linear[1])
    assert bool(table.shown[1].all())
    beside = leak_table(INCREMENTS[1:2], PROMPTS, WEIGHTS)
    assert table.linear[2].tolist() == pytest.approx(beside.linear[0].tolist(), rel=1e-5)


def test_without_prompts_the_table_is_empty():
    assert leak_table(INCREMENTS, [], WEIGHTS).linear.shape == (3, 0)
