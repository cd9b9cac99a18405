"""Prompts through the host's text encoders, as the core wants them."""

import weakref

import comfy.sd
import comfy.text_encoders.sd2_clip
import pytest
import torch
from comfy.supported_models_base import ClipTarget
from sepme_pack.nodes import host
from sepme_pack.sepme_core.errors import IncompatibleError

LONG = " ".join(["a photo of a cat beside a red rose"] * 12)  # 108 words: two sections
PROMPTS = ["", "cat", "a photo of a cat", LONG, "(cat:1.5) in the garden", "a red house"]


def encoder(clip, width=768, dtype=torch.float32):
    return host.encode_prompts(clip, dtype, width)


def test_prompts_encoded_together_equal_prompts_encoded_one_by_one(clip):
    together = encoder(clip)(PROMPTS)
    for prompt, found in zip(PROMPTS, together, strict=True):
        (alone,) = encoder(clip)([prompt])
        assert found.text == prompt
        assert found.n_words == alone.n_words
        torch.testing.assert_close(found.embeddings, alone.embeddings)
        with torch.inference_mode():
            hosts_own = clip.encode_from_tokens(clip.tokenize(prompt))[0]
        torch.testing.assert_close(found.embeddings, hosts_own)
    assert len({tuple(p.embeddings[-1].tolist()) for p in together}) == len(PROMPTS)


def test_two_encoders_side_by_side_are_encoded_together_too(clip_xl):
    prompts = ["", "cat", LONG]
    for prompt, found in zip(prompts, encoder(clip_xl, 2048)(prompts), strict=True):
        with torch.inference_mode():
            hosts_own = clip_xl.encode_from_tokens(clip_xl.tokenize(prompt))[0]
        torch.testing.assert_close(found.embeddings, hosts_own)


def test_each_prompt_is_encoded_once(clip, monkeypatch):
    asked = []
    plain = clip.encode_from_tokens
    monkeypatch.setattr(clip, "encode_from_tokens", lambda t: asked.append(t) or plain(t))
    encode = encoder(clip)
    assert [p.text for p in encode(["cat", "rose", "cat"])] == ["cat", "rose", "cat"]
    encode(["rose", "cat"])
    assert len(asked) == 1
    encode(["dog"])
    assert len(asked) == 2


def test_a_long_list_can_be_encoded_without_being_kept(narrow_clip):
    captions = [f"boat number {i}" for i in range(20)] * 2
    encode = encoder(narrow_clip, 64)
    streamed, kept = (weakref.ref(ask(captions)[0]) for ask in (encode.once, encode))
    assert streamed() is None
    assert kept() is not None
    for one, other in zip(encode(captions), encode.once(captions), strict=True):
        assert torch.equal(one.embeddings, other.embeddings)


def sd2_clip():
    tiny = {"num_hidden_layers": 3, "intermediate_size": 32, "num_attention_heads": 4}
    target = ClipTarget(
        comfy.text_encoders.sd2_clip.SD2Tokenizer, comfy.text_encoders.sd2_clip.SD2ClipModel
    )
    options = {"clip_h_model_config": {**tiny, "hidden_size": 64}, "dtype": torch.float32}
    made = comfy.sd.CLIP(target, model_options=options)
    with torch.no_grad():
        for parameter in made.cond_stage_model.parameters():
            parameter.zero_()
    return made


@pytest.fixture(scope="session")
def padded_with_zero():
    """SD2's tokenizer pads with another token than the end mark."""
    return sd2_clip()


@pytest.mark.parametrize("name", ["narrow_clip", "clip_xl", "padded_with_zero"])
@pytest.mark.parametrize(
    ("prompt", "n_words"),
    [
        ("", 2),  # start and end mark
        ("cat", 3),
        ("a photo of a cat", 7),
        (" ".join(["cat"] * 74), 76),
        (" ".join(["cat"] * 75), 77),  # full: the end mark is the last token
        (" ".join(["cat"] * 80), 77 + 7),  # start, 75 words, end; start, 5 words, end
    ],
)
def test_words_end_with_the_end_mark(request, name, prompt, n_words):
    clip = request.getfixturevalue(name)
    width = {"narrow_clip": 64, "clip_xl": 2048, "padded_with_zero": 64}[name]
    (found,) = encoder(clip, width)([prompt])
    assert len(found.embeddings) == (154 if n_words > 77 else 77)
    assert found.n_words == n_words


@pytest.mark.parametrize("prompts", [["cat"], ["", "cat", LONG]])
def test_a_clip_of_another_width_is_refused_with_both_widths(narrow_clip, prompts):
    with pytest.raises(IncompatibleError, match=r"64 wide.*expects 768.*Connect the CLIP"):
        encoder(narrow_clip)(prompts)
    assert len(encoder(narrow_clip, 64)(prompts)) == len(prompts)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_embeddings_are_rounded_as_the_model_will_receive_them(narrow_clip, dtype):
    (exact,) = encoder(narrow_clip, 64)(["cat"])
    (rounded,) = encoder(narrow_clip, 64, dtype)(["cat"])
    assert rounded.embeddings.dtype == torch.float32
    assert torch.equal(rounded.embeddings, exact.embeddings.to(dtype).float())
    assert not torch.equal(rounded.embeddings, exact.embeddings)


def test_embeddings_can_take_part_in_a_gradient(narrow_clip):
    with torch.inference_mode():
        (prompt,) = encoder(narrow_clip, 64)(["cat"])
    with torch.inference_mode(False), torch.enable_grad():
        (prompt,) = encoder(narrow_clip, 64)(["cat"])
        assert not prompt.embeddings.is_inference()
        assert not prompt.embeddings.requires_grad


def test_encoding_can_be_interrupted(narrow_clip, monkeypatch):
    class Stop(BaseException):
        pass

    def interrupt():
        raise Stop

    asked = host.prompts.comfy.model_management
    monkeypatch.setattr(asked, "throw_exception_if_processing_interrupted", interrupt)
    with pytest.raises(Stop):
        encoder(narrow_clip, 64)(["cat"])
