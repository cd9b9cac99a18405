"""Weights as the model uses them, and the fingerprints of model and text encoder."""

import hashlib

import comfy.hooks
import comfy.lora
import comfy.model_management
import comfy.weight_adapter
import pytest
import torch
from comfy_extras.nodes_hooks import SetClipHooks
from sepme_pack.nodes import host

from tests.adapters import models
from tests.adapters.models import draw

PATH = "middle_block.1.transformer_blocks.0.attn2.to_v"
KEY = f"diffusion_model.{PATH}.weight"


def low_rank_patch():
    """A LoRA file's two factors, through the host's own reader."""
    generator = torch.Generator().manual_seed(3)
    up = torch.randn(64, 2, generator=generator)
    down = torch.randn(2, 768, generator=generator)
    file = {"x.lora_up.weight": up, "x.lora_down.weight": down, "x.alpha": torch.tensor(2.0)}
    return comfy.lora.load_lora(file, {"x": KEY}), up @ down


def test_text_only_weights_are_a_copy_in_float32():
    model = models.model("sd1", dtype=torch.float16)
    weights = host.text_only_weights(model)
    assert len(weights) == 8
    layer = model.model.diffusion_model.get_submodule(PATH)
    assert weights[PATH].dtype == torch.float32
    assert torch.equal(weights[PATH], layer.weight.float())
    weights[PATH].zero_()
    assert layer.weight.abs().sum() > 0


def test_text_only_weights_in_float32_are_a_copy_too(model):
    before = models.weights_digest(model.model)
    for weight in host.text_only_weights(model).values():
        weight.zero_()
    assert models.weights_digest(model.model) == before


@pytest.mark.parametrize("loaded", [False, True])
def test_text_only_weights_include_a_lora(loaded, model, clip):
    patches, delta = low_rank_patch()
    plain = host.text_only_weights(model)
    tuned = model.clone()
    assert tuned.add_patches(patches, 0.5)
    if loaded:
        draw(tuned, clip, "cat")  # the host writes the patch into the weight and keeps a backup
        assert KEY in tuned.backup
    weights = host.text_only_weights(tuned)
    torch.testing.assert_close(weights[PATH], plain[PATH] + 0.5 * delta)
    assert all(torch.equal(weights[k], plain[k]) for k in plain if k != PATH)
    assert torch.equal(host.text_only_weights(model)[PATH], plain[PATH])


def scaled_fp8():
    """SD1 with fp8 weights that a factor per layer brings to size, as the host loads such files."""
    model = models.model("sd1", manual_cast=torch.float32, scaled_fp8=torch.float8_e4m3fn)
    exact = {}
    for path, layer in host.matching_layers(model, r".*\.attn2\.to_[kv]$").items():
        exact[path] = layer.weight.float() * 0.25
        with torch.no_grad():
            layer.scale_weight.fill_(0.25)
    assert all(layer.dtype == torch.float32 for layer in exact.values())
    return model, exact


def test_fp8_weights_come_at_their_true_size():
    model, exact = scaled_fp8()
    assert model.model.diffusion_model.get_submodule(PATH).weight.dtype == torch.float8_e4m3fn
    assert host.family_of(model).name == "sd1"
    weights = host.text_only_weights(model)
    assert all(torch.equal(weights[k], exact[k]) for k in exact)


@pytest.mark.parametrize("loaded", [False, True])
def test_fp8_weights_come_at_their_true_size_under_a_lora_too(loaded, clip):
    model, exact = scaled_fp8()
    base = host.base_fingerprint(model)
    patches, delta = low_rank_patch()
    tuned = model.clone()
    tuned.add_patches(patches, 0.5)
    if loaded:
        draw(tuned, clip, "cat")
        assert KEY in tuned.backup
    torch.testing.assert_close(host.text_only_weights(tuned)[PATH], exact[PATH] + 0.5 * delta)
    assert host.base_fingerprint(tuned) == base


def test_exact_mode_holds_on_fp8_weights(clip):
    model, _ = scaled_fp8()
    stack = models.stack(model, clip, "cat")
    erasing = host.apply_exact(model, stack, host.Window())
    for prompt in ("", "rose", "a red house"):
        assert torch.equal(draw(erasing, clip, prompt), draw(model, clip, prompt))
    assert not torch.equal(draw(erasing, clip, "cat"), draw(model, clip, "cat"))


@torch.inference_mode()  # as the host loads every model; these layers insist on it
def quantised_by_layer():
    """Two layers in fp8, as files with quantisation metadata give them: not torch's own Linear."""
    plain = models.model("sd1")
    state = {k: v.clone() for k, v in plain.model.diffusion_model.state_dict().items()}
    exact = {}
    for path in (PATH, PATH.replace("to_v", "to_k")):
        weight = state[f"{path}.weight"].to(torch.float8_e4m3fn)
        state |= {f"{path}.weight": weight, f"{path}.weight_scale": torch.tensor(0.25)}
        exact[path] = weight.float() * 0.25
    made = models.model("sd1", quantised=dict.fromkeys(exact, {"format": "float8_e4m3fn"}))
    made.model.load_model_weights(state)
    return made, exact


def test_layers_quantised_one_by_one_are_known_and_read_at_their_true_size(clip):
    model, exact = quantised_by_layer()
    plain = models.model("sd1")
    assert host.family_of(model).name == "sd1"
    weights = host.text_only_weights(model)
    expected = host.text_only_weights(plain) | exact
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[k], expected[k]) for k in expected)
    erasing = host.apply_exact(model, models.stack(model, clip, "cat"), host.Window())
    assert torch.equal(draw(erasing, clip, "rose"), draw(model, clip, "rose"))
    assert not torch.equal(draw(erasing, clip, "cat"), draw(model, clip, "cat"))


# --- fingerprints ---------------------------------------------------------------------------------


def test_the_models_fingerprint_does_not_depend_on_loras(model, clip):
    base = host.base_fingerprint(model)
    tuned = model.clone()
    tuned.add_patches(low_rank_patch()[0])
    assert host.base_fingerprint(tuned) == base
    draw(tuned, clip, "cat")
    assert torch.equal(model.backup[KEY].weight, models.model("sd1").model.state_dict()[KEY])
    assert host.base_fingerprint(tuned) == base
    assert host.base_fingerprint(models.model("sd1", seed=1)) != base


def stored(dtype):
    return models.model("sd1", dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_the_models_fingerprint_does_not_depend_on_how_numbers_are_stored(dtype):
    found = host.base_fingerprint(stored(torch.float32))
    model = models.model("sd1", dtype=dtype, manual_cast=torch.float32)
    assert host.base_fingerprint(model) == found
    assert host.base_fingerprint(models.model("sd1", dtype=dtype, seed=1)) != found


def test_a_little_training_makes_another_checkpoint():
    model, tuned = models.model("sd1"), models.model("sd1")
    with torch.no_grad():
        for layer in host.matching_layers(tuned, r".*attn2\.to_v$").values():
            layer.weight += 0.01 * layer.weight.std() * torch.randn(layer.weight.shape)
    assert host.base_fingerprint(tuned) != host.base_fingerprint(model)


def test_files_of_earlier_versions_are_recognised(model):
    """Their fingerprints held numbers in half precision, and no word of LoRAs."""
    h = hashlib.sha256()
    for path, weight in sorted(host.text_only_weights(model).items()):
        flat = weight.flatten()
        h.update(f"{path}{tuple(weight.shape)}".encode())
        h.update(flat[:: max(1, len(flat) // 4096)].half().view(torch.uint8).numpy().tobytes())
    old = h.hexdigest()[:32]
    tuned = models.with_lora(model)
    for there in (model, stored(torch.float16), tuned):
        assert host.differing(there, [old, ""]) == {old: "", "": ""}
    assert host.differing(models.model("sd1", seed=1), [old]) == {old: "checkpoint"}


def test_loras_are_told_beside_the_checkpoint(model):
    base, tuned = host.base_fingerprint(model), models.with_lora(model)
    found = [host.model_fingerprint(tuned)]
    found += [host.model_fingerprint(models.with_lora(model, strength=0.5))]
    found += [host.model_fingerprint(models.with_lora(model, seed=2))]
    assert len({base, *found}) == 4
    assert all(each.startswith(f"{base}+") for each in found)
    assert (
        host.model_fingerprint(models.with_lora(model, layer=PATH.replace("2.to_v", "1.to_v")))
        == host.model_fingerprint(model)
        == base
    ), "other layers are not solved on"


def test_the_models_fingerprint_does_not_depend_on_increments(model, clip):
    base = host.base_fingerprint(model)
    stack = models.stack(model, clip, "cat")
    for erasing in (
        host.apply_exact(model, stack, host.Window()),
        host.apply_merged(model, stack, host.Window()),
    ):
        draw(erasing, clip, "cat")
        assert host.base_fingerprint(erasing) == base


def test_the_text_encoders_fingerprint_is_the_same_however_it_is_stored(narrow_clip):
    found = host.text_encoder_fingerprint(narrow_clip)
    assert host.text_encoder_fingerprint(narrow_clip.clone()) == found
    half = models.clip("narrow", dtype=torch.float16)
    assert host.text_encoder_fingerprint(half) == found


def test_the_text_encoders_fingerprint_changes_with_clip_skip(narrow_clip):
    found = host.text_encoder_fingerprint(narrow_clip)
    skipping = narrow_clip.clone()
    skipping.clip_layer(-2)
    assert host.text_encoder_fingerprint(skipping) != found
    assert host.text_encoder_fingerprint(narrow_clip) == found


def test_the_text_encoders_fingerprint_changes_with_its_weights(narrow_clip):
    found = host.text_encoder_fingerprint(narrow_clip)
    assert host.text_encoder_fingerprint(models.clip("narrow", seed=1)) != found


def with_lora(clip, seed=1, strength=1.0):
    """The same text encoder with a LoRA, read anew as after a restart."""
    generator = torch.Generator().manual_seed(seed)
    factors = torch.randn(64, 2, generator=generator), torch.randn(2, 64, generator=generator)
    file = {"x.lora_up.weight": factors[0], "x.lora_down.weight": factors[1]}
    key = "clip_l.transformer.text_model.encoder.layers.0.mlp.fc1.weight"
    tuned = clip.clone()
    assert tuned.add_patches(comfy.lora.load_lora(file, {"x": key}), strength)
    return tuned


def test_the_text_encoders_fingerprint_changes_with_a_lora(narrow_clip):
    tuned = [with_lora(narrow_clip), with_lora(narrow_clip, 2), with_lora(narrow_clip, 1, 0.5)]
    found = [host.text_encoder_fingerprint(c) for c in (narrow_clip, *tuned)]
    assert len(set(found)) == 4
    tuned[0].encode_from_tokens(tuned[0].tokenize("cat"))  # the host writes it into the weight
    assert [host.text_encoder_fingerprint(c) for c in (narrow_clip, *tuned)] == found
    narrow_clip.encode_from_tokens(narrow_clip.tokenize("cat"))  # and takes it out again


def test_the_same_lora_gives_the_same_fingerprint_after_a_restart(narrow_clip):
    first, second = (host.text_encoder_fingerprint(with_lora(narrow_clip)) for _ in range(2))
    assert first == second


def hooked(clip, strength=1.0, seed=1):
    """The same text encoder with a hook LoRA, as the host's node for it gives one."""
    generator = torch.Generator().manual_seed(seed)
    factors = torch.randn(64, 2, generator=generator), torch.randn(2, 64, generator=generator)
    key = "lora_te_text_model_encoder_layers_0_mlp_fc1"
    file = {f"{key}.lora_up.weight": factors[0], f"{key}.lora_down.weight": factors[1]}
    hooks = comfy.hooks.create_hook_lora(file, 0.0, strength)
    return SetClipHooks().apply_hooks(clip, False, False, hooks)[0]


def test_the_text_encoders_fingerprint_changes_with_hooks_and_not_by_encoding(narrow_clip):
    tuned = [hooked(narrow_clip), hooked(narrow_clip, 0.5), hooked(narrow_clip, 1.0, 2)]
    for identity in (host.text_encoder_fingerprint, host.encoder_digest):
        found = [identity(c) for c in (narrow_clip, *tuned)]
        assert len(set(found)) == 4
        assert identity(hooked(narrow_clip)) == found[1], "the same after a restart"
        plain = narrow_clip.encode_from_tokens(narrow_clip.tokenize("cat"))
        for each in tuned:
            answer = each.encode_from_tokens(each.tokenize("cat"))  # the host writes it in
            assert not torch.equal(answer, plain)
            assert [identity(c) for c in (narrow_clip, *tuned)] == found
        narrow_clip.encode_from_tokens(narrow_clip.tokenize("cat"))  # and takes it out again
