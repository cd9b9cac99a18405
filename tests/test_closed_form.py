"""Closed form: the concept's tokens become the anchor's."""

import pytest
import torch

from sepme_core.closed_form import AnchoredPrompt, align_anchor, closed_form_coefs, token_map
from sepme_core.embeddings import EncodedPrompt, stack_rows
from sepme_core.nullspace import concept_basis, row_space
from tests.toy import D_TEXT, N_TOKENS, ToyDenoiser, ToyEncoder, seeded, toy_concepts

EPS = torch.finfo(torch.float64).eps
ENCODER = ToyEncoder()


def prompt(before: int, name: int, after: int, n_tokens: int = N_TOKENS) -> EncodedPrompt:
    """A prompt of so many tokens, told apart by number: -1 for a name's, an end mark, padding."""
    words = [*range(before), *[-1 - i for i in range(name)], *range(50, 50 + after)]
    padding = [99] * (n_tokens - len(words))
    return EncodedPrompt("", torch.tensor([*words, *padding]).float()[:, None], len(words))


@pytest.mark.parametrize("name", range(1, 5))
@pytest.mark.parametrize("anchor", range(5))
@pytest.mark.parametrize(("before", "after"), [(1, 1), (3, 1), (1, 4), (3, 4)])
def test_words_around_the_name_meet_themselves_and_padding_meets_padding(
    before, after, name, anchor
):
    concept, fallback = prompt(before, name, after), prompt(before, anchor, after)
    # Names of equal length would begin alike: the name's tokens differ from the anchor's.
    fallback.embeddings[before : before + anchor] -= 10
    met = fallback.embeddings[align_anchor(concept, fallback)].flatten()
    own = concept.embeddings.flatten()
    around = [i for i in range(len(own)) if not before <= i < before + name]
    assert torch.equal(met[around], own[around])


def test_longer_name_begins_on_the_start_of_a_shorter_anchor():
    concept, anchor = prompt(2, 3, 1, 8), prompt(2, 2, 1, 8)
    anchor.embeddings[2:4] -= 10
    assert align_anchor(concept, anchor).tolist() == [0, 1, 2, 2, 3, 4, 5, 6]


def test_shorter_name_meets_the_end_of_a_longer_anchor():
    concept, anchor = prompt(1, 1, 1, 8), prompt(1, 3, 1, 8)
    anchor.embeddings[1:4] -= 10
    assert align_anchor(concept, anchor).tolist() == [0, 3, 4, 5, 6, 7, 7, 7]


def test_name_falls_onto_what_follows_an_empty_anchor():
    assert align_anchor(prompt(2, 2, 1, 8), prompt(2, 0, 1, 8)).tolist() == [0, 1, 2, 2, 2, 3, 4, 5]


def test_anchor_of_another_number_of_tokens_is_met_within_its_length():
    places = align_anchor(prompt(1, 2, 1, 16), prompt(1, 1, 1, 8)).tolist()
    assert len(places) == 16
    assert max(places) == 7


def test_start_mark_is_never_moved():
    concept, anchor = ENCODER(["a cat"]), ENCODER(["an old dog in a hat"])
    shift = AnchoredPrompt(concept[0], anchor[0]).shift()
    assert not shift[0].any()
    assert shift[2].abs().max() > 0


def test_shift_to_itself_is_nothing():
    prompt = ENCODER.encode("a cat")
    assert not AnchoredPrompt(prompt, prompt).shift().any()


def test_one_direction_moves_exactly_onto_the_anchor_as_the_ridge_vanishes():
    g = torch.Generator().manual_seed(0)
    direction, target = torch.randn(2, D_TEXT, generator=g, dtype=torch.float64)
    direction /= direction.norm()
    sizes = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)[:, None]
    concept = EncodedPrompt("c", sizes * direction, 3)
    anchor = EncodedPrompt("a", sizes * target, 3)
    residuals = []
    for ridge in (1e-1, 1e-4, 1e-12):
        shift = token_map([AnchoredPrompt(concept, anchor)], direction[None], 0.0, ridge)
        after = concept.embeddings + (concept.embeddings @ direction[:, None]) @ shift.T
        residuals.append(float((after - anchor.embeddings).norm() / anchor.embeddings.norm()))
    assert residuals[0] > residuals[1] > residuals[2]
    assert residuals[2] < 1e-11
    # One direction, every token alike: exactly the share ridge / (1 + ridge) stays undone.
    undone = float((concept.embeddings - anchor.embeddings).norm() / anchor.embeddings.norm())
    assert residuals[0] == pytest.approx(undone * 0.1 / 1.1, rel=1e-9)


def planned(name: str) -> tuple[list[AnchoredPrompt], torch.Tensor]:
    concepts = toy_concepts()
    prompts = concepts.prompts_of(concepts[name])
    own, anchors = ENCODER([p.text for p in prompts]), ENCODER([p.anchored for p in prompts])
    span = row_space(stack_rows(ENCODER(concepts.protected_from(concepts[name]))))
    pairs = [AnchoredPrompt(c, a) for c, a in zip(own, anchors, strict=True)]
    return pairs, concept_basis(stack_rows(own), span).rows


def left(prompt: AnchoredPrompt, basis: torch.Tensor, coef: torch.Tensor, w: torch.Tensor) -> float:
    """Weighted share of the wanted movement of a layer's output that is not made."""
    share = prompt.concept.weights()[:, None]
    wanted = share * (prompt.shift() @ w.T.double())
    made = share * ((prompt.concept.embeddings.double() @ basis.T) @ coef.T.double())
    return float((wanted - made).square().sum() / wanted.square().sum())


@pytest.mark.parametrize("name", ["cat", "rose", "van gogh"])
def test_concepts_tokens_land_near_the_anchors_in_every_layer(name):
    prompts, basis = planned(name)
    weights = ToyDenoiser().weights
    coef = closed_form_coefs([token_map(prompts, basis, 1e-5, 1e-3)], weights)[0]
    for module, weight in weights.items():
        assert coef[module].dtype == torch.float32
        for prompt in prompts:
            ends_with_name = not prompt.concept.text.endswith("garden")
            assert left(prompt, basis, coef[module], weight) < (1 / 3 if ends_with_name else 1)
            assert left(prompt, basis, 0 * coef[module], weight) == 1


def test_push_multiplies_the_map():
    prompts, basis = planned("cat")
    once, twice = (token_map(prompts, basis, 1e-5, 1e-3, push=p) for p in (1.0, 2.0))
    assert torch.equal(2 * once, twice)
    assert torch.equal(once, token_map(prompts, basis, 1e-5, 1e-3))


def test_larger_ridge_moves_less():
    prompts, basis = planned("cat")
    sizes = [float(token_map(prompts, basis, 1e-5, r).norm()) for r in (1e-6, 1e-2, 1.0, 100.0)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.1 * sizes[0]


def test_tokens_below_the_threshold_take_no_part():
    prompts, basis = planned("cat")
    e = prompts[0].concept.embeddings.double()
    component = (e @ basis[:1].T).norm(dim=-1) / e.norm(dim=-1)
    between = float(component.max()) * 0.999
    alone = token_map(prompts[:1], basis[:1], between, 1e-9)
    assert not torch.allclose(alone, token_map(prompts[:1], basis[:1], 0.0, 1e-9))
    best = int(component.argmax())
    z = e[best] @ basis[:1].T
    expected = prompts[0].shift()[best] / float(z)
    torch.testing.assert_close(alone[:, 0], expected, rtol=1e-6, atol=0)


def test_all_layers_share_one_map():
    shift = seeded("map", D_TEXT, 3).double()
    weights = {"a": seeded("a", 5, D_TEXT), "b": seeded("b", 7, D_TEXT).half()}
    coef, twice = closed_form_coefs([shift, 2 * shift], weights)
    for key, weight in weights.items():
        torch.testing.assert_close(coef[key], weight.float() @ shift.float())
        assert torch.equal(twice[key], 2 * coef[key])


def test_bits_of_a_concept_do_not_depend_on_what_else_is_solved():
    weights = {"a": seeded("wide", 96, D_TEXT), "b": seeded("narrow", 7, D_TEXT).half()}
    maps = [seeded(f"map {n}", D_TEXT, 1 + n % 5).double() for n in range(60)]
    together = closed_form_coefs(maps, weights)
    for shift, coefs in zip(maps, together, strict=True):
        (alone,) = closed_form_coefs([shift], weights)
        assert all(torch.equal(alone[k], coefs[k]) for k in weights)
        assert all(v.is_contiguous() for v in coefs.values())
