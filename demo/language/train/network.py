"""ComfyUI's NextDiT in plain torch, for training where ComfyUI is not: same weights, same output.

`loader` runs what is trained here through the host's own class; a test compares the two.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from demo.language.config import MODEL

DIM, HEADS, PAD = MODEL["dim"], MODEL["n_heads"], MODEL["pad_tokens_multiple"]
CHANNELS, PATCH, D_TIME, D_TEXT = 16, 2, 256, MODEL["cap_feat_dim"]
HIDDEN = 256 * math.ceil(int(MODEL["ffn_dim_multiplier"] * DIM) / 256)
EPS = 1e-5


class Norm(nn.Module):
    """Root-mean-square normalisation with a weight per dimension."""

    def __init__(self, dim: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape whose last axis is normalised."""
        return F.rms_norm(x, (x.shape[-1],), self.weight, EPS)


class Attention(nn.Module):
    """Attention of all tokens to all, with normalised queries and keys, turned by place."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(DIM, 3 * DIM, bias=False)
        self.out = nn.Linear(DIM, DIM, bias=False)
        self.q_norm, self.k_norm = Norm(DIM // HEADS), Norm(DIM // HEADS)

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        """`[n, n_tokens, dim]`; places as `turns` gives them, `[n_tokens, d_head / 2, 2, 2]`."""
        q, k, v = self.qkv(x).unflatten(-1, (3, HEADS, DIM // HEADS)).unbind(2)
        q, k = turn(self.q_norm(q), places), turn(self.k_norm(k), places)
        mixed = F.scaled_dot_product_attention(*(part.transpose(1, 2) for part in (q, k, v)))
        return self.out(mixed.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """A gated layer."""

    def __init__(self):
        super().__init__()
        self.w1 = nn.Linear(DIM, HIDDEN, bias=False)
        self.w2 = nn.Linear(HIDDEN, DIM, bias=False)
        self.w3 = nn.Linear(DIM, HIDDEN, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape whose last axis is `dim`."""
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class Block(nn.Module):
    """Attention and a gated layer, each between two norms; scaled and gated by the time or not."""

    def __init__(self, timed: bool):
        super().__init__()
        self.attention, self.feed_forward = Attention(), FeedForward()
        self.attention_norm1, self.attention_norm2 = Norm(DIM), Norm(DIM)
        self.ffn_norm1, self.ffn_norm2 = Norm(DIM), Norm(DIM)
        if timed:
            self.adaLN_modulation = nn.Sequential(nn.Linear(D_TIME, 4 * DIM))

    def forward(self, x: Tensor, places: Tensor, time: Tensor | None = None) -> Tensor:
        """`[n, n_tokens, dim]`; time `[n, d_time]` where the block was built for it."""
        if time is None:
            x = x + self.attention_norm2(self.attention(self.attention_norm1(x), places))
            return x + self.ffn_norm2(self.feed_forward(self.ffn_norm1(x)))
        scale, gate, scale2, gate2 = self.adaLN_modulation(time).unsqueeze(1).chunk(4, -1)
        mixed = self.attention(self.attention_norm1(x) * (1 + scale), places)
        x = x + gate.tanh() * self.attention_norm2(mixed)
        mixed = self.feed_forward(self.ffn_norm1(x) * (1 + scale2))
        return x + gate2.tanh() * self.ffn_norm2(mixed)


class Final(nn.Module):
    """The last layer: tokens to patches."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(DIM, PATCH * PATCH * CHANNELS)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(D_TIME, DIM))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """`[n, n_tokens, dim]` to `[n, n_tokens, 64]`."""
        scale = self.adaLN_modulation(time).unsqueeze(1)
        return self.linear(F.layer_norm(x, (DIM,), eps=1e-6) * (1 + scale))


class Time(nn.Module):
    """The time as sines and cosines, then two layers."""

    def __init__(self):
        super().__init__()
        width = min(DIM, 1024)
        self.mlp = nn.Sequential(nn.Linear(D_TIME, width), nn.SiLU(), nn.Linear(width, D_TIME))

    def forward(self, time: Tensor) -> Tensor:
        """`[n, d_time]` of times `[n]` in 0..1; 0 is noise."""
        half = D_TIME // 2
        rates = torch.exp(-math.log(10000) * torch.arange(half, device=time.device) / half)
        angles = time.float()[:, None] * MODEL["time_scale"] * rates
        waves = torch.cat([angles.cos(), angles.sin()], -1)
        return self.mlp(waves.to(self.mlp[0].weight.dtype))


class NextDiT(nn.Module):
    """Predicts noise minus picture (the velocity of the flow) from a noisy latent and text rows."""

    def __init__(self):
        super().__init__()
        self.x_embedder = nn.Linear(PATCH * PATCH * CHANNELS, DIM)
        refiners = range(MODEL["n_refiner_layers"])
        self.noise_refiner = nn.ModuleList([Block(True) for _ in refiners])
        self.context_refiner = nn.ModuleList([Block(False) for _ in refiners])
        self.t_embedder = Time()
        self.cap_embedder = nn.Sequential(Norm(D_TEXT), nn.Linear(D_TEXT, DIM))
        self.layers = nn.ModuleList([Block(True) for _ in range(MODEL["n_layers"])])
        self.norm_final = Norm(DIM)  # the host has it and never uses it
        self.final_layer = Final()
        self.x_pad_token = nn.Parameter(torch.zeros(1, DIM))
        self.cap_pad_token = nn.Parameter(torch.zeros(1, DIM))

    def forward(self, x: Tensor, sigma: Tensor, rows: Tensor, n_rows: Tensor) -> Tensor:
        """The velocity.

        Args:
            x: `[n, 16, h, w]`, a latent with noise; h/2 × w/2 is a multiple of 16.
            sigma: `[n]` in 0..1, the share of noise.
            rows: `[n, n_tokens, d_text]`, n_tokens a multiple of 16.
            n_rows: `[n]`, how many of the rows are a prompt's; the rest becomes padding. All of
                one call must round up to the same n_tokens.
        """
        n, _, height, width = x.shape
        patches = F.pixel_unshuffle(x, PATCH).unflatten(1, (CHANNELS, -1))
        patches = patches.permute(0, 3, 4, 2, 1).reshape(n, -1, PATCH * PATCH * CHANNELS)
        text = self.cap_embedder(rows)
        beyond = (
            torch.arange(rows.shape[1], device=x.device)[None, :, None] >= n_rows[:, None, None]
        )
        text = torch.where(beyond, self.cap_pad_token.to(text.dtype), text)
        places = turns(rows.shape[1], height // PATCH, width // PATCH, x.device)
        n_text = rows.shape[1]
        time = self.t_embedder(1 - sigma)
        drawn = self.x_embedder(patches)
        for block in self.context_refiner:
            text = block(text, places[:n_text])
        for block in self.noise_refiner:
            drawn = block(drawn, places[n_text:], time)
        tokens = torch.cat([text, drawn], 1)
        for block in self.layers:
            tokens = block(tokens, places, time)
        patches = self.final_layer(tokens, time)[:, n_text:]
        patches = patches.reshape(n, height // PATCH, width // PATCH, PATCH, PATCH, CHANNELS)
        return -patches.permute(0, 5, 1, 3, 2, 4).reshape(n, CHANNELS, height, width)


def turn(x: Tensor, places: Tensor) -> Tensor:
    """`[n, n_tokens, n_heads, d_head]`, neighbouring dimensions turned by each token's angles."""
    pairs = x.unflatten(-1, (-1, 2))
    turned = places[:, None, :, :, 0] * pairs[..., :1] + places[:, None, :, :, 1] * pairs[..., 1:]
    return turned.flatten(-2).to(x.dtype)


@lru_cache(maxsize=8)
def turns(n_text: int, height: int, width: int, device: torch.device) -> Tensor:
    """Rotations `[n_text + height * width, d_head / 2, 2, 2]`: text by order, patches by place."""
    text = torch.zeros(n_text, 3, device=device)
    text[:, 0] = torch.arange(n_text, device=device) + 1
    drawn = torch.zeros(height, width, 3, device=device)
    drawn[..., 0] = n_text + 1
    drawn[..., 1] = torch.arange(height, device=device)[:, None]
    drawn[..., 2] = torch.arange(width, device=device)[None, :]
    ids = torch.cat([text, drawn.flatten(0, 1)]).double()
    angles = []
    for axis, dim in enumerate(MODEL["axes_dims"]):
        powers = torch.linspace(0, (dim - 2) / dim, dim // 2, dtype=torch.float64, device=device)
        angles.append(ids[:, axis : axis + 1] / MODEL["rope_theta"] ** powers)
    angle = torch.cat(angles, -1)
    sine, cosine = angle.sin(), angle.cos()
    rows = torch.stack([cosine, -sine, sine, cosine], -1).float()
    return rows.unflatten(-1, (2, 2))
