"""Sizes of the world with language: the one place where they are written."""

from __future__ import annotations

from typing import Any

# ComfyUI's NextDiT as it is set up for Z-Image, but narrow and shallow. Prompts are padded to
# multiples of 16 tokens instead of 32: a picture is 16 patches, which need no padding then.
MODEL: dict[str, Any] = {
    "patch_size": 2,
    "in_channels": 16,
    "dim": 320,
    "n_layers": 4,
    "n_refiner_layers": 1,
    "n_heads": 5,
    "n_kv_heads": 5,
    "qk_norm": True,
    "cap_feat_dim": 576,
    "axes_dims": [16, 24, 24],
    "axes_lens": [512, 64, 64],
    "rope_theta": 256.0,
    "ffn_dim_multiplier": 8.0 / 3.0,
    "z_image_modulation": True,
    "time_scale": 1000.0,
    "pad_tokens_multiple": 16,
}
# SmolLM2-135M, as Hugging Face's config.json has it.
LANGUAGE_MODEL: dict[str, Any] = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_theta": 100000.0,
}
D_HEAD = 64
# As Z-Image asks Qwen, in the same words: SmolLM2 was taught the same chat format.
TEMPLATE = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
LAYER = -2
SHIFT = 3.0
STEPS, CFG = 20, 4.0
FEW_STEPS = 8
