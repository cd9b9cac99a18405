"""The leak: what an increment moves on prompts it must leave alone."""

from dataclasses import replace

import pytest
import torch

from sepme_core.application import StackBranch
from sepme_core.config import BasisConfig, EraseConfig
from sepme_core.embeddings import EncodedPrompt
from sepme_core.erase import erase
from sepme_core.increment import Increment, Stack
from sepme_core.leak import measure_leak
from tests.toy import D_TEXT, ToyDenoiser, ToyEncoder, toy_concepts, toy_increment

EPS = torch.finfo(torch.float32).eps
ENCODER, CONCEPTS, WEIGHTS = ToyEncoder(), toy_concepts(), ToyDenoiser().weights


def cat(protection: str) -> Increment:
    config = EraseConfig(basis=BasisConfig(protection=protection))
    return erase(CONCEPTS, [CONCEPTS["cat"]], ENCODER, WEIGHTS, config)[0].increment


def protected() -> list[EncodedPrompt]:
    return ENCODER(CONCEPTS.protected_from(CONCEPTS["cat"]))


def test_exact_basis_leaks_rounding_only_and_the_concept_itself_is_moved():
    leak = measure_leak(cat("reduced"), protected(), WEIGHTS)
    assert leak.linear < D_TEXT * EPS
    assert leak.exact == 0
    own = measure_leak(cat("reduced"), ENCODER(["a photo of a cat"]), WEIGHTS)
    assert own.exact > 0.1
    assert own.linear == pytest.approx(own.exact, rel=1e-5)


def test_dead_zone_turns_truncated_protection_back_into_exact_protection():
    leak = measure_leak(cat("truncated"), protected(), WEIGHTS)
    assert 1e-3 < leak.linear < 0.2
    assert leak.exact == 0


def test_leak_is_the_largest_ratio_over_prompts_tokens_and_layers():
    increment = replace(toy_increment(), dead_zone=replace(toy_increment().dead_zone, threshold=0))
    g = torch.Generator().manual_seed(0)
    weights = {k: torch.randn(5, 8, generator=g) for k in increment.coef}
    prompts = [EncodedPrompt(n, torch.randn(4, 8, generator=g), 4) for n in ("a", "b", "c")]
    ratios = {
        p.text: max(
            float((e @ increment.delta_weight(m).T).norm() / (e @ w.T).norm())
            for m, w in weights.items()
            for e in p.embeddings
        )
        for p in prompts
    }
    leak = measure_leak(increment, prompts, weights)
    assert leak.prompt == max(ratios, key=ratios.__getitem__)
    assert leak.linear == pytest.approx(max(ratios.values()), rel=0.005), "three digits"
    assert measure_leak(increment.scaled(2), prompts, weights).linear == pytest.approx(
        2 * leak.linear, rel=0.005
    )
    assert measure_leak(increment.scaled(0), prompts, weights).linear == 0
    assert measure_leak(increment, prompts[::-1], weights).prompt == leak.prompt


def test_exact_leak_says_what_the_application_does():
    increment = cat("truncated")
    for prompt in ("a photo of a car", "a photo of a cat", "lion", "kitten and car"):
        encoded = ENCODER.encode(prompt)
        added = StackBranch(Stack.of([increment]))("block.to_k", encoded.embeddings[None])
        leak = measure_leak(increment, [encoded], WEIGHTS)
        assert (leak.exact > 0) == (added is not None), prompt


def test_coarser_arrival_leaves_more_tokens_alone():
    zone = replace(toy_increment().dead_zone, threshold=0.0, largest_protected=0.0)
    increment = toy_increment(zone=zone)
    outside = torch.linalg.svd(increment.basis)[2][-1]
    e = (outside + 0.01 * increment.basis[0])[None]
    weights = {k: torch.eye(8)[:5] for k in increment.coef}
    prompts = [EncodedPrompt("x", e, 1)]
    fine, coarse = (
        measure_leak(increment, prompts, weights, d) for d in (torch.float32, torch.bfloat16)
    )
    assert fine.exact > 0 == coarse.exact
    assert fine.linear == coarse.linear > 0


def test_without_prompts_nothing_leaks():
    leak = measure_leak(toy_increment(), [], {})
    assert (leak.linear, leak.exact, leak.prompt) == (0, 0, "")
