"""Which models are taken, which are refused, and which of their layers see text only."""

import comfy.model_base
import comfy.supported_models
import pytest
import torch
from sepme_pack.nodes import host
from sepme_pack.sepme_core.errors import IncompatibleError

from tests.adapters import models


@pytest.mark.parametrize(
    ("name", "d_text"), [("sd1", 768), ("sd2", 1024), ("sdxl_refiner", 1280), ("sdxl", 2048)]
)
def test_each_family_is_known_by_its_text_width(name, d_text):
    model = models.model(name)
    family = host.family_of(model)
    assert (family.name, family.d_text) == (name, d_text)
    layers = host.matching_layers(model, family.text_only)
    assert len(layers) == 2 * 4  # keys and values of four cross-attention blocks
    assert {layer.in_features for layer in layers.values()} == {d_text}


def test_cross_attention_adds_the_layers_that_see_the_image(model):
    family = host.family_of(model)
    text_only = set(host.matching_layers(model, family.text_only))
    all_of_them = set(host.matching_layers(model, family.cross_attention))
    assert text_only < all_of_them
    assert {path.rsplit("attn2.")[1] for path in all_of_them - text_only} == {"to_q", "to_out.0"}


def test_a_unet_of_another_text_width_is_refused():
    with pytest.raises(IncompatibleError, match=r"BaseModel, UNetModel.*sd1, sd2.*sdxl\."):
        host.family_of(models.model("sd1", context_dim=96))


def flux():
    config = comfy.supported_models.Flux(
        {
            "image_model": "flux",
            "in_channels": 16,
            "out_channels": 16,
            "patch_size": 2,
            "vec_in_dim": 16,
            "context_in_dim": 768,  # even where the width is one we know
            "hidden_size": 32,
            "mlp_ratio": 2.0,
            "num_heads": 2,
            "depth": 1,
            "depth_single_blocks": 1,
            "axes_dim": [4, 6, 6],
            "theta": 10000,
            "qkv_bias": True,
            "guidance_embed": True,
        }
    )
    config.set_inference_dtype(torch.float32, None)
    return config.get_model({}, device=models.CPU)


def test_a_network_of_another_kind_is_refused_by_name():
    with pytest.raises(IncompatibleError) as refused:
        host.family_of(models.patcher(flux()))
    message = str(refused.value)
    assert "(Flux, Flux)" in message
    assert "sd1, sd2, sdxl_refiner, sdxl" in message
    assert "Load a checkpoint" in message


def stable_video():
    fields = {
        "in_channels": 8,
        "use_temporal_attention": True,
        "use_temporal_resblock": True,
        "extra_ff_mix_layer": True,
        "use_spatial_context": True,
        "merge_strategy": "learned_with_images",
        "merge_factor": 0.0,
        "video_kernel_size": [3, 1, 1],
        "num_classes": "sequential",
        "adm_in_channels": 768,
        "use_linear_in_transformer": True,
    }
    config = comfy.supported_models.SVD_img2vid(models.unet_config(1024, **fields))
    config.unet_config["num_head_channels"] = 16
    config.set_inference_dtype(torch.float32, None)
    return comfy.model_base.SVD_img2vid(config, device=models.CPU)


def zero123():
    config = comfy.supported_models.SD15(models.unet_config(768, in_channels=8))
    config.unet_config.update(num_heads=4)
    config.set_inference_dtype(torch.float32, None)
    with torch.no_grad():
        return comfy.model_base.Stable_Zero123(
            config,
            device=models.CPU,
            cc_projection_weight=torch.zeros(768, 772),
            cc_projection_bias=torch.zeros(768),
        )


@pytest.mark.parametrize("network", [stable_video, zero123])
def test_a_unet_whose_context_is_a_picture_is_refused(network):
    made = network()
    assert type(made.diffusion_model).__name__ == "UNetModel"  # the class and width that we know
    with pytest.raises(IncompatibleError, match=type(made).__name__):
        host.family_of(models.patcher(made))
