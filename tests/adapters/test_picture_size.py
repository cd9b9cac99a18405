"""Pictures are drawn as large as the model was trained on, whichever model it is."""

import comfy.model_base
import pytest
import torch
from sepme_pack.nodes import host
from sepme_pack.nodes.size import Size
from sepme_pack.sepme_core.errors import ConceptError, IncompatibleError

from tests.adapters import models
from tests.adapters.real_sizes import SD15, SDXL

LEVELS = SD15["channel_mult"]
WHOLE = {"sd1": LEVELS, "sd2": LEVELS, "sdxl_refiner": LEVELS, "sdxl": SDXL["channel_mult"]}
UNKNOWN = {"context_dim": 96}


@pytest.fixture(scope="module")
def networks():
    """A small network of every family, which says that it has the real one's levels."""
    made = {family: models.model(family) for family in WHOLE}
    for family, levels in WHOLE.items():
        made[family].model.diffusion_model.channel_mult = levels
    return made


@pytest.mark.parametrize(
    ("family", "side"), [("sd1", 512), ("sd2", 512), ("sdxl_refiner", 1024), ("sdxl", 1024)]
)
def test_a_model_draws_what_its_family_was_trained_on(networks, family, side):
    assert host.picture_size(networks[family]) == (side, side)
    assert host.picture_size(networks[family], 640) == (640, side)
    assert host.picture_size(networks[family], 640, 384) == (640, 384)


def test_models_of_sd2_that_predict_v_draw_larger_and_those_of_sdxl_do_not(networks, monkeypatch):
    v = comfy.model_base.ModelType.V_PREDICTION
    for family, side in (("sd2", 768), ("sdxl", 1024)):
        monkeypatch.setattr(networks[family].model, "model_type", v)
        assert host.picture_size(networks[family]) == (side, side)


def test_a_network_with_fewer_levels_draws_smaller(networks):
    assert host.picture_size(models.model("sd1")) == (128, 128)
    one = models.model("sd1", channel_mult=[1], num_res_blocks=[1], transformer_depth=[1])
    assert host.picture_size(one) == (64, 64)  # as the demo's


@pytest.mark.parametrize("given", [(8, 0), (512, 56)])
def test_a_size_too_small_to_draw_is_refused(model, given):
    with pytest.raises(ConceptError, match="pixels, expected 64 or more, or 0 for the size"):
        host.picture_size(model, *given)


def test_of_an_unknown_family_the_size_is_to_be_given():
    unknown = models.model("sd1", **UNKNOWN)
    with pytest.raises(IncompatibleError, match="Set it yourself"):
        host.picture_size(unknown)
    assert host.picture_size(unknown, 640, 384) == (640, 384)


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_the_node_gives_an_empty_latent_that_the_model_draws_on(networks, family):
    latent, width, height = Size.execute(networks[family], 2, 0, 384).result
    side, _ = host.picture_size(networks[family])
    assert (width, height) == (side, 384)
    assert torch.equal(latent["samples"], torch.zeros(2, 4, 384 // 8, side // 8))
