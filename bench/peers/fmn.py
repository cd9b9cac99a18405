"""Forget-Me-Not: the picture learns not to look at the concept's tokens.

Zhang et al. 2023, arXiv:2303.17591, attention re-steering: the norm of the cross-attention's
probabilities at the concept's tokens is minimised. On the demo model every setting that was tried
left the concept or took others along; it stands in the tables as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bench.peers import Fitted, Peer
from bench.peers.prompts import Phrasing, name_places
from bench.peers.training import Drawings, Settings, train
from bench.studio import Studio
from bench.tasks import State, Task

__all__ = ["PEER", "attention", "re_steering"]

SETTINGS = Settings(
    learning_rate=1e-3,  # published: 2e-6
    steps=20,  # published: 35
)


def attention(q: Tensor, k: Tensor, n_heads: int) -> Tensor:
    """softmax(q kᵀ / √d) by head, `[batch, n_heads, n_pixels, n_tokens]`."""
    q, k = (t.float().unflatten(-1, (n_heads, -1)).transpose(1, 2) for t in (q, k))
    return (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)


def re_steering(probabilities: Sequence[Tensor], places: Sequence[int]) -> Tensor:
    """The norm over all layers, heads, pixels and the given tokens, a scalar."""
    return torch.cat([p[..., list(places)].flatten() for p in probabilities]).norm()


def _fit(studio: Studio, task: Task) -> Fitted:
    drawings = Drawings(studio, task)

    def without(erased: State) -> Any:
        denoiser = studio.denoiser()
        layers = denoiser.cross_attention

        def loss(name: str, generator: torch.Generator) -> Tensor:
            batch = drawings.batch(name, SETTINGS.batch, generator)
            with _watched(layers) as seen:
                denoiser(batch.x, batch.sigma, [batch.prompt.text] * len(batch.x))
            probabilities = [
                attention(seen[f"{block}.to_q"], seen[f"{block}.to_k"], heads)
                for block, heads in _blocks(studio, layers).items()
            ]
            return re_steering(probabilities, _places(studio, batch.prompt))

        return train(studio, layers, erased, SETTINGS, loss)

    return without


def _blocks(studio: Studio, layers: Mapping[str, nn.Linear]) -> dict[str, int]:
    """Cross-attention blocks with their numbers of heads."""
    network = studio.model.model.diffusion_model
    paths = dict.fromkeys(path.rsplit(".to_", 1)[0] for path in layers)
    return {path: network.get_submodule(path).heads for path in paths}


def _places(studio: Studio, prompt: Phrasing) -> list[int]:
    """The name's tokens, and the end mark with all padding, which is the same token in SD 1."""
    encoded = studio.encode([prompt.text])[0]
    end = range(encoded.n_words - 1, len(encoded.embeddings))
    return [*name_places(studio, prompt), *end]


@contextmanager
def _watched(layers: Mapping[str, nn.Linear]) -> Iterator[dict[str, Tensor]]:
    """What the layers give in the block, changes of them included."""
    seen: dict[str, Tensor] = {}
    with ExitStack() as hooks:
        for path, layer in layers.items():

            def keep(_: nn.Module, __: Any, output: Tensor, path: str = path) -> None:
                seen[path] = output

            hooks.callback(layer.register_forward_hook(keep).remove)
        yield seen


PEER = Peer("Forget-Me-Not", "arXiv:2303.17591, trained for each set", _fit, takes_minutes=True)
