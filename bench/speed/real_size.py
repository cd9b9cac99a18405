"""Models of real size with random weights, in the host's own classes, in this process."""

from __future__ import annotations

from typing import Any

from tests.adapters.boot import boot

__all__ = ["N_TOKENS", "clip_l", "host", "random_increments", "unet"]

N_TOKENS = 77
QUICK_CHANNELS = 128  # in place of SD1.5's 320: every layer and block, a sixth of the weights


def host() -> Any:
    """The pack's host package, with ComfyUI imported beside it."""
    boot()
    from sepme_pack.nodes import host as found  # noqa: PLC0415

    return found


def unet(quick: bool = False) -> Any:
    """A MODEL of SD1.5's size in float32 (860M parameters); narrower when quick."""
    host()
    import comfy.supported_models  # noqa: PLC0415
    import torch  # noqa: PLC0415

    from tests.adapters import models  # noqa: PLC0415
    from tests.adapters.real_sizes import SD15  # noqa: PLC0415

    channels = {"model_channels": QUICK_CHANNELS} if quick else {}
    config = comfy.supported_models.SD15({**SD15, **channels, "dtype": torch.float32})
    config.set_inference_dtype(torch.float32, None)
    return models.patcher(config.get_model({}, device=models.CPU))


def clip_l() -> Any:
    """A CLIP of SD1.5's size in float32 (123M parameters)."""
    host()
    import comfy.sd  # noqa: PLC0415
    import comfy.sd1_clip  # noqa: PLC0415
    import torch  # noqa: PLC0415
    from comfy.supported_models_base import ClipTarget  # noqa: PLC0415

    from tests.adapters import models  # noqa: PLC0415

    target = ClipTarget(comfy.sd1_clip.SD1Tokenizer, comfy.sd1_clip.SD1ClipModel)
    made = comfy.sd.CLIP(target, model_options={"dtype": torch.float32})
    models.fill(made.cond_stage_model, 0)
    return made


def random_increments(n: int, layers: dict[str, Any], rank: int = 4) -> list[Any]:
    """Increments in random directions, mutually orthogonal, over all the layers."""
    import torch  # noqa: PLC0415
    from sepme_pack.sepme_core.concepts import Concept  # noqa: PLC0415
    from sepme_pack.sepme_core.dead_zone import DeadZone  # noqa: PLC0415
    from sepme_pack.sepme_core.increment import Increment  # noqa: PLC0415

    generator = torch.Generator().manual_seed(0)
    d_text = next(iter(layers.values())).in_features
    directions = torch.linalg.qr(torch.randn(d_text, n * rank, generator=generator))[0].T
    return [
        Increment(
            Concept(f"concept {i}"),
            basis.contiguous(),
            {
                path: torch.randn(layer.out_features, rank, generator=generator)
                for path, layer in layers.items()
            },
            dead_zone=DeadZone(0.5, 0.25, 0.75),
        )
        for i, basis in enumerate(directions.chunk(n))
    ]
