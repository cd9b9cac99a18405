"""The peers solve the equations that they cite, here on random matrices."""

import pytest
import torch

from bench.peers import esd, fmn, speed, uce
from bench.peers.prompts import kept_names, phrasings
from bench.peers.training import Batch
from bench.tasks import OBJECTS_TASK, STYLES_TASK

D_OUT, D_TEXT = 12, 24
EXACT = 1e-9  # float64, condition numbers below 1e6


def rows(n, seed, d=D_TEXT):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def weight(seed=9):
    return rows(D_OUT, seed)


@pytest.fixture
def uce_case():
    return weight(), rows(5, 0), rows(5, 1), rows(7, 2)


def uce_loss(changed, w, concept, anchor, kept):
    """Eq. 7's objective, written once more."""
    erase = (changed @ concept.T - w @ anchor.T).square().sum()
    preserve = (changed @ kept.T - w @ kept.T).square().sum()
    return uce.ERASE * erase + uce.PRESERVE * preserve + uce.LAMBDA * (changed - w).square().sum()


def gradient(at, *case):
    at = at.clone().requires_grad_()
    return torch.autograd.grad(uce_loss(at, *case), at)[0].norm()


def test_uce_stands_where_the_gradient_of_its_loss_is_zero(uce_case):
    w, *others = uce_case
    changed = w + w @ uce.solve(*others)
    assert gradient(changed, w, *others) < EXACT * gradient(w, w, *others)


def test_uce_leaves_the_weights_alone_where_nothing_is_to_change(uce_case):
    _, concept, anchor, kept = uce_case
    assert uce.solve(concept, concept, kept).norm() == 0
    assert uce.solve(concept, anchor, kept).norm() > 0.1


def speed_case():
    """A retain set of five directions, of many rows; two fixed rows; room for the rest."""
    retain = rows(40, 3) @ rows(D_TEXT, 4)[:, :5] @ rows(5, 5)
    return weight(), rows(6, 0), rows(6, 1), retain, rows(2, 6)


def test_speed_moves_neither_retained_nor_fixed_rows():
    w, concept, anchor, retain, fixed = speed_case()
    delta = speed.solve(w, concept, anchor, retain, fixed)
    assert (delta @ retain.T).norm() < EXACT * (w @ retain.T).norm()
    assert (delta @ fixed.T).norm() < EXACT * (w @ fixed.T).norm()
    assert (delta @ concept.T).norm() > 0.1 * (w @ concept.T).norm()


def test_speed_is_the_ridge_solution_among_all_changes_that_move_neither():
    w, concept, anchor, retain, fixed = speed_case()
    _, values, directions = torch.linalg.svd(torch.cat([retain, fixed]))
    free = directions[int((values > 1e-9 * values[0]).sum()) :]
    seen = concept @ free.T  # what such a change can see of the concept
    ridge = seen.T @ seen / len(seen) + speed.RETAIN * torch.eye(len(free), dtype=w.dtype)
    expected = w @ (anchor - concept).T / len(seen) @ seen @ torch.linalg.inv(ridge) @ free
    found = speed.solve(w, concept, anchor, retain, fixed)
    assert torch.allclose(found, expected, rtol=0, atol=EXACT * float(expected.norm()))


def test_speed_keeps_what_would_move_more_than_the_average():
    retain, delta = rows(50, 3), weight()
    kept = speed.influenced(retain, delta)
    moved, of_kept = ((r @ delta.T).norm(dim=1) for r in (retain, kept))
    assert 0 < len(kept) < len(retain)
    assert of_kept.min() > moved.mean()
    assert len(kept) == int((moved > moved.mean()).sum())


def test_speed_augments_along_what_the_layer_hears_least():
    w, retain = weight(), rows(4, 3)
    more = speed.augmented(retain, w, torch.Generator().manual_seed(0))
    shift = more - retain.repeat(speed.N_AUGMENTED, 1)
    assert len(more) == speed.N_AUGMENTED * len(retain)
    assert torch.linalg.matrix_rank(shift, rtol=1e-9) == 1
    least = torch.linalg.svdvals(w)[-1]
    assert torch.allclose((shift @ w.T).norm(dim=1), least * shift.norm(dim=1))
    assert shift.norm() > 1


def test_esd_aims_at_the_opposite_of_the_concept():
    eps, uncond = rows(2, 0), rows(2, 1)
    prompt = phrasings(OBJECTS_TASK, "cat")[0]
    aim = esd.target(Batch(prompt, eps, eps[:, 0], eps, uncond))
    assert torch.allclose(aim - uncond, -esd.ETA * (eps - uncond))


def test_fmn_reads_the_probabilities_that_attention_uses():
    q, k, v = (rows(2 * n, seed, 8).view(2, n, 8) for n, seed in ((9, 0), (5, 1), (5, 2)))
    found = fmn.attention(q, k, n_heads=2)
    assert found.shape == (2, 2, 9, 5)
    split = [t.float().unflatten(-1, (2, 4)).transpose(1, 2) for t in (q, k, v)]
    expected = torch.nn.functional.scaled_dot_product_attention(*split)
    assert torch.allclose(found @ split[2], expected, atol=1e-6)


def test_fmn_counts_the_named_tokens_of_every_layer():
    layers = [torch.rand(2, 2, 9, 5), torch.rand(2, 2, 4, 5)]
    squares = sum(float(p[..., t].square().sum()) for p in layers for t in (1, 4))
    assert float(fmn.re_steering(layers, [1, 4])) == pytest.approx(squares**0.5)
    assert fmn.re_steering(layers, [1]) < fmn.re_steering(layers, [1, 4])


@pytest.mark.parametrize("task", [OBJECTS_TASK, STYLES_TASK], ids=lambda t: t.name)
def test_no_peer_is_told_of_held_out_phrasings_nor_of_unlisted_concepts(task):
    told = [p for name in task.erasable for p in phrasings(task, name)]
    held_out = {t for name in task.watched for t in task.prompts(name, "held-out")}
    assert not held_out & {text for p in told for text in p[1:]}
    assert set(kept_names(task, frozenset())) == {*task.erasable, *task.protected}


def test_an_anchored_phrasing_is_the_sentence_without_the_name():
    found = {p.text: p.anchored for p in phrasings(OBJECTS_TASK, "cat")}
    assert found["cat"] == ""
    assert found["a photo of a cat"] == "a photo of a"
    assert found["cat in the garden"] == "in the garden"


def test_recomputed_peers_preserve_what_is_given_back():
    kept = kept_names(OBJECTS_TASK, frozenset(OBJECTS_TASK.erasable[:2]))
    assert kept == [*OBJECTS_TASK.erasable[2:], *OBJECTS_TASK.protected]
