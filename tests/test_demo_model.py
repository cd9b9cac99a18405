"""The demo model's parts: small on disk, the same bits everywhere, and really trained."""

import pytest
import torch

from demo import assemble, autoencoder, pictures, quantize, text_encoder
from demo.classifier import Classifier, classify
from demo.vocabulary import NONE, OBJECTS, STYLES, training_prompts

TEXT_ENCODER = "8923be1987f94ca7fdc44a350e44f3e4565fff5f07173c5b202eeba2c1f8e96a"


@pytest.fixture(scope="module")
def checkpoint() -> dict[str, torch.Tensor]:
    return assemble.checkpoint()


@pytest.fixture(scope="module")
def drawn() -> torch.Tensor:
    """The training pictures, through the autoencoder and back."""
    model = autoencoder.load(assemble.vae())
    images, _, _ = pictures.training_pictures()
    with torch.inference_mode():
        return model.decode(model.encode(images)).clamp(0, 1)


@pytest.mark.parametrize("shape", [(8, 64), (6, 32, 3, 3), (5, 10), (3, 2)])
@pytest.mark.parametrize("size", [1e-3, 1.0, 50.0])
def test_four_bits_miss_a_weight_by_half_a_scale_at_most(shape, size):
    weight = size * torch.randn(shape, generator=torch.Generator().manual_seed(1))
    codes, scale = quantize.pack(weight)
    assert codes.numel() * 2 == weight.numel()
    back = quantize.unpack(codes, scale, shape).float()
    # The scale was rounded to float16, and so was the result: 2^-11 of up to 7 scales, twice.
    bound = scale.float()[:, None] * (0.5 + 2 * 7 * 2**-11)
    assert ((back - weight).abs().reshape(len(scale), -1) <= bound).all()
    assert not torch.equal(back, weight), "four bits cannot hold these"


def test_four_bits_hold_what_has_only_fifteen_values():
    weight = torch.arange(-7.0, 8.0).repeat(2)[:28].reshape(1, 28) * 0.5
    assert torch.equal(quantize.unpack(*quantize.pack(weight), (1, 28)), weight.half())


def test_zero_weights_stay_zero():
    assert not quantize.unpack(*quantize.pack(torch.zeros(4, 32)), (4, 32)).any()


def test_odd_rows_are_refused_by_name_of_their_shape():
    with pytest.raises(ValueError, match=r"\(4, 3\).*rows of 3 values"):
        quantize.pack(torch.ones(4, 3))


def test_packing_all_keeps_every_name_and_shape():
    weights = {"matrix": torch.randn(4, 32), "bias": torch.randn(4), "odd": torch.randn(2, 3)}
    back = quantize.unpack_all(*quantize.pack_all(weights))
    assert {n: t.shape for n, t in back.items()} == {n: t.shape for n, t in weights.items()}
    assert torch.equal(back["bias"], weights["bias"].half())
    assert torch.equal(back["odd"], weights["odd"].half())


def test_text_encoder_is_the_same_bits_everywhere(checkpoint):
    made = {n: t for n, t in checkpoint.items() if n.startswith(text_encoder.PREFIX)}
    assert assemble.fingerprint(made) == TEXT_ENCODER


def test_fingerprint_sees_one_bit_and_one_name():
    tensors = {"a": torch.zeros(3), "b": torch.ones(2)}
    known = assemble.fingerprint(tensors)
    assert assemble.fingerprint({"b": torch.ones(2), "a": torch.zeros(3)}) == known
    assert assemble.fingerprint({**tensors, "a": torch.tensor([0.0, -0.0, 0.0])}) != known
    assert assemble.fingerprint({"a": torch.zeros(3), "c": torch.ones(2)}) != known


def test_checkpoint_is_the_tested_model(checkpoint):
    assert assemble.fingerprint(checkpoint) == assemble.SHA256


def test_checkpoint_has_the_three_parts_and_nothing_else(checkpoint):
    prefixes = (text_encoder.PREFIX, assemble.UNET_PREFIX, assemble.VAE_PREFIX)
    counts = [sum(name.startswith(prefix) for name in checkpoint) for prefix in prefixes]
    assert counts == [196, 70, 136]
    assert sum(counts) == len(checkpoint)


def test_checkpoint_is_finite(checkpoint):
    assert all(tensor.isfinite().all() for tensor in checkpoint.values())


def test_assembling_again_leaves_the_file_alone_and_mends_a_broken_one(tmp_path):
    path = assemble.assemble(tmp_path / "models" / "demo.safetensors")
    good, written = path.stat().st_size, path.stat().st_mtime_ns
    assert assemble.assemble(path).stat().st_mtime_ns == written
    with path.open("r+b") as file:
        file.truncate(good - 1)
    assert assemble.assemble(path).stat().st_size == good
    assert list(path.parent.iterdir()) == [path], "nothing half written is left"


def test_damaged_parts_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(assemble, "checkpoint", lambda: {"a": torch.zeros(1)})
    with pytest.raises(RuntimeError, match="damaged"):
        assemble.assemble(tmp_path / "demo.safetensors")
    assert not list(tmp_path.iterdir())


def test_classifier_knows_all_training_pictures():
    images, objects, styles = pictures.training_pictures()
    assert len(images) == len(OBJECTS) * len(STYLES)
    seen_objects, seen_styles = classify(images)
    assert torch.equal(seen_objects, objects)
    assert torch.equal(seen_styles, styles)


def test_untrained_classifier_does_not_know_them():
    torch.manual_seed(0)
    images, objects, _ = pictures.training_pictures()
    seen, _ = classify(images, Classifier().eval())
    assert (seen == objects).float().mean() < 0.5


def test_autoencoder_keeps_object_and_style(drawn):
    _, objects, styles = pictures.training_pictures()
    seen_objects, seen_styles = classify(drawn)
    assert (seen_objects == objects).float().mean() >= 0.95
    assert (seen_styles == styles).float().mean() >= 0.9


def test_autoencoder_draws_the_picture_it_was_given(drawn):
    images, _, _ = pictures.training_pictures()
    distance = torch.cdist(drawn.flatten(1), images.flatten(1))
    assert torch.equal(distance.argmin(1), torch.arange(len(images)))


def test_classifier_refuses_pictures_of_another_size():
    with pytest.raises(ValueError, match=r"\[1, 3, 32, 32\]"):
        classify(torch.zeros(1, 3, 32, 32))


def test_training_prompts_name_what_they_say():
    for prompt in training_prompts():
        named = [i for i, name in enumerate(OBJECTS) if name in prompt.text.split()]
        if prompt.object != NONE and "," not in prompt.text:
            assert named == [prompt.object]
        if prompt.style != NONE:
            assert STYLES[prompt.style] in prompt.text
