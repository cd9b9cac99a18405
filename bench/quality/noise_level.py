"""What a change does to the predicted noise, where no sampling can average it away."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch

from bench.studio import Studio
from bench.tasks import State, Task
from sepme_core.objective import normalised_correlation

__all__ = ["NoiseLevel"]

N_TIMES, N_SEEDS = 10, 8


class NoiseLevel:
    """What methods predict on the same noised latents.

    These come from guided drawings with the untouched model, of one concept of every role, drawn
    when first asked for.

    Args:
        erased: what is erased in the models to come.
    """

    def __init__(self, studio: Studio, task: Task, erased: State) -> None:
        self._studio = studio
        self._shown = {task.role(name, erased): name for name in reversed(task.watched)}

    def measure(self, model: Any) -> dict[str, Any]:
        """Correlation left and relative change of the prediction, by time, noisiest first.

        Returns:
            concept -> `rho` ⟨r′, r⟩/⟨r, r⟩ and `change` ‖ε′ - ε‖/‖r‖, ten means over eight seeds
            each; r is what the prompt adds to the prediction.
        """
        with self._studio.host.computing(), torch.no_grad():
            return {f"{name} ({role})": self._of(model, name) for role, name in self._shown.items()}

    @cached_property
    def _drawings(self) -> dict[str, list[Any]]:
        denoiser = self._studio.denoiser()
        return {
            name: [denoiser.trajectory(name, seed, N_TIMES) for seed in range(N_SEEDS)]
            for name in self._shown.values()
        }

    def _of(self, model: Any, name: str) -> dict[str, list[float]]:
        prompts = self._studio.encode([name, ""])
        own, empty = (p.embeddings[None] for p in prompts)
        rho, change = [], []
        for seen in self._drawings[name]:
            r = seen.eps_concept - seen.eps_uncond
            with_prompt = self._studio.predict(model, seen.x, seen.sigma, own)
            without = self._studio.predict(model, seen.x, seen.sigma, empty)
            rho.append(normalised_correlation(with_prompt - without, r))
            moved = (with_prompt - seen.eps_concept).flatten(1).norm(dim=1)
            change.append(moved / r.flatten(1).norm(dim=1).clamp_min(1e-10))
        return {
            "rho": [round(v, 4) for v in torch.stack(rho).mean(0).tolist()],
            "change": [round(v, 4) for v in torch.stack(change).mean(0).tolist()],
        }
