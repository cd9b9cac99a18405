"""What application costs: time added to a sampling step, by number of increments.

SD1.5's UNet in the host's classes with random weights, float32, latents of 32 x 32, prompt and
negative prompt in one batch, in new tensors at every step, as the host's sampler sends them. The
increments are random, of rank 4, over all 32 text-only layers; prompts are made so that none, one
or all of them act.

Two measures. `share`: the text-only layers alone, with and without the increments, many times, over
the time of a whole step; milliseconds are seen in it that no whole step could show. `whole`: whole
steps in pairs, the check on it, as exact as the machine is quiet. Merged increments are weights:
nothing is added, and `whole` is all there is to measure.

What increments add to a step is of three kinds: once, when they come to where the model runs; in
the first step with a prompt, which is looked at; and in every later one, which uses what is kept.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from bench.speed.real_size import N_TOKENS, host, random_increments, unet
from bench.speed.timing import paired, seconds

__all__ = ["measure"]

COUNTS = (1, 10, 50)
SIDE = 32
ACTING = {"none acts": 0, "one acts": 1, "all act": None}


def measure(quick: bool) -> dict[str, Any]:
    """By number of increments and how many of them act; quick on a narrower UNet."""
    lab = _Lab(quick)
    with lab.torch.inference_mode():
        step = lab.step_seconds()
        found: dict[str, Any] = {"step_seconds": step, "narrower_unet": quick, "side": SIDE}
        for n in COUNTS:
            found[f"exact {n}"] = {k: lab.alone(n, acting, step) for k, acting in ACTING.items()}
        for name, model, acting in lab.whole(quick):
            found[f"whole, {name}"] = lab.pairs(model, acting, 3 if quick else 5)
    return found


class _Lab:
    """The UNet, fifty increments and one batch of latents."""

    def __init__(self, quick: bool) -> None:
        import torch  # noqa: PLC0415

        torch.set_num_threads(2)
        self.torch, self.host, self.model = torch, host(), unet(quick)
        family = self.host.family_of(self.model)
        self.layers = self.host.matching_layers(self.model, family.text_only)
        self.increments = random_increments(max(COUNTS), self.layers)
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(2, 4, SIDE, SIDE, generator=generator)
        self.context = torch.randn(2, N_TOKENS, family.d_text, generator=generator)
        self.sigma = torch.full((2,), 3.0)

    def prompt(self, n_acting: int) -> Any:
        """Embeddings of a negative prompt and of one with that many concepts, a token for each."""
        context = self.context.clone()
        for place, increment in enumerate(self.increments[:n_acting]):
            context[1, 3 + place] += 2 * context[1, 3 + place].norm() * increment.basis[0]
        return context

    def exact(self, n: int) -> Any:
        """The model with the first n increments applied exactly."""
        from sepme_pack.sepme_core.increment import Stack  # noqa: PLC0415

        stack = Stack.of(self.increments[:n])
        return self.host.apply_exact(self.model, stack, self.host.Window())

    def wrapper(self, n: int) -> Any:
        """What surrounds a call of that model; it has not been called yet."""
        (found,) = self.exact(n).get_wrappers("apply_model", self.host.KEY)
        return found

    def merged(self, n: int) -> Any:
        """The model with the first n increments in its weights."""
        from sepme_pack.sepme_core.increment import Stack  # noqa: PLC0415

        stack = Stack.of(self.increments[:n])
        return self.host.apply_merged(self.model, stack, self.host.Window())

    def step(self, model: Any, context: Any) -> None:
        """One sampling step: one call of the network for both prompts."""
        from comfy.patcher_extension import copy_nested_dicts  # noqa: PLC0415

        options = {"wrappers": copy_nested_dicts(model.wrappers), "cond_or_uncond": [1, 0]}
        context = self.torch.cat(context.chunk(2))  # a new tensor, as the host makes one
        model.model.apply_model(
            self.x, self.sigma, c_crossattn=context, transformer_options=options
        )

    def step_seconds(self) -> float:
        self.step(self.model, self.context)
        return statistics.median(
            seconds(lambda: self.step(self.model, self.context)) for _ in range(3)
        )

    def alone(self, n: int, n_acting: int | None, step: float) -> dict[str, float]:
        """Seconds that n increments add: once, to the first step with a prompt, to all others."""
        wrapper = self.wrapper(n)
        context = self.prompt(n if n_acting is None else n_acting)
        layers = _LayersAlone(self.model.model, list(self.layers.values()))

        def plain() -> float:
            layers.context = self.torch.cat(context.chunk(2))
            return seconds(layers)

        def erasing(by: Any = wrapper) -> float:
            layers.context = self.torch.cat(context.chunk(2))
            return seconds(lambda: by(layers, self.x, self.sigma, transformer_options={}))

        def erasing_anew() -> float:
            context[0, 0, 0] += 1  # another prompt: nothing that is kept is of use
            return erasing()

        coming = paired(plain, lambda: erasing(self.wrapper(n)), 9)["added_seconds"]
        first = paired(plain, erasing_anew, 9)["added_seconds"]
        added = paired(plain, erasing, 15)["added_seconds"]
        return {
            "once_adds": coming - first,
            "first_step_adds": first,
            "step_adds": added,
            "share": added / step,
        }

    def whole(self, quick: bool) -> Iterator[tuple[str, Any, int]]:
        """What whole steps are measured of: name, model, how many increments act."""
        if not quick:
            yield "exact 10, all act", self.exact(10), 10
            yield "exact 50, none acts", self.exact(50), 0
        yield "exact 50, all act", self.exact(50), 50
        yield "merged 50, all act", self.merged(50), 50

    def pairs(self, model: Any, n_acting: int, n_pairs: int) -> dict[str, float | int]:
        """Whole steps with and without, the same prompt."""
        from comfy.model_management import load_models_gpu  # noqa: PLC0415

        context = self.prompt(n_acting)

        def prepared(which: Any) -> Any:
            def run() -> float:
                load_models_gpu([which])
                return seconds(lambda: self.step(which, context))

            return run

        return paired(prepared(self.model), prepared(model), n_pairs)


class _LayersAlone:
    """Stands in for the network: nothing but the text-only layers is called."""

    def __init__(self, running: Any, layers: list[Any]) -> None:
        self.class_obj, self._layers, self.context = running, layers, None

    def __call__(self, *_: Any, **__: Any) -> None:
        for layer in self._layers:
            layer(self.context)
