"""The gate: which prompts show a concept, on rows as real encoders have them."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from sepme_core.errors import IncompatibleError, NonFiniteError, NotSeparableError
from sepme_core.space.gate import Gate, PromptRows, Subject, fit_gates
from sepme_core.space.logistic import fit_logistic
from sepme_core.text.language import LanguageFitter

D = 48
WORDS = ("cat", "tiger", "dog", "car", "house", "rose", "tree", "boat")
CONTEXT = tuple(f"w{i}" for i in range(40))


def vectors():
    """A vector a word; the tiger's is half the cat's."""
    generator = torch.Generator().manual_seed(2)
    found = {w: torch.randn(D, generator=generator).double() for w in (*WORDS, *CONTEXT)}
    found["tiger"] = 0.5 * found["cat"] + 0.85 * found["tiger"]
    return found


VECTORS = vectors()
COMMON = 20 * torch.randn(D, generator=torch.Generator().manual_seed(3)).double()
SPREAD = torch.logspace(-1, 1.5, D, dtype=torch.float64)


@cache
def sentence(word, seed):
    """Rows of context words and the word; later tokens carry a third of the earlier ones' mean."""
    generator = torch.Generator().manual_seed(seed)
    picked = [CONTEXT[i] for i in torch.randint(len(CONTEXT), (6,), generator=generator)]
    place = int(torch.randint(1, 6, (1,), generator=generator))
    words = [*picked[:place], *([word] if word else []), *picked[place:]]
    rows = torch.stack([VECTORS[w] for w in words])
    before = torch.cat([torch.zeros(1, D), rows.cumsum(0)[:-1]])
    mixed = rows + before / 3 / torch.arange(1, len(rows) + 1)[:, None].sqrt()
    noise = torch.randn(rows.shape, generator=generator).double() * 0.1
    return (mixed + noise) * SPREAD + COMMON, place


class World:
    """The toy's language, whitened sentences, and gates fitted in it."""

    def __init__(self, change=lambda rows: rows):
        self.change = change
        fitter = LanguageFitter(D)
        for seed in range(300):
            fitter.add(change(sentence("", seed)[0]))
        self.language = fitter.language()

    def x(self, word, seeds):
        rows = {f"{word} {s}": self.change(sentence(word, s)[0]) for s in seeds}
        return {text: self.language.whiten(r) for text, r in rows.items()}

    def subject(self, word, seeds=range(1000, 1020)):
        own = self.x(word, seeds)
        names = torch.stack([own[f"{word} {s}"][sentence(word, s)[1]] for s in seeds])
        return Subject(names, torch.arange(len(names)) % 2, PromptRows.of(own))

    def fit(self, words, protected, spared=None, **more):
        """A gate for each word, or why there is none."""
        foreign = self.x("", range(2000, 2200))
        for other in protected:
            foreign |= self.x(other, range(3000, 3020))
        rows = PromptRows.of(foreign | more)
        apart = torch.zeros(len(rows.texts), len(words), dtype=torch.bool)
        if spared is not None:
            apart |= spared(rows.texts)[:, None]
        return fit_gates([self.subject(w) for w in words], rows, apart, self.language)

    def gate(self, word, protected):
        (found,) = self.fit([word], protected)
        return found

    def fired(self, gate, word, seeds):
        rows = [self.change(sentence(word, s)[0]) for s in seeds]
        return [bool(gate.fires(r)) for r in rows]


@pytest.fixture(scope="module")
def world():
    return World()


UNSEEN = range(9000, 9100)


def test_gate_finds_its_concept_and_nothing_else_in_unseen_sentences(world):
    gate, rates = world.gate("cat", protected=("tiger", "dog", "car"))
    assert all(world.fired(gate, "cat", UNSEEN))
    for other in ("tiger", "dog", "car", "house", "rose", ""):
        assert not any(world.fired(gate, other, UNSEEN)), other
    assert rates.missed <= 0.05
    assert (rates.touched, rates.given) == (0, ())
    assert rates.margin > 0.3


def test_unprotected_neighbour_comes_nearer_than_a_protected_one(world):
    told, _ = world.gate("cat", protected=("tiger", "dog"))
    untold, _ = world.gate("cat", protected=("dog",))

    def nearness(gate):
        rows = [sentence("tiger", s)[0] for s in UNSEEN]
        own = [sentence("cat", s)[0] for s in UNSEEN]
        peak = [torch.stack([gate.scores(r).max() for r in some]).mean() for some in (rows, own)]
        return float((peak[0] - gate.threshold) / (peak[1] - gate.threshold))

    assert nearness(told) < nearness(untold)


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows + 500,
        lambda rows: rows * 1e-3,
        lambda rows: rows * torch.where(torch.arange(D) == 5, 1000.0, 1.0),
        lambda rows: rows @ torch.linalg.qr(torch.arange(D * D).double().view(D, D).sin())[0],
    ],
    ids=["common vector", "other units", "one dimension x1000", "turned"],
)
def test_what_an_encoder_looks_like_does_not_change_which_prompts_are_touched(world, change):
    gate, _ = world.gate("cat", ("tiger", "dog"))
    other = World(change)
    changed, _ = other.gate("cat", ("tiger", "dog"))
    for word in ("cat", "tiger", "dog", "house", ""):
        assert world.fired(gate, word, UNSEEN) == other.fired(changed, word, UNSEEN)


def test_sections_are_decided_by_themselves(world):
    gate, _ = world.gate("cat", ("tiger", "dog"))
    rows = torch.stack([sentence(w, 9001)[0] for w in ("cat", "dog", "cat")])
    assert gate.fires(rows).tolist() == [True, False, True]
    silent = torch.ones(rows.shape[:-1], dtype=torch.bool)
    silent[0] = False
    assert gate.fires(rows, silent).tolist() == [False, False, True]


def test_gates_fitted_together_are_those_fitted_alone(world):
    words = ("cat", "dog", "car")
    together = world.fit(words, ("tiger", "house"))
    for word, (gate, _) in zip(words, together, strict=True):
        alone, _ = world.gate(word, ("tiger", "house"))
        assert torch.nn.functional.cosine_similarity(gate.weights, alone.weights, dim=0) > 0.999


def test_a_classifier_is_not_told_of_rows_that_are_its_own():
    own = torch.tensor([[1.0, 0.2]])
    foreign = torch.tensor([[1.0, 0.2], [-1.0, 0.1]])
    spared = torch.tensor([[True], [False]])
    (w,), b = fit_logistic([own], foreign, spared)
    assert float((own @ w + b).min()) > 1
    (w,), b = fit_logistic([own], foreign)
    assert float((own @ w + b).min()) < 1, "told of itself as foreign, it cannot be as sure"


def test_ridge_logistic_is_at_its_minimum():
    generator = torch.Generator().manual_seed(0)
    own, foreign = (
        torch.randn(8, 5, generator=generator) + 1,
        torch.randn(40, 5, generator=generator),
    )
    (w,), b = fit_logistic([own], foreign, ridge=1e-2)
    theta = torch.cat([w, b]).requires_grad_()
    soft = torch.nn.functional.softplus
    loss = 0.5 * soft(-(own @ theta[:-1] + theta[-1])).mean()
    loss = loss + 0.5 * soft(foreign @ theta[:-1] + theta[-1]).mean()
    (loss + 1e-2 * theta[:-1].square().sum()).backward()
    assert theta.grad.norm() < 1e-4


def test_twins_are_refused_with_the_prompt_that_is_in_the_way(world):
    with pytest.raises(NotSeparableError, match=r"of the others touched, 'cat 30\d\d' first"):
        raise world.gate("cat", ("cat", "dog"))


def test_a_refused_concept_does_not_take_the_others_with_it(world):
    refused, (gate, _) = world.fit(["cat", "house"], ("cat", "dog"))
    assert isinstance(refused, NotSeparableError)
    assert all(world.fired(gate, "house", UNSEEN))


def test_one_odd_prompt_of_its_own_does_not_refuse_a_concept(world):
    own = world.subject("cat", range(1000, 1060))
    odd = world.x("cat", range(1000, 1060)) | world.x("dog", [4000])
    subject = replace(own, prompts=PromptRows.of(odd))
    foreign = PromptRows.of(world.x("dog", range(3000, 3060)))
    apart = torch.zeros(60, 1, dtype=torch.bool)
    ((_, rates),) = fit_gates([subject], foreign, apart, world.language)
    assert 0 < rates.missed < 0.03


def test_listed_prompt_beyond_the_threshold_is_named(world):
    twin = world.x("cat", [5555])
    for word in ("dog", "house", "tree", "boat", "rose"):
        twin |= world.x(word, range(6000, 6200))
    ((_, rates),) = world.fit(["cat"], ("tiger",), **twin)
    assert rates.given == ("cat 5555",)
    assert 0 < rates.touched < 0.002


def test_foreign_prompt_that_names_the_concept_is_none_of_its_business(world):
    def named(texts):
        return torch.tensor([text.startswith("cat") for text in texts])

    ((_, rates),) = world.fit(["cat"], ("cat", "dog"), named)
    assert rates.given == ()
    assert rates.touched == 0


def test_gate_refuses_what_it_cannot_read():
    gate = Gate(torch.ones(D, dtype=torch.float64), 0.0, 0.5)
    with pytest.raises(IncompatibleError, match="7 wide, the gate reads 48"):
        gate.fires(torch.zeros(3, 7))
    for field in ("bias", "threshold"):
        with pytest.raises(NonFiniteError):
            replace(gate, **{field: float("nan")})
