"""Small models of random weights, in the host's own classes."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import comfy.lora
import comfy.model_patcher
import comfy.sample
import comfy.sd
import comfy.sd1_clip
import comfy.sdxl_clip
import comfy.supported_models
import folder_paths
import torch
from comfy.supported_models_base import ClipTarget
from comfy.text_encoders import sd2_clip
from sepme_pack.nodes import files, host
from sepme_pack.sepme_core.concepts import Concept, ConceptSet
from sepme_pack.sepme_core.config import EraseConfig
from sepme_pack.sepme_core.embeddings import TextEncoder
from sepme_pack.sepme_core.erase import Erasure, erase
from sepme_pack.sepme_core.increment import Increment, Provenance, Stack
from torch import Tensor, nn

Patcher = Any  # comfy.model_patcher.ModelPatcher
Clip = Any  # comfy.sd.CLIP

CPU = torch.device("cpu")
CONFIGS = {
    "sd1": comfy.supported_models.SD15,
    "sd2": comfy.supported_models.SD20,
    "sdxl_refiner": comfy.supported_models.SDXLRefiner,
    "sdxl": comfy.supported_models.SDXL,
}
CONCEPTS = ConceptSet(
    (Concept("cat"), Concept("rose")),
    templates=("a photo of a {}", "{} in the garden"),
    protected_concepts=("car", "pizza"),
    protected_prompts=("a red house",),
)
PROTECTED = ("", "a red house", "a photo of a car", "pizza in the garden", "rose")


def unet_config(context_dim: int, **fields: Any) -> dict[str, Any]:
    """SD1's UNet, smaller: two levels, four cross-attention blocks."""
    return {
        "image_size": 32,
        "in_channels": 4,
        "out_channels": 4,
        "model_channels": 32,
        "num_res_blocks": [1, 1],
        "channel_mult": [1, 2],
        "transformer_depth": [0, 1],
        "transformer_depth_middle": 1,
        "transformer_depth_output": [0, 0, 1, 1],
        "use_spatial_transformer": True,
        "use_linear_in_transformer": False,
        "context_dim": context_dim,
        "adm_in_channels": None,
        "legacy": False,
        "use_temporal_attention": False,
        "use_temporal_resblock": False,
        **fields,
    }


def model(
    family: str = "sd1",
    *,
    dtype: torch.dtype = torch.float32,
    manual_cast: torch.dtype | None = None,
    seed: int = 0,
    scaled_fp8: torch.dtype | None = None,
    quantised: dict[str, Any] | None = None,
    **fields: Any,
) -> Patcher:
    """A MODEL of one of our families, or of one that only looks like it (`context_dim`)."""
    config_class = CONFIGS[family]
    real = config_class.unet_config
    if real["adm_in_channels"]:
        fields = {
            "adm_in_channels": real["adm_in_channels"],
            "num_classes": "sequential",
            "use_linear_in_transformer": True,
            **fields,
        }
    fields = {"context_dim": real["context_dim"], **fields}
    config = config_class(unet_config(**fields))
    heads = 4 if config.unet_config["num_heads"] > 0 else -1
    config.unet_config.update(num_heads=heads, num_head_channels=-1 if heads > 0 else 16)
    config.scaled_fp8, config.layer_quant_config = scaled_fp8, quantised
    config.set_inference_dtype(dtype, manual_cast or (dtype if quantised else None))
    return patcher(config.get_model({}, device=CPU), seed)


def patcher(network: nn.Module, seed: int = 0) -> Patcher:
    """A MODEL around one of the host's networks, filled with random weights."""
    fill(network, seed)
    return comfy.model_patcher.ModelPatcher(network, load_device=CPU, offload_device=CPU)


def clip(family: str, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> Clip:
    """A CLIP with two layers and the real tokenizer and vocabulary."""
    tiny = {"num_hidden_layers": 2, "intermediate_size": 64, "num_attention_heads": 4}
    target = ClipTarget(comfy.sd1_clip.SD1Tokenizer, comfy.sd1_clip.SD1ClipModel)
    options = {"clip_l_model_config": {**tiny, "hidden_size": 64 if family == "narrow" else 768}}
    if family == "sd2":
        target = ClipTarget(sd2_clip.SD2Tokenizer, sd2_clip.SD2ClipModel)
        options = {"clip_h_model_config": {**tiny, "hidden_size": 1024, "num_hidden_layers": 3}}
    if family == "sdxl":
        target = ClipTarget(comfy.sdxl_clip.SDXLTokenizer, comfy.sdxl_clip.SDXLClipModel)
        options["clip_l_model_config"]["num_hidden_layers"] = 3
        options["clip_g_model_config"] = {**tiny, "hidden_size": 1280, "num_hidden_layers": 3}
    made = comfy.sd.CLIP(target, model_options={**options, "dtype": dtype})
    fill(made.cond_stage_model, seed)
    return made


@torch.no_grad()
def fill(network: nn.Module, seed: int) -> None:
    """Random weights that keep a signal's size; norms near one."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        values = torch.empty(parameter.shape).uniform_(-1.7, 1.7, generator=generator)
        if name.endswith(("scale_weight", "logit_scale")):
            continue
        if parameter.ndim > 1 and "embedding" not in name:
            values *= parameter[0].numel() ** -0.5
        elif parameter.ndim == 1:
            values = values * 0.1 + (1 if name.endswith("weight") else 0)
        parameter.copy_(values)


def compute(model: Patcher, clip: Clip, *names: str, **settings: Any) -> list[Erasure]:
    """The closed form for the named concepts of `CONCEPTS`; all of them when none is named."""
    family = host.family_of(model)
    provenance = Provenance(
        family=family.name,
        base=host.base_fingerprint(model),
        text_encoder=host.text_encoder_fingerprint(clip),
    )
    return erase(
        CONCEPTS,
        CONCEPTS.choose(names),
        encoder(clip, host.compute_dtype(model), family.d_text),
        host.text_only_weights(model),
        EraseConfig(**settings),
        provenance=provenance,
    )


def stack(model: Patcher, clip: Clip, *names: str) -> Stack:
    """What `compute` gives, ready to apply; computed once for all models of the same weights."""
    key = (host.solved_on(model, clip, draws=False), clip, names)
    if key not in _STACKS:
        _STACKS[key] = Stack.of(e.increment for e in compute(model, clip, *names))
    return _STACKS[key]


_STACKS: dict[tuple, Stack] = {}


@cache
def encoder(clip: Clip, dtype: torch.dtype, d_text: int) -> TextEncoder:
    """The pack's text encoder, which keeps what it has encoded."""
    return host.encode_prompts(clip, dtype, d_text)


@torch.inference_mode()
def draw(
    model: Patcher, clip: Clip, prompt: str, negative: str = "", *, n_steps: int = 2
) -> Tensor:
    """Latents after a whole run of the host's sampler, as its KSampler node does it."""
    empty = torch.zeros(1, 4, 8, 8)
    return comfy.sample.sample(
        model,
        comfy.sample.prepare_noise(empty, 0),
        n_steps,
        5.0,
        "euler",
        "normal",
        _conditioning(clip, prompt),
        _conditioning(clip, negative),
        empty,
        disable_pbar=True,
        seed=0,
    )


@cache
def _conditioning(clip: Clip, prompt: str) -> list:
    """What the host's CLIPTextEncode gives; it keeps it as well, for as long as nothing changes."""
    return clip.encode_from_tokens_scheduled(clip.tokenize(prompt))


def with_lora(given: Patcher, *, seed: int = 1, strength: float = 1.0, layer: str = "") -> Patcher:
    """A MODEL with a LoRA on one layer, by default a text-only one, as if read after a restart."""
    path = layer or "middle_block.1.transformer_blocks.0.attn2.to_v"
    weight = given.model.diffusion_model.get_submodule(path).weight
    generator = torch.Generator().manual_seed(seed)
    file = {
        "x.lora_up.weight": torch.randn(weight.shape[0], 2, generator=generator),
        "x.lora_down.weight": torch.randn(2, weight.shape[1], generator=generator),
    }
    tuned = given.clone()
    patches = comfy.lora.load_lora(file, {"x": f"diffusion_model.{path}.weight"})
    assert tuned.add_patches(patches, strength)
    return tuned


def weights_digest(network: nn.Module) -> str:
    """SHA-256 over all parameters and buffers, to the bit."""
    h = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        h.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        h.update(tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return h.hexdigest()


def small_increment(name: str = "cat", value: float = 1.0) -> Increment:
    """A file's worth of one, for whatever has nothing to do with models."""
    coef = {"block.to_k": torch.full((4, 2), value)}
    return Increment(Concept(name), torch.eye(2, 8), coef)


def increments_folder() -> Iterator[Path]:
    """Where `models/sepme` is, known to the host; gone afterwards."""
    files.register_folder()
    folder = Path(folder_paths.get_folder_paths(files.FOLDER)[0])
    folder_paths.filename_list_cache.clear()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
    folder_paths.filename_list_cache.clear()
