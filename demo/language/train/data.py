"""Latents of scenes, cached, and captions that fit them."""

from __future__ import annotations

import random
from collections import Counter

import torch
from torch import Tensor

from demo.autoencoder import Autoencoder
from demo.language.train.loop import DEVICE, GPU, say
from demo.language.train.scenes import Scenes
from demo.language.train.sizes import Sizes
from demo.language.train.text_rows import Captions, shortest

# How often each kind is drawn. "empty" is what guidance leans on.
SHARES = {"object": 0.34, "place": 0.12, "styled": 0.25, "style": 0.04, "pair": 0.15, "empty": 0.1}
KEPT = torch.bfloat16 if GPU else torch.float32


class Data:
    """Batches of latents and captions.

    Every group of captions of one padded length gives a share of each batch, so that each kind of
    caption is drawn as often as `SHARES` asks for, and each object equally often.
    """

    def __init__(
        self, scenes: Scenes, autoencoder: Autoencoder, groups: list[Captions], sizes: Sizes
    ):
        self.n_objects, self.n_styles = scenes.images.shape[:2]
        self.single = _single_latents(scenes, autoencoder, sizes.variants)
        self.groups, self.weights = groups, _weights(groups, self.n_objects)
        self.pairs = [
            _pair_latents(scenes, autoencoder, group, sizes.pair_variants) for group in groups
        ]
        shares = torch.stack([weight.sum() for weight in self.weights])
        n = sizes.model
        counts = (n * shares / shares.sum()).round().long().clamp(min=max(2, n // 32))
        self.sizes: list[int] = counts.tolist()
        # The few longest captions come along every eighth time only: a call of their own each.
        self.chances = [
            1.0 if share > 0.03 else 0.125 for share in (shares / shares.sum()).tolist()
        ]
        self.empty = shortest(groups)
        say(f"data: {self.single.shape[:3].numel()} latents, batches of {self.sizes}")

    def drawn_now(self) -> list[int]:
        """The groups whose turn it is."""
        return [g for g, chance in enumerate(self.chances) if random.random() < chance]

    def batch(self, g: int) -> tuple[Tensor, Tensor, Tensor]:
        """Clean latents `[n, 16, 8, 8]`, captions' rows, their numbers of rows, of one group."""
        captions = self.groups[g]
        chosen = torch.multinomial(self.weights[g], self.sizes[g], replacement=True)
        objects, second, styles = captions.objects[chosen].T
        n = len(chosen)
        # What a caption does not name is drawn by chance.
        objects = torch.where(objects < 0, _random(self.n_objects, n), objects)
        styles = torch.where(styles < 0, _random(self.n_styles, n), styles)
        clean = self.single[objects, styles, _random(self.single.shape[2], n)]
        latents, place = self.pairs[g]
        if len(latents):
            drawn = latents[place[chosen].clamp(min=0), _random(latents.shape[1], n)]
            clean = torch.where((second < 0).view(-1, 1, 1, 1), clean, drawn)
        return clean.float(), captions.rows[chosen], captions.n_rows[chosen]

    def nothing(self, n: int) -> tuple[Tensor, Tensor]:
        """The empty prompt's rows and number of rows, n times."""
        rows, n_rows = self.empty
        return rows.expand(n, -1, -1), n_rows.expand(n)


def _random(limit: int, n: int) -> Tensor:
    return torch.randint(limit, (n,), device=DEVICE)


@torch.no_grad()
def _encode(autoencoder: Autoencoder, images: Tensor) -> Tensor:
    with torch.autocast(DEVICE.type, torch.bfloat16, enabled=GPU):
        images = images.contiguous(memory_format=torch.channels_last)
        return autoencoder.encode(images).to(KEPT).contiguous()


def _single_latents(scenes: Scenes, autoencoder: Autoencoder, n_variants: int) -> Tensor:
    """`[n_objects, n_styles, n_variants, 16, 8, 8]`."""
    n_objects, n_styles = scenes.images.shape[:2]
    objects = torch.arange(n_objects, device=DEVICE).repeat_interleave(n_styles)
    styles = torch.arange(n_styles, device=DEVICE).repeat(n_objects)
    variants = [_encode(autoencoder, scenes.single(objects, styles)) for _ in range(n_variants)]
    return torch.stack(variants, 1).unflatten(0, (n_objects, n_styles))


def _pair_latents(
    scenes: Scenes, autoencoder: Autoencoder, captions: Captions, n_variants: int
) -> tuple[Tensor, Tensor]:
    """`[n_pairs, n_variants, 16, 8, 8]`, and for each caption its place in there or -1."""
    left, right, styles = captions.objects.T
    places = torch.full_like(left, -1)
    found = (right >= 0).nonzero().flatten()
    places[found] = torch.arange(len(found), device=DEVICE)
    if not len(found):
        return torch.empty(0, device=DEVICE), places
    variants = []
    for variant in range(n_variants):
        chosen = styles[found]
        chosen = torch.where(chosen < 0, variant % scenes.images.shape[1], chosen)
        parts = zip(left[found].split(512), right[found].split(512), chosen.split(512), strict=True)
        variants.append([_encode(autoencoder, scenes.pair(*part)) for part in parts])
    return torch.stack([torch.cat(parts) for parts in variants], 1), places


def _weights(groups: list[Captions], n_objects: int) -> list[Tensor]:
    """How often each caption is drawn: its kind's share, equal among objects of the kind."""
    of = Counter(
        (kind, named)
        for group in groups
        for kind, named in zip(group.kinds, group.objects[:, 0].tolist(), strict=True)
    )
    n_named = Counter(kind for kind, _ in of)
    return [
        torch.tensor(
            [
                SHARES[kind] / n_named[kind] / of[kind, named]
                for kind, named in zip(group.kinds, group.objects[:, 0].tolist(), strict=True)
            ],
            device=DEVICE,
        )
        for group in groups
    ]
