"""Exact and merged application on the host's models, through whole runs of its sampler."""

import logging
from dataclasses import replace

import comfy.lora
import pytest
import torch
from comfy.patcher_extension import WrappersMP
from comfy.weight_adapter import LoRAAdapter
from sepme_pack.nodes import host
from sepme_pack.nodes.apply import Apply, Remove
from sepme_pack.nodes.remarks import on_model
from sepme_pack.sepme_core.dead_zone import DeadZone
from sepme_pack.sepme_core.errors import ConceptError, IncompatibleError
from sepme_pack.sepme_core.increment import Stack

from tests.adapters import models
from tests.adapters.models import PROTECTED, draw

KEY = "diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_v.weight"


def exact(model, stack, **window):
    return host.apply_exact(model, stack, host.Window(**window))


def merged(model, stack):
    return host.apply_merged(model, stack, host.Window())


DTYPES = {
    "fp32": {},
    "fp16": {"dtype": torch.float16},
    "bf16": {"dtype": torch.bfloat16},
    "fp16 computing in fp32": {"dtype": torch.float16, "manual_cast": torch.float32},
    "fp32 computing in bf16": {"dtype": torch.float32, "manual_cast": torch.bfloat16},
}


@pytest.mark.parametrize("kind", DTYPES)
def test_exact_mode_changes_the_concept_and_no_bit_of_what_is_protected(kind, clip):
    model = models.model("sd1", **DTYPES[kind])
    erasing = exact(model, models.stack(model, clip, "cat"))
    before = models.weights_digest(model.model)
    for prompt in PROTECTED:
        assert torch.equal(draw(model, clip, prompt), draw(erasing, clip, prompt)), prompt
    for prompt in ("cat", "a photo of a cat"):
        plain, erased = draw(model, clip, prompt), draw(erasing, clip, prompt)
        assert (plain - erased).norm() > 0.01 * plain.norm(), prompt
        assert torch.equal(draw(model, clip, prompt), plain)  # the input model is as it was
    assert models.weights_digest(model.model) == before


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_exact_mode_holds_on_sdxl_with_its_pooled_prompt(dtype, clip_xl):
    model = models.model("sdxl", dtype=dtype)
    erasing = exact(model, models.stack(model, clip_xl, "cat"))
    for prompt in PROTECTED:
        assert torch.equal(draw(model, clip_xl, prompt), draw(erasing, clip_xl, prompt)), prompt
    plain, erased = draw(model, clip_xl, "cat"), draw(erasing, clip_xl, "cat")
    assert (plain - erased).norm() > 0.01 * plain.norm()


def test_a_compute_dtype_set_by_a_node_is_the_one_prompts_are_rounded_to(clip):
    model = models.model("sd1")
    half = model.clone()
    half.set_model_compute_dtype(torch.float16)  # the node ModelComputeDtype
    assert host.compute_dtype(model) == torch.float32
    assert host.compute_dtype(half) == torch.float16
    draw(half, clip, "cat")  # loads it
    assert host.compute_dtype(half) == torch.float16
    erasing = exact(half, models.stack(half, clip, "cat"))
    assert torch.equal(draw(half, clip, "rose"), draw(erasing, clip, "rose"))
    assert not torch.equal(draw(half, clip, "cat"), draw(erasing, clip, "cat"))


def test_merged_mode_leaves_the_weights_of_the_input_model_as_they_were(model, clip):
    before = models.weights_digest(model.model)
    plain = draw(model, clip, "cat")
    merging = merged(model, models.stack(model, clip, "cat"))
    erased = draw(merging, clip, "cat")
    assert (plain - erased).norm() > 0.01 * plain.norm()
    assert models.weights_digest(model.model) != before  # while the merged clone is loaded
    assert torch.equal(draw(model, clip, "cat"), plain)
    assert models.weights_digest(model.model) == before


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_merged_mode_rounds_the_weight_and_never_the_basis(dtype, clip):
    """Also where the host streams weights and asks for patches in the model's half precision."""
    model = models.model("sd1", dtype=dtype)
    stack = models.stack(model, clip, "cat")
    merging = merged(model, stack)
    weight = model.model.state_dict()[KEY]
    change = stack.entries[0].increment.delta_weight(KEY.split(".", 1)[1].removesuffix(".weight"))
    expected = (weight.float() + change).to(dtype)
    ((_, ours, *_),) = merging.patches[KEY]
    stock = LoRAAdapter(set(), ours.weights)
    streamed, rounded = (
        comfy.lora.calculate_weight(
            [(1.0, patch, 1.0, None, None)], weight.clone(), KEY, intermediate_dtype=dtype
        )
        for patch in (ours, stock)
    )
    assert torch.equal(streamed, expected)
    assert not torch.equal(rounded, expected)
    draw(merging, clip, "cat")  # loads it whole
    assert torch.equal(model.model.state_dict()[KEY], expected)
    assert not torch.equal(model.backup[KEY].weight, expected)


def test_without_a_dead_zone_both_modes_are_the_same_linear_map(model, clip):
    (entry,) = models.stack(model, clip, "cat").entries
    everywhere = Stack.of([replace(entry.increment, dead_zone=DeadZone(0.0, 0.0, 1.0))])
    in_weights = draw(merged(model, everywhere), clip, "cat")
    beside_weights = draw(exact(model, everywhere), clip, "cat")
    torch.testing.assert_close(in_weights, beside_weights, rtol=1e-3, atol=1e-3)
    assert (in_weights - draw(model, clip, "cat")).norm() > 0.01 * in_weights.norm()


@pytest.mark.parametrize("apply", [exact, merged])
def test_removing_gives_the_models_own_bits_back(apply, model, clip):
    plain = {p: draw(model, clip, p) for p in ("cat", "rose")}
    erasing = apply(model, models.stack(model, clip))
    restored = host.remove(erasing, ["Cat"])
    assert [s.names for s in host.applied(restored)] == [("rose",)]
    assert not torch.equal(draw(restored, clip, "rose"), plain["rose"])
    everything = host.remove(restored, [])
    assert not any(host.applied(everything))
    for prompt, latents in plain.items():
        assert not torch.equal(draw(erasing, clip, prompt), latents)
        assert torch.equal(draw(everything, clip, prompt), latents)
    if apply is exact:  # merged, the other increment's tiny leak is left
        assert torch.equal(draw(restored, clip, "cat"), plain["cat"])


def test_both_modes_can_be_combined_and_removed_together(model, clip):
    stack = models.stack(model, clip)
    mixed = merged(exact(model, stack.without(["cat"])), stack.without(["rose"]))
    assert [s.names for s in host.applied(mixed)] == [("rose",), ("cat",)]
    restored = host.remove(mixed, ["cat", "rose"])
    assert torch.equal(draw(restored, clip, "cat"), draw(model, clip, "cat"))
    assert not torch.equal(draw(mixed, clip, "cat"), draw(model, clip, "cat"))


@pytest.mark.parametrize("apply", [exact, merged])
def test_removing_an_unknown_name_is_refused_and_changes_nothing(apply, model, clip):
    erasing = apply(model, models.stack(model, clip, "cat"))
    before = draw(erasing, clip, "cat")
    with pytest.raises(ConceptError, match="'dog' is not in the stack. In it: cat"):
        host.remove(erasing, ["cat", "dog"])
    assert [s.names for s in host.applied(erasing)] == [("cat",)]
    assert torch.equal(draw(erasing, clip, "cat"), before)


def test_there_must_be_something_to_remove(model):
    with pytest.raises(ConceptError, match="nothing to remove"):
        host.remove(model, [])


@pytest.mark.parametrize("apply", [exact, merged])
def test_nothing_leaks_into_the_input_model_or_into_a_sibling(apply, model, clip):
    stack = models.stack(model, clip)
    first = apply(model, stack.without(["rose"]))
    second = apply(model, stack.without(["cat"]))
    third = apply(first, stack.without(["cat"]))
    found = [[n for s in host.applied(m) for n in s.names] for m in (model, first, second, third)]
    assert found == [[], ["cat"], ["rose"], ["cat", "rose"]]
    assert not model.patches
    assert not model.get_wrappers(WrappersMP.APPLY_MODEL, host.KEY)
    drawn = [draw(m, clip, "rose") for m in (second, model, first)]
    assert not torch.equal(drawn[0], drawn[1])
    if apply is exact:
        assert torch.equal(drawn[1], drawn[2])


def test_no_hook_outlives_a_model_call_even_one_that_fails(model, clip, monkeypatch):
    erasing = exact(model, models.stack(model, clip, "cat"))
    layers = host.matching_layers(model, host.family_of(model).text_only)
    counted = []

    def fail(*_):
        counted.append(sum(len(layer._forward_hooks) for layer in layers.values()))
        raise RuntimeError("no memory left")

    handle = model.model.diffusion_model.out.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="no memory left"):
        draw(erasing, clip, "cat")
    handle.remove()
    assert counted == [len(layers)]
    assert not any(layer._forward_hooks for layer in layers.values())


def lora(seed):
    delta = torch.randn(64, 768, generator=torch.Generator().manual_seed(seed)) * 0.05
    return {KEY: ("diff", (delta,))}


def test_loras_keep_their_order_and_place(model, clip):
    first, second = lora(1), lora(2)
    tuned = model.clone()
    tuned.add_patches(first, 0.5)
    stack = models.stack(tuned, clip, "cat")
    both = merged(tuned, stack)
    both.add_patches(second, 0.25)
    assert [p[1] for p in both.patches[KEY]][::2] == [first[KEY], second[KEY]]
    again = merged(both, models.stack(tuned, clip, "rose"))
    restored = host.remove(again, [])
    assert restored.patches.keys() == {KEY}
    assert [(p[0], p[1]) for p in restored.patches[KEY]] == [(0.5, first[KEY]), (0.25, second[KEY])]
    plain = tuned.clone()
    plain.add_patches(second, 0.25)
    assert torch.equal(draw(restored, clip, "cat"), draw(plain, clip, "cat"))
    assert not torch.equal(draw(again, clip, "cat"), draw(plain, clip, "cat"))


def test_exact_mode_holds_on_top_of_a_lora(model, clip):
    tuned = model.clone()
    tuned.add_patches(lora(1))
    erasing = exact(tuned, models.stack(tuned, clip, "cat"))
    assert torch.equal(draw(tuned, clip, "rose"), draw(erasing, clip, "rose"))
    assert not torch.equal(draw(tuned, clip, "cat"), draw(erasing, clip, "cat"))
    assert not torch.equal(draw(tuned, clip, "cat"), draw(model, clip, "cat"))


def test_a_patch_that_the_host_does_not_take_is_an_error(model, clip, monkeypatch):
    stack = models.stack(model, clip, "cat")
    patcher = type(model)
    plain = patcher.add_patches
    monkeypatch.setattr(
        patcher, "add_patches", lambda self, p: [k for k in plain(self, p) if k != KEY]
    )
    with pytest.raises(IncompatibleError, match=rf"took no patch for {KEY}\. Use exact mode"):
        merged(model, stack)
    assert not model.patches


@pytest.mark.parametrize("apply", [exact, merged])
def test_an_increment_of_another_family_is_refused_whole(apply, model, clip):
    stack = models.stack(model, clip, "cat")
    other = models.model("sd2")
    with pytest.raises(IncompatibleError, match=r"'cat'.*\[64, 768\].*text width 1024"):
        apply(other, stack)
    assert not other.patches
    assert not host.applied(other)


def test_increments_of_another_text_encoder_are_refused_together(model, clip):
    own = models.stack(model, clip, "cat")
    other = models.stack(model, models.clip("sd1", seed=5), "rose")
    assert len(own + other) == 2
    with pytest.raises(IncompatibleError, match="another text encoder"):
        exact(model, own + other)
    exact(model, own)


def test_another_checkpoint_of_the_family_is_told_on_the_node_and_nothing_is_refused(model, clip):
    stack, other = models.stack(model, clip, "cat"), models.model("sd1", seed=1)
    assert on_model(model, exact(model, stack), stack) == []
    for apply in (exact, merged):
        (remark,) = on_model(other, apply(other, stack), stack)
        assert remark.headline == "'cat': of another checkpoint"
        assert "cat was computed on another checkpoint" in remark.text


def test_a_lora_makes_no_other_checkpoint_and_is_not_passed_over_either(model, clip, caplog):
    plain = models.stack(model, clip, "cat")
    tuned = models.with_lora(model)
    made = replace(plain.entries[0].increment.provenance, base=host.model_fingerprint(tuned))
    own = Stack.of([replace(plain.entries[0].increment, provenance=made)])
    caplog.set_level(logging.INFO)
    assert on_model(tuned, exact(tuned, own), own) == []
    assert "computed on" not in caplog.text
    for there, stack in ((tuned, plain), (model, own), (models.with_lora(model, seed=2), own)):
        caplog.clear()
        assert on_model(there, exact(there, stack), stack) == []
        assert "cat was computed on this checkpoint, but with other LoRAs" in caplog.text


def test_an_empty_or_silent_stack_changes_nothing(model, clip):
    plain = draw(model, clip, "cat")
    silent = models.stack(model, clip, "cat").scaled(0)
    for apply in (exact, merged):
        for stack in (Stack(), silent):
            applied = apply(model, stack)
            assert torch.equal(draw(applied, clip, "cat"), plain)
            assert not any(host.without_increments(applied).patches.values())


def test_the_model_to_compute_on_carries_no_increment(model, clip):
    stack = models.stack(model, clip, "cat")
    for erasing in (exact(model, stack), merged(model, stack), merged(exact(model, stack), stack)):
        plain = host.without_increments(erasing)
        assert not any(host.applied(plain))
        assert any(host.applied(erasing))
        assert torch.equal(draw(plain, clip, "cat"), draw(model, clip, "cat"))
    assert host.without_increments(model) is not model


# --- window ---------------------------------------------------------------------------------------


def test_only_the_positive_prompt_can_be_acted_on(model, clip):
    stack = models.stack(model, clip, "cat")
    both, positive = exact(model, stack), exact(model, stack, positive_only=True)
    named_in_negative = draw(model, clip, "rose", "cat")
    assert torch.equal(draw(positive, clip, "rose", "cat"), named_in_negative)
    assert not torch.equal(draw(both, clip, "rose", "cat"), named_in_negative)
    assert torch.equal(draw(positive, clip, "cat", "rose"), draw(both, clip, "cat", "rose"))
    assert not torch.equal(draw(positive, clip, "cat", "rose"), draw(model, clip, "cat", "rose"))


def test_a_window_splits_the_sampling_in_two(model, clip):
    stack = models.stack(model, clip, "cat")
    drawn = [
        draw(exact(model, stack, start_percent=a, end_percent=b), clip, "cat", n_steps=4)
        for a, b in ((0.0, 1.0), (0.0, 0.5), (0.5, 1.0), (1.0, 1.0), (0.0, 0.0))
    ]
    plain = draw(model, clip, "cat", n_steps=4)
    whole, early, late, *never = drawn
    assert all(torch.equal(latents, plain) for latents in never)
    for one, other in ((early, late), (early, whole), (late, whole), (early, plain), (late, plain)):
        assert not torch.equal(one, other)


def timed(stack, **windows):
    """Rows of the named concepts with a start and end of their own."""
    return Stack(
        tuple(
            replace(e, start=windows[e.name][0], end=windows[e.name][1]) if e.name in windows else e
            for e in stack.entries
        )
    )


def test_each_row_has_its_own_part_of_the_sampling(model, clip):
    both = models.stack(model, clip)
    rows = exact(model, timed(both, cat=(0.0, 0.5)))
    early = exact(model, models.stack(model, clip, "cat"), end_percent=0.5)
    drawn = draw(rows, clip, "cat", n_steps=4)
    assert torch.equal(drawn, draw(early, clip, "cat", n_steps=4))
    assert not torch.equal(drawn, draw(exact(model, both), clip, "cat", n_steps=4))
    assert torch.equal(
        draw(rows, clip, "rose", n_steps=4), draw(exact(model, both), clip, "rose", n_steps=4)
    )
    back = host.remove(rows, ["cat"])
    assert torch.equal(draw(back, clip, "cat", n_steps=4), draw(model, clip, "cat", n_steps=4))
    assert {name for s in host.applied(rows) for name in s.names} == {"cat", "rose"}


def test_a_row_acts_where_its_part_and_the_nodes_overlap(model, clip):
    cat = models.stack(model, clip, "cat")
    overlap = exact(model, timed(cat, cat=(0.25, 1.0)), end_percent=0.75)
    direct = exact(model, cat, start_percent=0.25, end_percent=0.75)
    drawn = draw(overlap, clip, "cat", n_steps=8)
    assert torch.equal(drawn, draw(direct, clip, "cat", n_steps=8))
    assert not torch.equal(drawn, draw(exact(model, cat), clip, "cat", n_steps=8))
    never = timed(cat, cat=(0.8, 1.0))
    with pytest.raises(ConceptError, match="from 0.8 to 1, but the stack .* from 0 to 0.5"):
        exact(model, never, end_percent=0.5)
    off = Stack(tuple(replace(e, enabled=False) for e in never.entries))
    assert host.applied(exact(model, off, end_percent=0.5))[0].names == ("cat",)


def test_a_window_follows_a_schedule_that_is_changed_later(model, clip):
    """Sigmas of a node behind ours, as ModelSamplingDiscrete and its like set them."""
    from comfy.model_sampling import EPS, ModelSamplingContinuousEDM

    class Sampling(ModelSamplingContinuousEDM, EPS):
        pass

    other = Sampling(model.model.model_config)
    other.set_parameters(0.001, 1.0, 1.0)
    stack = models.stack(model, clip, "cat")
    drawn = []
    for model_or_clone in (model, exact(model, stack, end_percent=0.5), exact(model, stack)):
        behind = model_or_clone.clone()
        behind.add_object_patch("model_sampling", other)
        drawn.append(draw(behind, clip, "cat", n_steps=6))
    plain, first_half, whole = drawn
    assert not torch.equal(first_half, plain)
    assert not torch.equal(first_half, whole)


def test_weights_cannot_follow_a_window(model, clip):
    stack = models.stack(model, clip, "cat")
    for window in (host.Window(0.1), host.Window(0, 0.9), host.Window(positive_only=True)):
        with pytest.raises(ConceptError, match="use exact mode"):
            host.apply_merged(model, stack, window)
    with pytest.raises(ConceptError, match="start and end of the rows"):
        merged(model, timed(stack, cat=(0.0, 0.5)))
    assert host.applied(merged(model, stack))


# --- nodes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["exact", "merged"])
def test_the_nodes_apply_and_remove(mode, model, clip):
    stack = models.stack(model, clip)
    (erasing,) = Apply.execute(model, stack, mode, 0.5, 0.0, 1.0, "both", "rose").result
    (found,) = host.applied(erasing)
    assert [(e.name, e.strength) for e in found.entries] == [("cat", 0.5)]
    (restored,) = Remove.execute(erasing, "").result
    assert not host.applied(restored)
    with pytest.raises(ConceptError, match="'dog'"):
        Apply.execute(model, stack, mode, 1.0, 0.0, 1.0, "both", "dog")
