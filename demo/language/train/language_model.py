"""SmolLM2's hidden states in plain torch, for encoding tens of thousands of captions on a GPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from demo.language.config import D_HEAD, LANGUAGE_MODEL, LAYER

N_LAYERS = LANGUAGE_MODEL["num_hidden_layers"] + 1 + LAYER
HEADS, KV_HEADS = LANGUAGE_MODEL["num_attention_heads"], LANGUAGE_MODEL["num_key_value_heads"]
EPS = LANGUAGE_MODEL["rms_norm_eps"]


@torch.no_grad()
def hidden_states(embedded: Tensor, layers: list[dict[str, Tensor]]) -> Tensor:
    """What Z-Image takes of its language model: what the last layer but one gives, not normalised.

    Args:
        embedded: `[n, n_tokens, 576]`, padded on the right: the model looks back only.
        layers: weights by GGUF's names without `blk.N.`.
    """
    x, places = embedded, _angles(embedded)
    for layer in layers:
        heads = F.rms_norm(x, (x.shape[-1],), layer["attn_norm.weight"], EPS)
        q, k, v = (
            F.linear(heads, layer[f"attn_{part}.weight"])
            .unflatten(-1, (-1, D_HEAD))
            .transpose(1, 2)
            for part in "qkv"
        )
        q, k = _turn(q, places), _turn(k, places)
        k, v = (part.repeat_interleave(HEADS // KV_HEADS, 1) for part in (k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + F.linear(mixed.transpose(1, 2).flatten(2), layer["attn_output.weight"])
        inner = F.rms_norm(x, (x.shape[-1],), layer["ffn_norm.weight"], EPS)
        gated = F.silu(F.linear(inner, layer["ffn_gate.weight"]))
        gated = gated * F.linear(inner, layer["ffn_up.weight"])
        x = x + F.linear(gated, layer["ffn_down.weight"])
    return x


def _angles(x: Tensor) -> tuple[Tensor, Tensor]:
    powers = torch.arange(0, D_HEAD, 2, device=x.device).float() / D_HEAD
    rates = LANGUAGE_MODEL["rope_theta"] ** -powers
    angles = torch.arange(x.shape[1], device=x.device).float()[:, None] * rates
    angles = torch.cat([angles, angles], -1)
    return angles.cos(), angles.sin()


def _turn(x: Tensor, places: tuple[Tensor, Tensor]) -> Tensor:
    first, second = x.chunk(2, -1)
    return x * places[0] + torch.cat([-second, first], -1) * places[1]
