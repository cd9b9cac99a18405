"""A toy world: a text encoder and a denoiser small enough for milliseconds, the same every time."""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Mapping, Sequence
from functools import cache

import torch
from torch import Tensor, nn

from sepme_core.concepts import Concept, ConceptSet
from sepme_core.dead_zone import DeadZone
from sepme_core.denoiser import Trajectory
from sepme_core.embeddings import EncodedPrompt
from sepme_core.increment import Increment

# Matrices this small are slower with more threads, and far slower on a busy machine.
torch.set_num_threads(1)

D_TEXT, N_TOKENS = 64, 12
LATENT = (2, 4, 4)
D_HIDDEN = 24
TEMPLATES = ("a photo of a {}", "{} in the garden")


@cache
def seeded(name: str, *shape: int) -> Tensor:
    """Normal variates that belong to a name; not to be written to."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    return torch.randn(shape, generator=generator)


class ToyEncoder:
    """Start mark, words, end mark, padding; everything behind a word carries some of it.

    Rows are linear in the words, as a strong case for exact protection. `blur` adds to each row a
    nonlinear trace of its whole sentence, as deep encoders do, so that no two sentences share rows
    and exact protection soon fills the space.
    """

    def __init__(self, blur: float = 0.0) -> None:
        self.blur = blur
        self.n_calls = 0
        self._carry = seeded("carry", D_TEXT, D_TEXT) / D_TEXT**0.5
        self._trace = seeded("trace", D_TEXT, D_TEXT) / D_TEXT**0.5

    def __call__(self, prompts: Sequence[str]) -> list[EncodedPrompt]:
        self.n_calls += 1
        return [self.encode(prompt) for prompt in prompts]

    def encode(self, prompt: str) -> EncodedPrompt:
        words = prompt.lower().replace(",", " ,").split()[: N_TOKENS - 2]
        own = [seeded("<start>", D_TEXT)] + [seeded(w, D_TEXT) for w in words]
        own += [seeded("<end>", D_TEXT)] + [seeded("<pad>", D_TEXT)] * (N_TOKENS - 2 - len(words))
        rows, bag = [], torch.zeros(D_TEXT)
        for place, vector in enumerate(own):
            row = vector + (bag @ self._carry if place else 0)
            if self.blur and place:
                row = row + self.blur * torch.tanh(2 * (bag + vector) @ self._trace)
            rows.append(row)
            if 0 < place <= len(words):
                bag = bag + 0.5 * vector
        return EncodedPrompt(prompt, torch.stack(rows), len(words) + 2)

    def batch(self, *prompts: str, dtype: torch.dtype = torch.float32) -> Tensor:
        """`[n_prompts, n_tokens, d_text]`, as a model receives it."""
        return torch.stack([self.encode(p).embeddings for p in prompts]).to(dtype)


class ToyModel(nn.Module):
    """One cross-attention block: text goes through `to_k` and `to_v` only."""

    def __init__(self) -> None:
        super().__init__()
        n_pixels = math.prod(LATENT)
        self.to_q = _linear("to_q", n_pixels, D_HIDDEN)
        self.to_k = _linear("to_k", D_TEXT, D_HIDDEN)
        self.to_v = _linear("to_v", D_TEXT, D_HIDDEN)
        self.to_out = _linear("to_out", D_HIDDEN, n_pixels)
        self.requires_grad_(False)

    def forward(self, x: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
        loud = sigma.view(-1, 1)
        pixels = x.flatten(1) / (1 + loud.square()).sqrt()
        scores = self.to_q(pixels)[:, None] * self.to_k(context)
        attention = (scores / D_HIDDEN**0.5).softmax(1)
        seen = torch.tanh((attention * self.to_v(context)).sum(1))
        wanted = self.to_out(seen) * (1 + 0.5 * torch.cos(loud.log()))
        return (0.8 * pixels + wanted).view_as(x)


class ToyDenoiser:
    """`sepme_core.denoiser.Denoiser` over `ToyModel` and `ToyEncoder`."""

    def __init__(self, encoder: ToyEncoder | None = None) -> None:
        self.model = ToyModel()
        self.encoder = encoder or ToyEncoder()
        self.n_evaluations = 0

    @property
    def layers(self) -> Mapping[str, nn.Linear]:
        return {"block.to_k": self.model.to_k, "block.to_v": self.model.to_v}

    @property
    def cross_attention(self) -> Mapping[str, nn.Linear]:
        return {
            **self.layers,
            "block.to_q": self.model.to_q,
            "block.to_out": self.model.to_out,
        }

    @property
    def weights(self) -> dict[str, Tensor]:
        """Of the text-only layers, as `erase` wants them."""
        return {k: layer.weight for k, layer in self.layers.items()}

    def __call__(self, x: Tensor, sigma: Tensor, prompts: Sequence[str]) -> Tensor:
        self.n_evaluations += len(x) * (3 if torch.is_grad_enabled() else 1)
        return self.model(x, sigma, self.encoder.batch(*prompts))

    def add_noise(self, latents: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        return latents + noise * sigma.view(-1, *[1] * (latents.ndim - 1))

    def sigmas(self, fractions: Tensor) -> Tensor:
        return (0.1 * (10 / 0.1) ** fractions).float()

    def draw(self, prompt: str, n: int, seed: int, n_steps: int) -> Tensor:
        return torch.stack([self._sample(prompt, seed + i, n_steps)[1] for i in range(n)])

    def trajectory(self, prompt: str, seed: int, n_steps: int) -> Trajectory:
        return self._sample(prompt, seed, n_steps)[0]

    @torch.no_grad()
    def _sample(self, prompt: str, seed: int, n_steps: int) -> tuple[Trajectory, Tensor]:
        sigmas = self.sigmas(torch.linspace(1, 0, n_steps + 1))
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn((1, *LATENT), generator=generator) * sigmas[0]
        seen: list[tuple[Tensor, Tensor, Tensor]] = []
        for now, later in zip(sigmas[:-1], sigmas[1:], strict=True):
            concept, uncond = self(x.repeat(2, 1, 1, 1), now.expand(2), [prompt, ""])
            seen.append((x[0], concept, uncond))
            x = x + (uncond + 3 * (concept - uncond)) * (later - now)
        xs, concepts, unconds = (torch.stack(t) for t in zip(*seen, strict=True))
        return Trajectory(prompt, xs, sigmas[:-1], concepts, unconds), x[0]


def parameters_digest(model: nn.Module) -> str:
    """SHA-256 over all parameters, to the bit."""
    h = hashlib.sha256()
    for name, parameter in model.named_parameters():
        h.update(name.encode() + parameter.detach().numpy().tobytes())
    return h.hexdigest()


def toy_concepts(templates: tuple[str, ...] = TEMPLATES) -> ConceptSet:
    """Three concepts, one with a synonym, one with an anchor; two more words are protected."""
    return ConceptSet(
        (Concept("cat", ("kitten",)), Concept("rose"), Concept("van gogh", anchor="painting")),
        templates=templates,
        protected_concepts=("car", "pizza"),
        protected_prompts=("a red house",),
    )


def toy_increment(
    name: str = "cat",
    *,
    n_basis: int = 3,
    d_text: int = 8,
    d_out: int = 5,
    zone: DeadZone | None = None,
) -> Increment:
    """An increment of random coefficients in random directions."""
    basis = torch.linalg.qr(seeded(f"{name} basis", d_text, n_basis).double())[0].T.float()
    coef = {m: seeded(f"{name} {m}", d_out, n_basis) for m in ("block.to_k", "block.to_v")}
    zone = zone or DeadZone(0.25, 0.125, 0.75, "a dog")
    return Increment(Concept(name), basis.contiguous(), coef, dead_zone=zone)


def _linear(name: str, d_in: int, d_out: int) -> nn.Linear:
    layer = nn.Linear(d_in, d_out, bias=False)
    layer.weight.data = seeded(name, d_out, d_in) / d_in**0.5  # a new tensor
    return layer
