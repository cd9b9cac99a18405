"""Encodes the training prompts with the seeded text encoder, through ComfyUI's own code."""

from __future__ import annotations

from safetensors.torch import save_file
from torch import Tensor

from demo import text_encoder
from demo.train.common import begin, import_comfy, work
from demo.vocabulary import training_prompts

# CLIP has them for comparing with pictures; a diffusion model's checkpoint does not.
UNUSED = ("logit_scale", "text_projection.weight")


def load_clip():
    """ComfyUI's CLIP object with the seeded text encoder in it.

    Raises:
        RuntimeError: a weight is missing or has no place.
    """
    import_comfy()
    import comfy.sd
    import comfy.sd1_clip
    import comfy.supported_models_base
    import comfy.utils

    weights = comfy.utils.state_dict_prefix_replace(
        text_encoder.state_dict(), {"cond_stage_model.": "clip_l."}
    )
    target = comfy.supported_models_base.ClipTarget(
        comfy.sd1_clip.SD1Tokenizer, comfy.sd1_clip.SD1ClipModel
    )
    n_parameters = comfy.utils.calculate_parameters(weights)
    clip = comfy.sd.CLIP(target, parameters=n_parameters, tokenizer_data=weights)
    missing, unexpected = clip.load_sd(weights, full_model=True)
    if unexpected or [name for name in missing if not name.endswith(UNUSED)]:
        raise RuntimeError(f"the text encoder does not fit: {missing=} {unexpected=}")
    return clip


def encode(clip, text: str) -> Tensor:
    """Embeddings `[77, 768]` float16 of a prompt."""
    return clip.encode_from_tokens(clip.tokenize(text), return_pooled=False)[0].half().clone()


def main() -> None:
    """Writes `text.safetensors`: one tensor per distinct prompt, numbered in order."""
    n_prompts = begin(__doc__, len(distinct_prompts()))
    clip = load_clip()
    tensors = {str(i): encode(clip, t) for i, t in enumerate(distinct_prompts()[:n_prompts])}
    save_file(tensors, work("text.safetensors"))


def distinct_prompts() -> list[str]:
    """The training prompts, each once, in the order of their first appearance."""
    return list(dict.fromkeys(prompt.text for prompt in training_prompts()))


if __name__ == "__main__":
    main()
