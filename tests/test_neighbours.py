"""What is suggested to be protected: the nearest names, and never what is erased."""

import pytest
import torch

from sepme_core.concepts import ConceptSet, name_key
from sepme_core.embeddings import EncodedPrompt
from sepme_core.neighbours import Neighbour, name_vectors, neighbours, things
from sepme_core.text_fields import parse_concepts

WIDTH = 64
NAMES = {name_key(name) for thing in things() for name in thing.names}


def direction(word):
    """The same unit vector for the same word, `[WIDTH]`."""
    seed = int.from_bytes(word.casefold().encode()[:6], "little")
    return torch.nn.functional.normalize(
        torch.randn(WIDTH, generator=torch.Generator().manual_seed(seed)), dim=0
    )


def vectors(near=(), common=0.0, scale=1.0):
    """Random vectors for all names; those in `near` lean to the cat's."""

    def of(names):
        rows = [direction(n) + 3.0 * direction("cat") * (n in near) for n in names]
        return scale * (torch.stack(rows) + common)

    return of


def found(text, **given):
    count = given.pop("count", 8)
    near = neighbours(parse_concepts(text), vectors(**given), count)
    return {concept: [n.name for n in names] for concept, names in near.items()}


def test_the_most_similar_names_come_first_as_many_as_are_wanted():
    near = neighbours(parse_concepts("cat"), vectors(["dog", "tiger"]), 3)["cat"]
    assert {near[0].name, near[1].name} == {"dog", "tiger"}
    assert len(near) == 3
    similarities = [n.similarity for n in near]
    assert similarities == sorted(similarities, reverse=True)
    assert 1 >= similarities[1] > 0.5 > similarities[2]
    assert isinstance(near[0], Neighbour)


def test_every_concept_has_neighbours_of_its_own():
    both = found("cat\nhouse", near=["dog"])
    assert both.keys() == {"cat", "house"}
    assert both["cat"][0] == "dog" != both["house"][0]


@pytest.mark.parametrize("common", [0.0, 30.0])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e3])
def test_what_all_names_have_in_common_changes_nothing(common, scale):
    assert found("cat", near=["dog"], common=common, scale=scale) == found("cat", near=["dog"])


def test_one_loud_direction_does_not_decide():
    plain = vectors(["dog"])

    def loud(names):
        noise = torch.tensor([float(len(name)) for name in names])
        return plain(names) + 20 * noise[:, None] * direction("noise")

    near = neighbours(parse_concepts("cat"), loud, 1)["cat"]
    assert near[0].name == "dog"


@pytest.mark.parametrize(
    ("text", "never"),
    [
        ("cat", ["cat", "black cat"]),
        ("Cats -> dog", ["cat", "dog"]),
        ("mog | cat", ["cat"]),
        ("kitten", ["cat"]),
        ("Gogh", ["Vincent van Gogh"]),
        ("the painter Vincent Van Gogh", ["Vincent van Gogh"]),
        ("automobile -> nearest", ["car"]),
        ("cat\ntiger", ["cat", "tiger"]),
    ],
)
def test_what_is_erased_is_never_suggested_nor_what_is_drawn_instead(text, never):
    everything = found(text, count=2000)
    assert len(everything) == len(text.splitlines())
    for names in everything.values():
        assert len(names) > 900
        assert not set(names) & set(never)


def test_what_is_suggested_can_be_protected():
    concepts = parse_concepts("cat | kitten -> animal\nVan Gogh -> painting\ngun")
    near = neighbours(concepts, vectors(), 20)
    names = dict.fromkeys(n.name for each in near.values() for n in each)
    assert ConceptSet(concepts, protected_concepts=tuple(names))


def test_the_list_names_everything_once_and_can_be_read_as_concepts():
    assert len(things()) > 900
    assert ConceptSet(things()).concepts == things()
    assert all(not thing.anchor for thing in things())
    assert "dog" in NAMES


class Encoder:
    """Words of one row each between marks; counts what it is asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, prompts):
        self.asked += prompts
        return [self._prompt(p) for p in prompts]

    def _prompt(self, text):
        rows = [direction("start"), *map(direction, text.split()), direction("end")]
        padding = [direction("padding")] * 3
        return EncodedPrompt(text, 5.0 * torch.stack(rows + padding), len(rows))


def test_a_vector_is_the_end_of_a_phrase_without_padding():
    encoder = Encoder()
    (vector,) = name_vectors(["polar bear"], encoder, {})
    assert encoder.asked == ["a photo of a polar bear"]
    last = torch.stack([direction("bear"), direction("end")])
    torch.testing.assert_close(vector, last.mean(0))


def test_every_name_is_encoded_once_and_cancelling_keeps_what_is_there():
    names, encoder, kept = [f"name {i}" for i in range(40)], Encoder(), {}

    def cancel(at):
        assert (at.step, at.max_steps, at.unit) == (16, 40, "names")
        raise InterruptedError

    with pytest.raises(InterruptedError):
        name_vectors(names, encoder, kept, cancel)
    steps = []
    rows = name_vectors([*names, names[0]], encoder, kept, lambda at: steps.append(at.step))
    assert steps == [16, 24]
    assert encoder.asked == [f"a photo of a {name}" for name in names]
    assert torch.equal(rows[0], rows[-1])
    name_vectors(names, encoder, kept, cancel)
