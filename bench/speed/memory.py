"""Peak memory of computing, over the peak of sampling the same model at the same latent size.

Each job runs in a process of its own, float32 on the CPU, and the peak of its resident memory is
compared: Python, torch, ComfyUI, UNet and text encoder are in all of them. `job_mb` is what comes
on top of that, over the memory of a process that has only loaded and encoded a prompt.

Sampling is two guided steps of the host's sampler, one picture. Refining keeps its default of five
samples per pass; it runs two steps on one drawing, since later ones need no more. Blocks run again
in the backward pass, but for `refine, all remembered`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from bench.speed.real_size import clip_l, host, unet
from launch import cache

__all__ = ["JOBS", "measure"]

SIDE = 32
PROMPT = "a photo of a cat"


def measure(quick: bool) -> dict[str, Any]:
    """Per job the peak in megabytes and its ratio to sampling; quick on a narrower UNet."""
    peaks = {job: _in_a_process(job, quick) for job in JOBS if not (quick and "all" in job)}
    loaded = peaks.pop("loaded")
    return {
        "side": SIDE,
        "narrower_unet": quick,
        "loaded_mb": loaded,
        **{
            job: {
                "peak_mb": peak,
                "over_sampling": peak / peaks["sampling"],
                "job_mb": peak - loaded,
            }
            for job, peak in peaks.items()
        },
    }


def _in_a_process(job: str, quick: bool) -> float:
    command = [sys.executable, "-m", "bench.speed.memory", job, *["--quick"] * quick]
    done = subprocess.run(
        command, cwd=cache.REPOSITORY, check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])["peak_mb"]


def _loaded(model: Any, clip: Any) -> None:
    clip.encode_from_tokens_scheduled(clip.tokenize(PROMPT))


def _sampling(model: Any, clip: Any) -> None:
    _denoiser(model, clip).trajectory(PROMPT, seed=0, n_steps=2)


def _closed_form(model: Any, clip: Any) -> None:
    _erase(model, clip, "closed form")


def _refine(model: Any, clip: Any) -> None:
    from sepme_pack.nodes.host import recomputing  # noqa: PLC0415

    recomputing.REMEMBERED = 10**15
    _erase(model, clip, "closed form + refine", _denoiser(model, clip))


def _remembered(model: Any, clip: Any) -> None:
    from sepme_pack.nodes.host import recomputing  # noqa: PLC0415

    recomputing.REMEMBERED = 0
    _erase(model, clip, "closed form + refine", _denoiser(model, clip))


JOBS: dict[str, Callable[[Any, Any], None]] = {
    "loaded": _loaded,
    "sampling": _sampling,
    "closed form": _closed_form,
    "refine": _refine,
    "refine, all remembered": _remembered,
}


def _denoiser(model: Any, clip: Any) -> Any:
    return host().HostDenoiser(model, clip, 8 * SIDE)


def _erase(model: Any, clip: Any, method: str, denoiser: Any = None) -> None:
    from sepme_pack.nodes.session import open_session  # noqa: PLC0415
    from sepme_pack.sepme_core.config import EraseConfig, RefineConfig  # noqa: PLC0415
    from sepme_pack.sepme_core.erase import erase  # noqa: PLC0415

    from tests.adapters.models import CONCEPTS  # noqa: PLC0415

    session = open_session(model, clip)
    refine = RefineConfig(max_steps=2, n_trajectories=1)
    config = EraseConfig(method=method, refine=refine)
    with host().computing():
        erase(
            CONCEPTS,
            CONCEPTS.choose(["cat"]),
            session.encode,
            session.weights,
            config,
            denoiser=denoiser,
        )


def main() -> None:
    """One job in this process; prints the peak as the last line."""
    parser = argparse.ArgumentParser(prog="bench.speed.memory")
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    model, clip = unet(arguments.quick), clip_l()
    JOBS[arguments.job](model, clip)
    print(json.dumps({"peak_mb": _peak()}))


def _peak() -> float:
    """Largest resident memory so far, in megabytes."""
    if sys.platform == "win32":
        import psutil  # noqa: PLC0415

        return psutil.Process().memory_info().peak_wset / 1e6
    import resource  # noqa: PLC0415

    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()
