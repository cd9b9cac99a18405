"""The one package that knows the host's internals."""

from .applying import (
    KEY,
    WAY_OUT,
    applied,
    apply_exact,
    apply_merged,
    at_work,
    check_same_encoder,
    from_other_checkpoints,
    remove,
    without_increments,
)
from .contents import digest, is_told
from .denoiser import HostDenoiser, autograd_ready, computing
from .downstream import Writer, weight_writers
from .families import FAMILIES, Family
from .fingerprints import (
    base_fingerprint,
    differing,
    encoder_digest,
    model_fingerprint,
    solved_on,
    text_encoder_fingerprint,
)
from .folders import own_folder, register_folder
from .layers import compute_dtype, family_of, matching_layers, text_only_weights
from .naming import lora_names
from .picture_size import picture_size
from .previews import previewer
from .prompts import encode_prompts
from .running import (
    NodeProgress,
    compute_device,
    harmless,
    inert,
    memory_explained,
    send,
    server_routes,
    show_text,
)
from .sampling import Sampling, conditioning, decode, empty_latent, sample, samplers, schedulers
from .window import Window

__all__ = [
    "FAMILIES",
    "KEY",
    "WAY_OUT",
    "Family",
    "HostDenoiser",
    "NodeProgress",
    "Sampling",
    "Window",
    "Writer",
    "applied",
    "apply_exact",
    "apply_merged",
    "at_work",
    "autograd_ready",
    "base_fingerprint",
    "check_same_encoder",
    "compute_device",
    "compute_dtype",
    "computing",
    "conditioning",
    "decode",
    "differing",
    "digest",
    "empty_latent",
    "encode_prompts",
    "encoder_digest",
    "family_of",
    "from_other_checkpoints",
    "harmless",
    "inert",
    "is_told",
    "lora_names",
    "matching_layers",
    "memory_explained",
    "model_fingerprint",
    "own_folder",
    "picture_size",
    "previewer",
    "register_folder",
    "remove",
    "sample",
    "samplers",
    "schedulers",
    "send",
    "server_routes",
    "show_text",
    "solved_on",
    "text_encoder_fingerprint",
    "text_only_weights",
    "weight_writers",
    "without_increments",
]
