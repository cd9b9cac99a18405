"""The words and pictures of the world with language, and what training is never told."""

from demo.language import vocabulary as v
from demo.language.pictures import training_pictures
from demo.language.train import captions

TRAINING = captions.training()


def test_there_are_120_objects_and_no_word_means_two_of_them():
    words = [word for word, _ in (*v.learnt_words(), *v.withheld_words())]
    assert len(v.OBJECTS) == 120
    assert len(words) == len(set(words))


def test_neighbours_are_neighbours_of_each_other():
    assert set(v.neighbours("cat")) == {"tiger", "lion", "leopard"}
    for name in v.OBJECTS:
        assert all(name in v.neighbours(other) for other in v.neighbours(name))


def test_words_stand_with_their_article():
    assert v.phrase("a photo of {an}", "apple") == "a photo of an apple"
    assert v.phrase("{an} and {an2}", "ewe", second="scissors") == "a ewe and scissors"


def test_every_object_is_drawn_in_four_ways_that_differ():
    pictures = training_pictures().flatten(0, 1)
    assert pictures.shape == (480, 3, 64, 64)
    assert len({picture.numpy().tobytes() for picture in pictures}) > 470
    assert (pictures[:, :, 0, 0] > 0.9).float().mean() > 0.9, "on white"


def test_training_never_says_a_withheld_word():
    said = "".join(f" {caption.text.replace(',', ' ')} " for caption in TRAINING)
    assert not [word for word, _ in v.withheld_words() if f" {word} " in said]
    assert " kitten " in said, "given synonyms are said"


def test_training_never_uses_a_held_out_phrasing():
    said = {caption.text for caption in TRAINING}
    templates = v.HELD_OUT_OBJECT_PHRASINGS + v.HELD_OUT_STYLE_OBJECT_PHRASINGS
    texts = {v.phrase(t, o, s) for t in templates for o in v.OBJECTS for s in v.STYLES}
    assert not said & texts
    assert {v.phrase(t, "cat") for t in v.OBJECT_PHRASINGS} <= said


def test_one_pair_in_ten_is_never_shown_in_that_order():
    pairs = {(c.object, c.second) for c in TRAINING if c.kind == "pair"}
    kept = {(i, j) for i in range(120) for j in range(120) if i != j and captions.held_out(i, j)}
    assert not pairs & kept
    assert 0.08 < len(kept) / (120 * 119) < 0.12


def test_what_is_measured_names_what_it_asks_for():
    for caption in captions.measured():
        if caption.kind == "withheld synonym":
            assert caption.text in v.THINGS[caption.object].withheld
        elif caption.object != v.NONE and caption.kind != "given synonym":
            assert v.OBJECTS[caption.object] in caption.text
