"""Where the time goes: in computing one concept, in the passes it consists of, and in applying.

SD1.5's UNet and CLIP-L with random weights, float32 on the CPU, latents of 32 x 32. Stages hold
what is spent in them alone: the text encoder is called while planning, but counted apart. Refining
is cut short, at two drawings and two steps, one of each when quick; by default there are eight
drawings and, from the closed form, about ten steps. Times are the processor's.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from bench.speed.real_size import N_TOKENS, clip_l, host, random_increments, unet
from bench.speed.timing import cpu_seconds, paired

__all__ = ["Stopwatch", "measure"]

SIDE = 32


def measure(quick: bool) -> dict[str, Any]:
    """Stages of computing, and what batches and running blocks twice cost; quick on less."""
    import torch  # noqa: PLC0415

    torch.set_num_threads(2)
    model, clip = unet(quick), clip_l()
    return {
        "narrower_unet": quick,
        "computing_seconds": _computing(model, clip, 1 if quick else 2),
        "text_encoder_seconds_per_prompt": _text_encoder(clip, 16 if quick else 32),
        "unet_seconds_per_picture": _unet_batches(model),
        "blocks_run_again": _running_again(model, clip, 2 if quick else 4),
        "applying_50_seconds": _applying(model),
    }


class Stopwatch:
    """Seconds by stage; time in an inner stage is not counted in the outer one."""

    def __init__(self, clock: Callable[[], float] = time.process_time) -> None:
        self.seconds: dict[str, float] = {}
        self._clock = clock
        self._inner = [0.0]

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What happens in the block belongs to this stage."""
        started = self._clock()
        self._inner.append(0.0)
        try:
            yield
        finally:
            whole = self._clock() - started
            own = whole - self._inner.pop()
            self._inner[-1] += whole
            self.seconds[name] = self.seconds.get(name, 0.0) + own

    def watch(self, owner: Any, attribute: str, name: str | Callable[[], str]) -> None:
        """Replaces a function by one that is timed, for the rest of the process."""
        run = getattr(owner, attribute)

        @wraps(run)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.stage(name if isinstance(name, str) else name()):
                return run(*args, **kwargs)

        setattr(owner, attribute, timed)


def _computing(model: Any, clip: Any, n: int) -> dict[str, float]:
    """One concept from its name to the increment, by closed form and n drawings and steps."""
    import torch  # noqa: PLC0415
    from sepme_pack.nodes.session import open_session  # noqa: PLC0415
    from sepme_pack.sepme_core import erase as erase_module  # noqa: PLC0415
    from sepme_pack.sepme_core import refine as refine_module  # noqa: PLC0415
    from sepme_pack.sepme_core.config import EraseConfig, RefineConfig  # noqa: PLC0415

    from tests.adapters.models import CONCEPTS  # noqa: PLC0415

    stages = Stopwatch()
    denoiser_class = host().HostDenoiser
    for owner, attribute, name in (
        (erase_module, "make_plans", "planning"),
        (erase_module, "closed_form_coefs", "closed form"),
        (erase_module, "measure_leak", "leak"),
        (erase_module, "collect", "drawing"),
        (refine_module._Memory, "solution", "refine: equations"),
        (torch.autograd, "grad", "refine: backward"),
        (denoiser_class, "__call__", _pass_name),
        (denoiser_class, "load", "loading the model"),
    ):
        stages.watch(owner, attribute, name)
    with stages.stage("opening: fingerprints, weights"):
        session = open_session(model, clip)
    stages.watch(type(session.encode), "__call__", "text encoding")
    refine = RefineConfig(max_steps=n, n_trajectories=n)
    with host().computing(), stages.stage("everything else"):
        erase_module.erase(
            CONCEPTS,
            CONCEPTS.choose(["cat"]),
            session.encode,
            session.weights,
            EraseConfig(method="closed form + refine", refine=refine),
            denoiser=denoiser_class(session.model, clip, 8 * SIDE),
        )
    return stages.seconds


def _pass_name() -> str:
    import torch  # noqa: PLC0415

    return "refine: forward" if torch.is_grad_enabled() else "drawing: passes beside the sampler"


def _text_encoder(clip: Any, n_prompts: int) -> dict[str, float]:
    """One by one, and in batches."""
    import torch  # noqa: PLC0415
    from sepme_pack.nodes.host import prompts as module  # noqa: PLC0415

    names = [f"a photo of thing number {i}" for i in range(n_prompts)]
    encode = host().encode_prompts(clip, torch.float32, 768)
    encode.once(names[:1])
    found = {}
    for size in (1, 4, 16):
        module._BATCH = size
        found[f"batches of {size}"] = cpu_seconds(lambda: encode.once(names)) / n_prompts
    return found


def _unet_batches(model: Any) -> dict[str, float]:
    """One picture at a time, prompt and negative prompt together, and more."""
    import torch  # noqa: PLC0415

    found = {}
    with torch.inference_mode():
        for n in (1, 2, 4):
            x, context = torch.randn(n, 4, SIDE, SIDE), torch.randn(n, N_TOKENS, 768)
            times = [
                cpu_seconds(
                    lambda x=x, context=context: model.model.apply_model(
                        x, torch.ones(len(x)), c_crossattn=context, transformer_options={}
                    )
                )
                for _ in range(3)
            ]
            found[f"batches of {n}"] = statistics.median(times) / n
    return found


def _running_again(model: Any, clip: Any, n_pairs: int) -> dict[str, float | int]:
    """A pass and its way back, blocks run again : everything remembered."""
    import torch  # noqa: PLC0415
    from sepme_pack.nodes.host import recomputing  # noqa: PLC0415
    from sepme_pack.sepme_core.application import attached  # noqa: PLC0415

    denoiser = host().HostDenoiser(model, clip, 8 * SIDE)
    x, sigma = torch.randn(1, 4, SIDE, SIDE), torch.ones(1)

    def way_back(elements: int) -> float:
        recomputing.REMEMBERED = elements
        leaf = torch.zeros(1, requires_grad=True)
        with attached(denoiser.layers, lambda _, e: leaf * e.mean(-1, keepdim=True)):
            return cpu_seconds(lambda: denoiser(x, sigma, [""]).sum().backward())

    with host().computing():
        denoiser.load()
        return paired(lambda: way_back(0), lambda: way_back(10**15), n_pairs)


def _applying(model: Any) -> dict[str, float]:
    """What fifty increments add up in one model call, all acting; without the host's hooks.

    In one thread: waking others for products as small as these takes longer than they do.
    """
    import torch  # noqa: PLC0415
    from sepme_pack.sepme_core.application import StackBranch  # noqa: PLC0415
    from sepme_pack.sepme_core.increment import Stack  # noqa: PLC0415

    layers = host().matching_layers(model, host().family_of(model).text_only)
    increments = random_increments(50, layers)
    context = torch.randn(2, N_TOKENS, 768)
    context[1, 3:53] += 50 * torch.stack([i.basis[0] for i in increments])
    stack = Stack.of(increments)

    def call(branch: Any, paths: list[str]) -> float:
        branch.begin()
        e = context.clone()
        return cpu_seconds(lambda: [branch(path, e) for path in paths])

    def median(paths: list[str], make: Callable[[], Any]) -> float:
        return statistics.median(call(make(), paths) for _ in range(5))

    torch.set_num_threads(1)
    kept, paths = StackBranch(stack), list(layers)
    call(kept, paths)
    everything = median(paths, lambda: StackBranch(stack))
    looking = median(paths[:1], lambda: StackBranch(stack))
    return {
        "first step: looking": looking,
        "first step: sums": everything - looking,
        "later steps": median(paths, lambda: kept),
    }
