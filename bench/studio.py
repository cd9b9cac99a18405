"""A checkpoint in the host's own classes, in this process: it encodes, draws and carries changes.

Every method is measured through the one `draw`, so that pictures differ by the method alone: the
same noise, the same batches, the host's own sampler.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tests.adapters.boot import boot

__all__ = ["CHANNELS_LAST", "Request", "Studio"]

CHANNELS_LAST = "--force-channels-last"
"""The host's own option; convolutions on a CPU are up to a fifth faster with it."""


class Request(NamedTuple):
    """One picture to draw: of a prompt, or of its embeddings `[1, n_tokens, d_text]`."""

    prompt: str | Tensor
    seed: int


class Studio:
    """A loaded checkpoint.

    Args:
        checkpoint: SD 1.x or SDXL, as ComfyUI takes it.
        resolution: height and width of pictures, in pixels.
        batch: pictures drawn at once. Only pictures of equal batches may be compared to the bit.
        accelerator: compute on it instead of the CPU.
    Raises:
        ValueError: it cannot be loaded, or is of another family of models.
    """

    def __init__(
        self, checkpoint: Path, resolution: int = 64, batch: int = 32, accelerator: bool = False
    ) -> None:
        boot(() if accelerator else ("--cpu", CHANNELS_LAST))
        from sepme_pack.nodes import host  # noqa: PLC0415  (on the path only now)

        self.host, self.resolution, self.batch = host, resolution, batch
        try:
            self.model, self.clip, self.vae = _load(checkpoint)
            self.family = host.family_of(self.model)
        except Exception as error:
            raise ValueError(
                f"{checkpoint} cannot be measured: {error}\nGive an SD 1.x, SD 2.x or SDXL "
                "checkpoint with its text encoder and VAE, as ComfyUI loads it."
            ) from error
        self.weights: dict[str, Tensor] = host.text_only_weights(self.model)
        self.dtype = host.compute_dtype(self.model)
        self.encode = host.encode_prompts(self.clip, self.dtype, self.family.d_text)
        self._conditions: dict[str, Any] = {}

    @property
    def one_encoder(self) -> bool:
        """Whether prompts go through CLIP-L alone, as in SD 1.x."""
        return set(self.clip.tokenize("")) == {"l"}

    def denoiser(self) -> Any:
        """The untouched model for methods that train; see `sepme_core.denoiser.Denoiser`."""
        denoiser = self.host.HostDenoiser(self.model, self.clip, self.resolution)
        denoiser.load()
        return denoiser

    def predict(self, model: Any, x: Tensor, sigma: Tensor, embeddings: Tensor) -> Tensor:
        """Noise `[n, *latent]` that any model predicts, differentiable.

        Args:
            x, sigma: noised latents in the model's scale and their noise levels `[n]`.
            embeddings: `[n, n_tokens, d_text]`, or `[1, …]` for all.
        """
        import comfy.model_management  # noqa: PLC0415

        comfy.model_management.load_models_gpu([model], force_full_load=True)
        self.host.autograd_ready(model.model)
        options = {
            # As the host's samplers do it: increments that are applied exactly live there.
            "wrappers": {kind: dict(known) for kind, known in model.wrappers.items()},
            "cond_or_uncond": [0],
        }
        context = embeddings.to(x.device).expand(len(x), -1, -1)
        denoised = model.model.apply_model(
            x, sigma, c_crossattn=context, transformer_options=options
        )
        return (x - denoised) / sigma.view(-1, *[1] * (x.ndim - 1))

    def word_embedding(self, word: str) -> Tensor:
        """What goes into the text encoder for the first token of a word, `[d_text]`."""
        (token, *_), *_ = self._tokens(word)[0][1:2]
        table = self.clip.cond_stage_model.clip_l.transformer.get_input_embeddings()
        return table.weight[token].float()

    def of_word(self, word: Tensor) -> Tensor:
        """Embeddings `[1, n_tokens, d_text]` of a prompt that is one token, differentiable."""
        rows = self._tokens("a")
        rows[0][1] = (word, *rows[0][1][1:])
        return self.clip.cond_stage_model.encode_token_weights({"l": rows})[0]

    def _tokens(self, prompt: str) -> list[list[Any]]:
        return self.clip.tokenize(prompt)["l"]

    def changed(self, deltas: Mapping[str, Tensor]) -> Any:
        """A clone of the model with ΔW `[d_out, d_in]` added to layers, by module path."""
        clone = self.model.clone()
        patches = {f"diffusion_model.{k}.weight": ("diff", (v,)) for k, v in deltas.items()}
        taken = clone.add_patches(patches)
        if set(taken) != set(patches):
            raise RuntimeError(f"the host did not take {sorted(set(patches) - set(taken))}")
        return clone

    def draw(
        self,
        model: Any,
        requests: Sequence[Request],
        *,
        steps: int = 20,
        cfg: float = 4.0,
        on_batch: Callable[[int], None] = lambda _: None,
    ) -> np.ndarray:
        """Pictures `[n, height, width, 3]` uint8; euler, in batches of different prompts.

        Args:
            model: a clone of the studio's.
            on_batch: called with the number of pictures after every batch.
        """
        drawn = []
        for start in range(0, len(requests), self.batch):
            part = requests[start : start + self.batch]
            drawn.append(self._batch(model, part, steps, cfg))
            on_batch(len(part))
        return np.concatenate(drawn)

    @torch.inference_mode()
    def _batch(self, model: Any, requests: Sequence[Request], steps: int, cfg: float) -> np.ndarray:
        import comfy.sample  # noqa: PLC0415

        one = self.host.empty_latent(model, self.resolution, self.resolution)
        empty = one.repeat(len(requests), 1, 1, 1)
        noise = torch.cat([comfy.sample.prepare_noise(one, r.seed) for r in requests])
        positive = _joined([self._condition(r.prompt) for r in requests])
        how = (steps, cfg, "euler", "normal", positive, self._condition(""), empty)
        latents = comfy.sample.sample(model, noise, *how, disable_pbar=True, seed=0)
        images = self.host.decode(self.vae, latents)
        return (images.clamp(0, 1) * 255).round().to(torch.uint8).numpy()

    def _condition(self, prompt: str | Tensor) -> Any:
        if torch.is_tensor(prompt):
            return [[prompt, {}]]
        if prompt not in self._conditions:
            self._conditions[prompt] = self.host.conditioning(self.clip, prompt)
        return self._conditions[prompt]


def _load(checkpoint: Path) -> tuple[Any, Any, Any]:
    """Model, text encoder and VAE."""
    import comfy.sd  # noqa: PLC0415  (on the path by now)

    found = comfy.sd.load_checkpoint_guess_config(
        str(checkpoint), output_vae=True, output_clip=True
    )[:3]
    missing = [n for n, part in zip(("model", "CLIP", "VAE"), found, strict=True) if part is None]
    if missing:
        raise ValueError(f"there is no {' and no '.join(missing)} in it.")
    return found


def _joined(conditions: Sequence[Any]) -> Any:
    """One conditioning of a batch of prompts; the host gives each picture its row.

    Shorter prompts are repeated, as the host does with those of one batch.
    """
    entries = [c[0] for c in conditions]
    length = math.lcm(*(e.shape[1] for e, _ in entries))
    embeddings = torch.cat([e.repeat(1, length // e.shape[1], 1) for e, _ in entries])
    extra = dict(entries[0][1])
    for key, value in extra.items():
        if torch.is_tensor(value):
            extra[key] = torch.cat([e[key] for _, e in entries])
    return [[embeddings, extra]]
