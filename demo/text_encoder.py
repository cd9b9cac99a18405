"""A frozen text encoder of CLIP-L's shape, made from a seed: nothing trained, nothing stored.

All numbers are uniform variates of numpy's RandomState, whose streams are frozen for ever and need
no mathematical library, one stream per tensor: the result is the same on every machine. It is
random but for two reserved features of the token embedding that make it useful:

- feature 0 marks the start, end and padding token; attention looks away from these;
- feature 1 is the logarithm of the token's number, which is how rare the word is (CLIP's vocabulary
  is sorted by frequency); attention prefers rare words, so that "a", "of", "in" hardly count.

Each word keeps its own vector at its own place; every later place, all the padding included, also
gets a random projection of the weighted mean of the words before it. Words come out nearly
orthogonal, which a real CLIP's are not.
"""

from __future__ import annotations

import math
import zlib

import numpy as np
import torch
from torch import Tensor

WIDTH, N_LAYERS, FEED_FORWARD = 768, 12, 3072
VOCABULARY, N_PLACES = 49408, 77
PREFIX = "cond_stage_model.transformer.text_model."


def state_dict(seed: int = 1) -> dict[str, Tensor]:
    """The text encoder's part of an SD1.5 checkpoint.

    Args:
        seed: another one gives another, equally good encoder (and useless trained parts).

    Returns:
        Checkpoint key -> float16 tensor, always the same bits for the same seed.
    """
    tensors = _embeddings(seed)
    for layer in range(N_LAYERS):
        tensors |= _attention(seed, layer)
        tensors |= _feed_forward(seed, layer)
    tensors |= _norm("final_layer_norm")
    return {PREFIX + name: tensor.half().contiguous() for name, tensor in tensors.items()}


def _uniform(seed: int, name: str, shape: tuple[int, ...], std: float) -> Tensor:
    """Float32 of that standard deviation, from the stream of that name."""
    stream = np.random.RandomState((seed * 1000003 + zlib.crc32(name.encode())) % 2**32)
    centred = stream.random_sample(shape).astype(np.float32) - 0.5
    return torch.from_numpy(centred * np.float32(math.sqrt(12) * std))


def _embeddings(seed: int) -> dict[str, Tensor]:
    special = slice(VOCABULARY - 2, None)
    token = _uniform(seed, "tok", (VOCABULARY, WIDTH), 1.0)
    token[special] *= 0.3
    token[:, 0] = 0
    token[special, 0] = 4.0
    rarity = torch.arange(VOCABULARY, dtype=torch.float32).add(1).log() - 8
    token[:, 1] = rarity.clamp(-3, 3)
    token[special, 1] = 0
    place = _uniform(seed, "pos", (N_PLACES, WIDTH), 0.1)
    place[:, :2] = 0
    return {
        "embeddings.token_embedding.weight": token,
        "embeddings.position_embedding.weight": place,
    }


def _attention(seed: int, layer: int) -> dict[str, Tensor]:
    """Queries are one fixed direction per head; the reserved features decide where they look."""
    p = f"encoder.layers.{layer}."
    scale = WIDTH**0.5
    direction = torch.sign(_uniform(seed, p + "u", (WIDTH,), 1.0))
    key = _uniform(seed, p + "k", (WIDTH, WIDTH), 0.3 / scale)
    key[:, 0] = -0.32 * direction
    key[:, 1] = 0.125 * direction
    value = _uniform(seed, p + "v", (WIDTH, WIDTH), 1.0 / scale)
    value[:, :2] = 0
    # The first layer gathers the words; later ones only stir what it has gathered.
    out = _uniform(seed, p + "out", (WIDTH, WIDTH), (1.0 if layer == 0 else 0.2) / scale)
    out[:2] = 0
    query = _uniform(seed, p + "q", (WIDTH, WIDTH), 0.3 / scale)
    zero = torch.zeros(WIDTH)
    return {
        p + "self_attn.k_proj.weight": key,
        p + "self_attn.k_proj.bias": zero,
        p + "self_attn.q_proj.weight": query,
        p + "self_attn.q_proj.bias": direction,
        p + "self_attn.v_proj.weight": value,
        p + "self_attn.v_proj.bias": zero,
        p + "self_attn.out_proj.weight": out,
        p + "self_attn.out_proj.bias": zero,
    }


def _feed_forward(seed: int, layer: int) -> dict[str, Tensor]:
    p = f"encoder.layers.{layer}."
    second = _uniform(seed, p + "fc2", (WIDTH, FEED_FORWARD), 0.15 / FEED_FORWARD**0.5)
    second[:2] = 0
    return {
        p + "mlp.fc1.weight": _uniform(seed, p + "fc1", (FEED_FORWARD, WIDTH), 1 / WIDTH**0.5),
        p + "mlp.fc1.bias": torch.zeros(FEED_FORWARD),
        p + "mlp.fc2.weight": second,
        p + "mlp.fc2.bias": torch.zeros(WIDTH),
        **_norm(p + "layer_norm1"),
        **_norm(p + "layer_norm2"),
    }


def _norm(name: str) -> dict[str, Tensor]:
    return {name + ".weight": torch.ones(WIDTH), name + ".bias": torch.zeros(WIDTH)}
