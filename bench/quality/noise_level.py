"""What a change does to the predicted noise, where no sampling can average it away."""

from __future__ import annotations

from typing import Any

import torch

from bench.studio import Studio
from bench.tasks import State, Task
from sepme_core.objective import normalised_correlation

__all__ = ["measure"]

N_TIMES, N_SEEDS = 10, 8


def measure(studio: Studio, task: Task, model: Any, erased: State) -> dict[str, Any]:
    """Correlation left and relative change of the prediction, by time, noisiest first.

    Noised latents come from guided drawings of the same prompt with the untouched model.

    Returns:
        concept -> `rho` ⟨r′, r⟩/⟨r, r⟩ and `change` ‖ε′ - ε‖/‖r‖, ten means over eight seeds each;
        r is what the prompt adds to the prediction. One concept of every role.
    """
    shown = {task.role(name, erased): name for name in reversed(task.watched)}
    with studio.host.computing(), torch.no_grad():
        return {f"{name} ({role})": _of(studio, model, name) for role, name in shown.items()}


def _of(studio: Studio, model: Any, name: str) -> dict[str, list[float]]:
    denoiser, prompts = studio.denoiser(), studio.encode([name, ""])
    own, empty = (p.embeddings[None] for p in prompts)
    drawings = [denoiser.trajectory(name, seed, N_TIMES) for seed in range(N_SEEDS)]
    rho, change = [], []
    for seen in drawings:
        r = seen.eps_concept - seen.eps_uncond
        with_prompt = studio.predict(model, seen.x, seen.sigma, own)
        without = studio.predict(model, seen.x, seen.sigma, empty)
        rho.append(normalised_correlation(with_prompt - without, r))
        moved = (with_prompt - seen.eps_concept).flatten(1).norm(dim=1)
        change.append(moved / r.flatten(1).norm(dim=1).clamp_min(1e-10))
    return {
        "rho": [round(v, 4) for v in torch.stack(rho).mean(0).tolist()],
        "change": [round(v, 4) for v in torch.stack(change).mean(0).tolist()],
    }
