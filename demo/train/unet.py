"""Trains the UNet to predict the noise (SD's scaled-linear schedule) on latents of the pictures."""

from __future__ import annotations

import copy

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from demo import autoencoder, pictures
from demo.train.common import augment, begin, import_comfy, work
from demo.train.encode_text import distinct_prompts
from demo.vocabulary import NONE, training_prompts

STEPS = 4500
BATCH, LR = 16, 5e-4
# The smallest network that ComfyUI takes for SD1.5: one resolution, two text-only layers.
CONFIG = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 320,
    "num_res_blocks": [1],
    "channel_mult": [1],
    "transformer_depth": [1],
    "transformer_depth_output": [0, 0],
    "transformer_depth_middle": -2,
    "num_heads": 8,
    "num_head_channels": -1,
    "use_spatial_transformer": True,
    "context_dim": 768,
    "use_linear_in_transformer": False,
    "legacy": False,
}


def build() -> nn.Module:
    """ComfyUI's UNet of that size, initialised: its layers come with whatever was in memory."""
    import_comfy()
    import comfy.ops
    from comfy.ldm.modules.attention import SpatialTransformer
    from comfy.ldm.modules.diffusionmodules.openaimodel import ResBlock, UNetModel

    ops = comfy.ops.disable_weight_init
    model = UNetModel(**CONFIG, dtype=torch.float32, operations=ops)
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            _initialise(layer)
        elif isinstance(layer, nn.LayerNorm | nn.GroupNorm):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
    for block in model.modules():
        if isinstance(block, ResBlock):
            _scale(block.out_layers[-1], 0.0)
        elif isinstance(block, SpatialTransformer):
            _scale(block.proj_out, 0.3)
    _scale(model.out[-1], 0.0)
    return model


def _initialise(layer: nn.Module) -> None:
    nn.init.kaiming_uniform_(layer.weight, a=5**0.5)
    if layer.bias is not None:
        bound = layer.weight[0].numel() ** -0.5
        nn.init.uniform_(layer.bias, -bound, bound)


def _scale(layer: nn.Module, factor: float) -> None:
    """Lets a residual branch begin small: less of its last layer, and no bias."""
    layer.weight.data.mul_(factor)
    layer.bias.data.zero_()


class Data:
    """Latents of the pictures in four variants each, and prompts that fit them."""

    def __init__(self):
        self.latents, self.objects, self.styles = _latents(n_variants=4)
        encoded = load_file(work("text.safetensors"))
        number = {text: str(i) for i, text in enumerate(distinct_prompts())}
        self.embeddings: dict[tuple[int, int], list[Tensor]] = {}
        for text, object_, style in training_prompts():
            if number[text] in encoded:
                self.embeddings.setdefault((object_, style), []).append(encoded[number[text]])

    def batch(self) -> tuple[Tensor, Tensor]:
        """Latents `[16, 4, 8, 8]` and embeddings `[16, 77, 768]` drawn at random."""
        chosen = torch.randint(len(self.latents), (BATCH,))
        pairs = zip(self.objects[chosen].tolist(), self.styles[chosen].tolist(), strict=True)
        embeddings = torch.stack([self._prompt(o, s) for o, s in pairs]).float()
        return self.latents[chosen], embeddings

    def _prompt(self, object_: int, style: int) -> Tensor:
        """Embeddings of a prompt that names the object, the style, both or neither."""
        r = torch.rand(1).item()
        named = (object_, style)
        if r < 0.13:
            named = (NONE, NONE)
        elif r < 0.45:
            named = (object_, NONE)
        elif r >= 0.85:
            named = (NONE, style)
        choice = self.embeddings[named]
        return choice[int(torch.randint(len(choice), (1,)))]


@torch.no_grad()
def _latents(n_variants: int) -> tuple[Tensor, Tensor, Tensor]:
    images, objects, styles = pictures.training_pictures()
    variants = torch.cat([images] + [augment(images) for _ in range(n_variants - 1)])
    encode = autoencoder.load(load_file(work("vae.safetensors"))).encode
    latents = torch.cat([encode(part) for part in variants.split(8)])
    return latents, objects.repeat(n_variants), styles.repeat(n_variants)


def alphas() -> Tensor:
    """The share of the picture in the noisy latent's variance, at each of the 1000 times."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0).float()


def weights(alpha: Tensor) -> Tensor:
    """Weight of the error at each time: less at tiny noise, more where noise hides the picture."""
    ratio = alpha / (1 - alpha)
    return (ratio.clamp(max=5) / ratio) * (1 + 1 / ratio).sqrt().clamp(max=8)


def error(model: nn.Module, data: Data, alpha: Tensor, weight: Tensor) -> Tensor:
    """The weighted squared error of the predicted noise on one batch, at stratified times."""
    clean, embeddings = data.batch()
    times = ((torch.arange(BATCH) + torch.rand(1)) / BATCH * 1000).long()
    noise = torch.randn_like(clean)
    share = alpha[times].view(-1, 1, 1, 1)
    noisy = (share.sqrt() * clean + (1 - share).sqrt() * noise).contiguous(
        memory_format=torch.channels_last
    )
    predicted = model(noisy, times.float(), context=embeddings, transformer_options={})
    return ((predicted - noise).square().mean((1, 2, 3)) * weight[times]).mean()


def learning_rate(step: int, steps: int) -> float:
    """Up over 100 steps, level, then down to almost 0 over the last 60 %."""
    return LR * min(1, (step + 1) / 100) * min(1, max(0.02, (1 - step / steps) / 0.6))


def main() -> None:
    """Trains and writes `unet.safetensors`: float16, the running mean of the weights."""
    steps = begin(__doc__, STEPS)
    model = build().to(memory_format=torch.channels_last).train()
    mean = copy.deepcopy(model).eval()
    data, alpha = Data(), alphas()
    weight = weights(alpha)
    optimiser = torch.optim.AdamW(model.parameters(), lr=LR, betas=(0.9, 0.99), weight_decay=1e-3)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, steps)
        value = error(model, data, alpha, weight)
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        keep = min(0.998, (step + 1) / (step + 21))
        with torch.no_grad():
            torch._foreach_lerp_(list(mean.parameters()), list(model.parameters()), 1 - keep)
        if step % 100 == 0:
            print(f"step {step} of {steps}: loss {value.item():.4f}", flush=True)
    save_file(
        {name: tensor.half().contiguous() for name, tensor in mean.state_dict().items()},
        work("unet.safetensors"),
    )


if __name__ == "__main__":
    main()
