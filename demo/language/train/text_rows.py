"""What the language model makes of all captions, computed where the training runs."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from demo.language.config import D_HEAD, LANGUAGE_MODEL, MODEL
from demo.language.gguf import decode, unpermute
from demo.language.train.language_model import HEADS, KV_HEADS, hidden_states
from demo.language.train.loop import DEVICE, GPU, say

D = LANGUAGE_MODEL["hidden_size"]
SHAPES = {
    "attn_q": (D, D),
    "attn_k": (D * KV_HEADS // HEADS, D),
    "attn_v": (D * KV_HEADS // HEADS, D),
    "attn_output": (D, D),
    "ffn_gate": (LANGUAGE_MODEL["intermediate_size"], D),
    "ffn_up": (LANGUAGE_MODEL["intermediate_size"], D),
    "ffn_down": (D, LANGUAGE_MODEL["intermediate_size"]),
    "attn_norm": (D,),
    "ffn_norm": (D,),
}


class Captions(NamedTuple):
    """Captions whose rows pad to one length, and what they name.

    `rows` `[n, n_tokens, 576]`, `n_rows` `[n]`, `objects` `[n, 3]` (object, second, style; -1 where
    none), `kinds` `[n]` (a list).
    """

    rows: Tensor
    n_rows: Tensor
    objects: Tensor
    kinds: list[str]


def layers(folder: Path) -> list[dict[str, Tensor]]:
    """The language model's layers out of `layers_0.npz` and `layers_1.npz`."""
    found: dict[int, dict[str, Tensor]] = {}
    for half in (0, 1):
        with np.load(folder / f"layers_{half}.npz") as data:
            for name in data.files:
                _, number, part, _ = name.split(".")
                weight = decode(data[name], SHAPES[part])
                if part in ("attn_q", "attn_k"):
                    weight = unpermute(weight, D_HEAD)
                found.setdefault(int(number), {})[f"{part}.weight"] = weight.to(DEVICE)
    return [found[i] for i in range(len(found))]


def encode(folder: Path, name: str, share: float) -> list[Captions]:
    """The captions of one set, grouped by padded length; kept in `rows_<name>.pt`.

    Args:
        folder: with what `captions` wrote.
        name: "training" or "measured".
        share: of the captions that name an object, chosen by chance; all others are taken.
    """
    kept = folder / f"rows_{name}.pt"
    if kept.exists():
        return [Captions(*group) for group in torch.load(kept, map_location=DEVICE)]
    with np.load(folder / "captions.npz") as data:
        ids, objects, kinds = (data[f"{name}.{part}"] for part in ("ids", "objects", "kinds"))
        used, embedded = data["used"], torch.from_numpy(data["embedded"]).to(DEVICE)
    weights = layers(folder)
    dice = np.random.default_rng(0)
    taken = (dice.random(len(ids)) < share) | (objects[:, 0] < 0)
    places = torch.from_numpy(np.searchsorted(used, ids.clip(0))).to(DEVICE)
    n_rows = (ids >= 0).sum(1)
    pad = MODEL["pad_tokens_multiple"]
    padded = -(-n_rows // pad) * pad
    groups = []
    for length in np.unique(padded[taken]):
        chosen = np.flatnonzero(taken & (padded == length))
        rows = _rows(embedded, places[chosen], n_rows[chosen], int(length), weights)
        named = torch.from_numpy(objects[chosen]).long().to(DEVICE)
        counts = torch.from_numpy(n_rows[chosen]).to(DEVICE)
        groups.append(Captions(rows, counts, named, kinds[chosen].tolist()))
        say(f"{name}: {len(rows)} captions of {length} tokens encoded")
    if not GPU:
        torch.save([tuple(group) for group in groups], kept)
    return groups


def _rows(
    embedded: Tensor, places: Tensor, n_rows: np.ndarray, length: int, weights: list
) -> Tensor:
    """Hidden states `[n, length, 576]`, what stands behind each caption's own means nothing."""
    size = 512 if GPU else 32
    order = np.argsort(n_rows, kind="stable")  # little padding within a part
    rows = embedded.new_zeros(len(places), length, embedded.shape[1])
    for part in np.array_split(order, -(-len(order) // size)):
        longest = int(n_rows[part].max())
        rows[part, :longest] = hidden_states(embedded[places[part, :longest]], weights)
    return rows.to(torch.bfloat16 if GPU else torch.float16)


def shortest(groups: list[Captions]) -> tuple[Tensor, Tensor]:
    """The empty prompt's rows and their number: of all captions that of the fewest rows."""
    group = min(groups, key=lambda group: int(group.n_rows.min()))
    n = int(group.n_rows.argmin())
    return group.rows[n : n + 1], group.n_rows[n : n + 1]
