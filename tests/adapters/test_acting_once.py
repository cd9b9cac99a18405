"""What acts on a model, as it is: one increment once, and what nodes that mix models have left."""

from dataclasses import replace

import comfy.lora
import pytest
import torch
from comfy.patcher_extension import WrappersMP
from comfy_execution.utils import CurrentNodeContext
from comfy_extras.nodes_model_merging import ModelAdd, ModelMergeBlocks, ModelMergeSimple
from sepme_pack.nodes import host
from sepme_pack.sepme_core.increment import Stack
from server import PromptServer

from tests.adapters import models
from tests.adapters.models import draw

KEY = "diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_v.weight"


def exact(model, stack, **window):
    return host.apply_exact(model, stack, host.Window(**window))


def merged(model, stack):
    return host.apply_merged(model, stack, host.Window())


def weight(model, key=KEY):
    """As the host would load it, in float32."""
    plain = model.model.state_dict()[key].float().clone()
    return comfy.lora.calculate_weight(model.patches.get(key, []), plain, key)


def found(model):
    """Name and strength of everything that is listed."""
    return [(e.name, round(e.strength, 6)) for s in host.applied(model) for e in s.entries]


def mixed(first, second, ratio):
    return ModelMergeSimple().merge(first, second, ratio)[0]


def ways(model):
    return [(a.how, a.start, a.end) for a in host.at_work(model)]


# --- once -----------------------------------------------------------------------------------------


def test_the_same_increment_exact_and_merged_acts_once_as_set_last(model, clip):
    stack = models.stack(model, clip, "cat")
    for first, last in ((exact, merged), (merged, exact)):
        both = last(first(model, stack), stack)
        assert len(ways(both)) == 1
        assert ways(both) == ways(last(model, stack))
        assert torch.equal(draw(both, clip, "cat"), draw(last(model, stack), clip, "cat"))


def test_a_wider_window_takes_the_place_of_a_narrower_one(model, clip):
    stack = models.stack(model, clip, "cat")
    narrow = exact(model, stack, start_percent=0.2, end_percent=0.8, positive_only=True)
    assert ways(exact(narrow, stack)) == [("exact", 0.0, 1.0)]
    assert ways(narrow) == [("exact", 0.2, 0.8)], "the model that came in stays as it was"


@pytest.mark.parametrize("apply", [exact, merged])
def test_a_narrower_window_never_gives_the_concept_back(apply, model, clip):
    """Both act, which is told: leaving the rest of the sampling alone would draw it."""
    stack = models.stack(model, clip, "cat")
    both = exact(apply(model, stack), stack, end_percent=0.5)
    assert {(start, end) for _, start, end in ways(both)} == {(0.0, 1.0), (0.0, 0.5)}


def test_windows_that_take_turns_both_stay(model, clip):
    stack = models.stack(model, clip, "cat")
    half = exact(model, stack.scaled(0.5), start_percent=0.5)
    assert ways(exact(half, stack, end_percent=0.5)) == [("exact", 0.5, 1.0), ("exact", 0.0, 0.5)]


def test_what_is_off_takes_no_place_in_another_mode(model, clip):
    stack = models.stack(model, clip, "cat")
    off = Stack(tuple(replace(e, enabled=False) for e in stack.entries))
    assert [how for how, *_ in ways(merged(exact(model, stack), off))] == ["exact"]


# --- mixed by other nodes -------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [1.0, 0.5, 0.25, 0.0])
def test_what_a_merge_node_leaves_of_an_erasure_is_listed_at_its_share(ratio, model, clip):
    stack = models.stack(model, clip, "cat")
    erasing = merged(model, stack)
    change = weight(erasing) - weight(model)
    for mix, share in (
        (mixed(erasing, model, ratio), ratio),
        (mixed(model, erasing, ratio), 1 - ratio),
    ):
        assert found(mix) == ([("cat", share)] if share else [])
        torch.testing.assert_close(weight(mix) - weight(model), change * share, atol=1e-5, rtol=0)


def test_exact_mode_is_no_part_of_the_weights_that_are_merged(model, clip):
    erasing = exact(model, models.stack(model, clip, "cat"))
    assert found(mixed(model, erasing, 0.0)) == []
    assert found(mixed(erasing, model, 0.5)) == [("cat", 1.0)], (
        "and what acts beside them still does"
    )


def test_where_layers_hold_different_shares_the_least_is_listed(model, clip):
    erasing = merged(model, models.stack(model, clip, "cat"))
    (mix,) = ModelMergeBlocks().merge(erasing, model, input=0.75, middle=0.5, out=1.0)
    assert found(mix) == [("cat", 0.5)]
    (twice,) = ModelAdd().merge(erasing, erasing)
    assert found(twice) == [("cat", 2.0)]


@pytest.mark.parametrize("erased_first", [True, False])
def test_a_concept_is_given_back_wherever_a_merge_node_has_put_it(erased_first, model, clip):
    other = models.model("sd1", seed=1)
    stack = models.stack(model, clip)
    erasing = merged(model, stack)

    def mix(erased):
        return mixed(erased, other, 0.5) if erased_first else mixed(other, erased, 0.5)

    one, none = (host.remove(mix(erasing), names) for names in (["rose"], []))
    assert found(one) == [("cat", 0.5)]
    assert found(none) == []
    assert torch.equal(weight(none), weight(mix(model)))
    torch.testing.assert_close(weight(one), weight(mix(merged(model, stack.without(["rose"])))))
    assert found(mix(erasing)) == [("cat", 0.5), ("rose", 0.5)], "the others hold theirs"
    assert found(erasing) == [("cat", 1.0), ("rose", 1.0)]


def test_applied_again_behind_a_merge_node_it_acts_once_and_in_full(model, clip):
    stack = models.stack(model, clip, "cat")
    mix = mixed(merged(model, stack), model, 0.5)
    for apply in (exact, merged):
        assert found(apply(mix, stack)) == [("cat", 1.0)]


def test_nothing_is_listed_where_another_node_has_set_the_weights(model, clip):
    erasing = merged(model, models.stack(model, clip, "cat"))
    behind = erasing.clone()
    for key in erasing.patches:
        behind.add_patches({key: ("set", (model.model.state_dict()[key],))})
    assert found(behind) == []
    assert found(erasing) == [("cat", 1.0)]


def test_silence_is_told_once_on_the_node_that_draws(model, clip):
    erasing = exact(model, models.stack(model, clip, "cat"))
    (wrapper,) = erasing.get_wrappers(WrappersMP.APPLY_MODEL, host.KEY)
    PromptServer.instance.told.clear()
    with CurrentNodeContext("prompt", "9"):
        wrapper._note_silence(4)
        wrapper._note_silence(0)
        wrapper._note_silence(0)
    ((node, text),) = PromptServer.instance.told
    assert node == "9"
    assert "nothing was erased" in text
