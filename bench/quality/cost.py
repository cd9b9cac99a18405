"""What erasing by the denoiser costs: the paper's procedure and refine, side by side.

Six objects and a watermark prompt known together, the cat erased. Counted are denoiser evaluations
(forward = 1, backward = 2; the pictures that each method draws for itself included), seconds, what
correlation is left, and how many cats are still drawn. The paper's procedure runs with its
published settings until its own stopping rule or its 1000 steps. What is left is measured alike
for all three, on drawings that none of them has seen.
"""

from __future__ import annotations

import time
from typing import Any

from bench.quality.erasing import PROMPTS, Result
from bench.quality.paper import SIX
from tests.adapters.boot import boot

__all__ = ["REFERENCE", "RUNS", "Lab"]

REFERENCE = "paper separate"
RUNS = (REFERENCE, "refine", "closed form + refine")
NAME, N_PICTURES, UNSEEN_SEED = "cat", 16, 1_000_000


class Lab:
    """The demo model in the host's own classes, in this process: no server."""

    def __init__(self) -> None:
        boot()
        import comfy.sd  # noqa: PLC0415  (on the path only now)
        import torch  # noqa: PLC0415
        from sepme_pack.nodes import host  # noqa: PLC0415

        from launch.demo import checkpoint  # noqa: PLC0415

        self.host, self.torch = host, torch
        torch.set_num_threads(1)  # seconds on a busy machine are then comparable
        self.model, self.clip, self.vae, _ = comfy.sd.load_checkpoint_guess_config(
            str(checkpoint()), output_vae=True, output_clip=True
        )
        dtype, width = host.compute_dtype(self.model), host.family_of(self.model).d_text
        self.encode = host.encode_prompts(self.clip, dtype, width)
        self.weights = host.text_only_weights(self.model)
        self.started = time.time()

    def measure(self, method: str) -> Result:
        """Cost of a method, correlation left, cats drawn."""
        cpu = time.process_time()
        erasure = self._erased(method)
        cpu = time.process_time() - cpu
        return {
            "run": self.started,
            "evaluations": erasure.evaluations,
            "seconds": erasure.seconds,
            "cpu_seconds": cpu,
            "steps": len(erasure.statistics),
            "stopped_by_its_rule": erasure.converged,
            "statistic": erasure.statistics[-1],
            "rho": self._correlation_left(erasure.increment),
            "drawn": {t: self._drawn(erasure.increment, t.format(NAME)) for t in PROMPTS},
            "pictures": N_PICTURES,
        }

    def _erased(self, method: str) -> Any:
        from sepme_pack.sepme_core.config import BasisConfig, EraseConfig  # noqa: PLC0415
        from sepme_pack.sepme_core.erase import erase  # noqa: PLC0415

        paper = method == REFERENCE
        # The paper knows bare names; its basis has no room for phrasings.
        concepts = self._concepts(**({"templates": ()} if paper else {}))
        basis = BasisConfig(protection="full") if paper else BasisConfig()
        config = EraseConfig(method=method, basis=basis)
        with self.host.computing():
            denoiser = self._denoiser()
            chosen = [concepts[NAME]]
            return erase(concepts, chosen, self.encode, self.weights, config, denoiser=denoiser)[0]

    def _concepts(self, **fields: Any) -> Any:
        from sepme_pack.sepme_core.concepts import Concept, ConceptSet  # noqa: PLC0415

        return ConceptSet(tuple(map(Concept, SIX)), protected_prompts=("watermark",), **fields)

    def _denoiser(self) -> Any:
        denoiser = self.host.HostDenoiser(self.model, self.clip, 64)
        denoiser.load()
        return denoiser

    def _correlation_left(self, increment: Any) -> list[float]:
        """Mean ρ in ten time intervals, noisiest first, over twelve unseen drawings."""
        from sepme_pack.sepme_core.application import StackBranch, attached  # noqa: PLC0415
        from sepme_pack.sepme_core.config import RefineConfig  # noqa: PLC0415
        from sepme_pack.sepme_core.denoiser import CountingDenoiser  # noqa: PLC0415
        from sepme_pack.sepme_core.increment import Stack  # noqa: PLC0415
        from sepme_pack.sepme_core.objective import normalised_correlation  # noqa: PLC0415
        from sepme_pack.sepme_core.targets import collect  # noqa: PLC0415

        concepts = self._concepts()
        prompts = concepts.prompts_of(concepts[NAME])
        settings = RefineConfig(n_trajectories=12, n_sampling_steps=10)
        with self.host.computing(), self.torch.no_grad():
            denoiser = self._denoiser()
            seen = collect(CountingDenoiser(denoiser), prompts, settings, UNSEEN_SEED)
            branch, rows = StackBranch(Stack.of([increment])), []
            for t in seen:
                branch.begin()
                with attached(denoiser.layers, branch):
                    left = denoiser(t.x, t.sigma, [t.prompt] * len(t.x)) - t.eps_anchor
                rows.append(normalised_correlation(left, t.representation))
            return self.torch.stack(rows).mean(0).tolist()

    def _drawn(self, increment: Any, prompt: str) -> int:
        """In how many pictures the classifier still sees it; euler, 20 steps, cfg 4."""
        import comfy.sample  # noqa: PLC0415
        from sepme_pack.sepme_core.increment import Stack  # noqa: PLC0415

        from demo.classifier import classify  # noqa: PLC0415
        from demo.vocabulary import OBJECTS  # noqa: PLC0415

        model = self.host.apply_exact(self.model, Stack.of([increment]), self.host.Window())
        positive, negative = (
            self.clip.encode_from_tokens_scheduled(self.clip.tokenize(p)) for p in (prompt, "")
        )
        with self.torch.inference_mode():
            empty = self.torch.zeros(N_PICTURES, 4, 8, 8)
            noise = comfy.sample.prepare_noise(empty, 0)
            how = (20, 4.0, "euler", "normal", positive, negative, empty)
            drawn = comfy.sample.sample(model, noise, *how, disable_pbar=True, seed=0)
            images = self.vae.decode(drawn).movedim(-1, 1)
        seen, _ = classify(images)
        return int((seen == OBJECTS.index(NAME)).sum())
