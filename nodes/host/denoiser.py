"""The host's loaded model as a denoiser for the core's gradient methods."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import comfy.model_management
import comfy.sample
import comfy.sampler_helpers
import comfy.samplers
import torch
from comfy.ldm.modules.attention import attention_pytorch
from torch import Tensor, nn

from ...sepme_core.denoiser import Trajectory
from ...sepme_core.errors import ConceptError, IncompatibleError
from .layers import compute_dtype, family_of, matching_layers
from .previews import previewer
from .recomputing import within_memory
from .sampling import Sampling, conditioning, empty_latent, sample

__all__ = ["HostDenoiser", "autograd_ready", "computing"]

GUIDANCE = 5.0  # classifier-free guidance when drawing the concept: between the usual 4 and 7.5


class HostDenoiser:
    """A MODEL and its CLIP behind the interface of `sepme_core.denoiser.Denoiser`.

    Args:
        model: a patcher without increments; loaded on first use.
        clip: its text encoder.
        resolution: height and width of drawn pictures, in pixels.
        on_draw: called with (prompt, step, n_steps) while pictures are drawn.
    """

    def __init__(self, model: Any, clip: Any, resolution: int, on_draw: Any = None) -> None:
        self._model = _static(model)
        self._clip = clip
        self._resolution = resolution
        self._on_draw = on_draw or (lambda *_: None)
        self._conditions: dict[str, dict[str, Any]] = {}
        self._loaded = False
        self._previewer = previewer(self._model)
        self._seen: Tensor | None = None
        family = family_of(model)
        self.layers = matching_layers(self._model, family.text_only)
        self.cross_attention = matching_layers(self._model, family.cross_attention)

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return self._model.load_device

    def load(self) -> None:
        """Brings the whole model to its device and makes autograd possible; values stay the same.

        Whole, since weights that the host streams through one buffer cannot be differentiated
        through. The text encoder or the sampler may have moved it since the last time.
        """
        if hasattr(self._model, "unpin_all_weights"):
            self._model.unpin_all_weights()
        comfy.model_management.load_models_gpu([self._model], force_full_load=True)
        autograd_ready(self._model.model)
        self._loaded = True

    def __call__(self, x: Tensor, sigma: Tensor, prompts: Sequence[str]) -> Tensor:
        """Predicted noise, see `Denoiser`."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        first, *others = [self._condition(p, x) for p in prompts]
        conditions = {k: c.concat([o[k] for o in others]) for k, c in first.items()}
        if not self._loaded:
            self.load()
        options = dict(self._model.model_options.get("transformer_options", {}))
        options["optimized_attention_override"] = _plain_attention
        options["cond_or_uncond"] = [0]
        with within_memory(self._model.model.diffusion_model, x, compute_dtype(self._model)):
            denoised = self._model.model.apply_model(
                x, sigma, **conditions, transformer_options=options
            )
        self._seen = denoised[-1:].detach()
        return (x - denoised) / _like(sigma, x)

    def preview(self) -> Any:
        """What the model sees in the picture at hand, small, as the host sends it; or None."""
        return None if self._seen is None else self._previewer(self._seen)

    def add_noise(self, latents: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        """See `Denoiser`."""
        sampling = self._model.get_model_object("model_sampling")
        return sampling.noise_scaling(_like(sigma, latents), noise, latents)

    def sigmas(self, fractions: Tensor) -> Tensor:
        """See `Denoiser`."""
        sampling = self._model.get_model_object("model_sampling")
        low, high = float(sampling.sigma_min), float(sampling.sigma_max)
        found = [sampling.percent_to_sigma(1 - f) for f in fractions.tolist()]
        return torch.tensor([min(max(float(s), low), high) for s in found])

    def draw(self, prompt: str, n: int, seed: int, n_steps: int) -> Tensor:
        """See `Denoiser`; drawn one by one with the host's own sampler."""
        drawn = [self._sample(self._model, prompt, seed + i, n_steps) for i in range(n)]
        return torch.cat(drawn).to(self.device)

    def trajectory(self, prompt: str, seed: int, n_steps: int) -> Trajectory:
        """See `Denoiser`; the sampler's own predictions are kept."""
        seen: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

        def keep(args: dict[str, Any]) -> Tensor:
            x, sigma = args["input"], args["sigma"]
            scale = _like(sigma, x)
            seen.append(
                (
                    x.clone(),
                    sigma.clone(),
                    (x - args["cond_denoised"]) / scale,
                    (x - args["uncond_denoised"]) / scale,
                )
            )
            return args["denoised"]

        watched = self._model.clone()
        watched.set_model_sampler_post_cfg_function(keep, disable_cfg1_optimization=True)
        self._sample(watched, prompt, seed, n_steps)
        x, sigma, concept, uncond = (torch.cat(parts) for parts in zip(*seen, strict=True))
        return Trajectory(prompt, x, sigma, concept, uncond)

    def model_latents(self, latents: Tensor) -> Tensor:
        """Latents of the graph in the model's own scale."""
        if not latents.any():
            raise ConceptError(
                "The latent is empty, but pictures of the concept are needed. Connect drawn or "
                "encoded pictures, or leave the input open to have them drawn."
            )
        latents = comfy.sample.fix_empty_latent_channels(self._model, latents.detach().clone())
        return self._model.model.process_latent_in(latents.float()).to(self.device)

    def _sample(self, model: Any, prompt: str, seed: int, n_steps: int) -> Tensor:
        self._loaded = False

        def on_step(step: int, denoised: Tensor) -> None:
            self._seen = denoised[-1:]
            self._on_draw(prompt, step, n_steps)

        empty = empty_latent(model, self._resolution, self._resolution)
        how = Sampling(n_steps, GUIDANCE)
        drawn = sample(model, self._encode(prompt), self._encode(""), empty, seed, how, on_step)
        return self._model.model.process_latent_in(drawn.float())

    def _encode(self, prompt: str) -> list:
        self._loaded = False
        return [
            [
                c.detach().clone(),
                {k: v.detach().clone() if torch.is_tensor(v) else v for k, v in extra.items()},
            ]
            for c, extra in conditioning(self._clip, prompt)
        ]

    def _condition(self, prompt: str, x: Tensor) -> dict[str, Any]:
        """The host's own conditions of one prompt; they know how to be joined to others."""
        if prompt not in self._conditions:
            with torch.no_grad():
                self._conditions[prompt] = self._encode_for_model(prompt, x)
        return self._conditions[prompt]

    def _encode_for_model(self, prompt: str, x: Tensor) -> dict[str, Any]:
        conds = comfy.sampler_helpers.convert_cond(self._encode(prompt))
        conds = comfy.samplers.encode_model_conds(
            self._model.model.extra_conds, conds, x[:1], x.device, "positive"
        )
        made = {
            k: v.process_cond(batch_size=1, area=None, device=x.device)
            for k, v in conds[0]["model_conds"].items()
        }
        # Made in inference mode, where autograd could not keep them.
        return {k: v._copy_with(_ordinary(v.cond)) for k, v in made.items()}


@contextmanager
def computing() -> Iterator[None]:
    """Leaves the host's inference mode, in which nothing can be differentiated."""
    management = comfy.model_management
    had = getattr(management, "in_training", None)
    with torch.inference_mode(False), torch.enable_grad():
        if had is not None:
            management.in_training = True
        try:
            yield
        finally:
            if had is not None:
                management.in_training = had


def autograd_ready(network: nn.Module) -> None:
    """Replaces inference tensors among parameters and buffers by equal ordinary ones.

    Autograd cannot save inference tensors for the backward pass, and freshly loaded checkpoints
    consist of them. One at a time, so that no second copy of the model exists.
    """
    with torch.inference_mode(False):
        for module in network.modules():
            for name, parameter in list(module._parameters.items()):
                if parameter is not None and parameter.is_inference():
                    module._parameters[name] = nn.Parameter(parameter.clone(), requires_grad=False)
                elif parameter is not None:
                    parameter.requires_grad_(False)
            for name, buffer in list(module._buffers.items()):
                if buffer is not None and buffer.is_inference():
                    module._buffers[name] = buffer.clone()


def _static(model: Any) -> Any:
    """A clone whose weights are real tensors, also where the host streams them."""
    if "disable_dynamic" not in inspect.signature(model.clone).parameters:
        return model.clone()
    try:
        return model.clone(disable_dynamic=True)
    except RuntimeError as error:
        raise IncompatibleError(
            f"The host streams this model's weights and cannot load it whole ({error}). Use the "
            "stock checkpoint loader, start ComfyUI with --disable-dynamic-vram, or use the closed "
            "form, which needs no drawing."
        ) from error


def _ordinary(value: Any) -> Any:
    return value.detach().clone() if torch.is_tensor(value) else value


def _plain_attention(_: Any, *args: Any, **kwargs: Any) -> Tensor:
    """The host's default on the CPU is not meant for gradients."""
    return attention_pytorch(*args, **kwargs)


def _like(sigma: Tensor, x: Tensor) -> Tensor:
    return sigma.view(-1, *[1] * (x.ndim - 1))
