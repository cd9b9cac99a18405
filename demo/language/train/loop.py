"""What the training stages share: one loop with a clock, a mean of the weights, and checkpoints."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
GPU = DEVICE.type == "cuda"
CHECKPOINT_EVERY = 300.0  # seconds of processor time; a GPU is done before it were worth it
WARM_UP_STEPS, WARM_UP_SHARE = 200, 0.04  # of the time, where 200 steps take longer
Loss = Callable[[nn.Module], Tensor]


def clock() -> float:
    """Seconds: real ones on a GPU, elsewhere the processor's, which a busy machine leaves alone."""
    return time.monotonic() if GPU else time.process_time()


class Trainer:
    """Trains one network for so many seconds, going on where a checkpoint left off.

    Args:
        model: float32, trained in place; its working copy computes in bfloat16 on a GPU.
        state: file for checkpoints.
        seconds: how long to train, by `clock`, checkpoints' seconds included.
        optimiser: takes parameters and a learning rate.
        lr: the highest learning rate.
        decay: of the running mean of the weights, `mean`.
        parameters: what is trained; all of the model's unless said otherwise.
        mixed: whether the working copy is the model itself, under autocast.
    """

    def __init__(
        self,
        model: nn.Module,
        state: Path,
        seconds: float,
        optimiser: Callable[[Iterable[Tensor], float], torch.optim.Optimizer],
        lr: float,
        decay: float = 0.999,
        parameters: Iterable[Tensor] | None = None,
        mixed: bool = False,
    ):
        self.model, self.state, self.seconds = model.train(), state, seconds
        self.lr, self.decay = lr, decay
        copied = GPU and not mixed
        self.work = copy.deepcopy(model).to(torch.bfloat16) if copied else model
        self.weights = list(model.parameters() if parameters is None else parameters)
        self.works = list(self.work.parameters()) if copied else self.weights
        self.optimiser = optimiser(self.weights, lr)
        self.mean = copy.deepcopy(model).eval()
        self.step, self.spent, self._began = 0, 0.0, clock()
        self._resume()

    @property
    def passed(self) -> float:
        """The share of the time that has passed, 0..1."""
        return min(1.0, (self.spent + clock() - self._began) / self.seconds)

    def run(self, losses: Callable[[], list[Loss]], name: str) -> nn.Module:
        """Trains until the time is over; gives the running mean of the weights."""
        saved = clock()
        while not self.step or self.passed < 1:
            value = self._update(losses())
            if self.step % (200 if GPU else 20) == 1:
                say(f"{name}: step {self.step}, {self.passed:.1%}, loss {value.item():.4f}")
            if not GPU and clock() - saved > CHECKPOINT_EVERY:
                self._save()
                saved = clock()
        say(f"{name}: {self.step} steps")
        if not GPU:
            self._save()
        return self.mean

    def _update(self, losses: list[Loss]) -> Tensor:
        """One step on the sum of the losses, each computed and thrown away in turn."""
        total = torch.zeros((), device=DEVICE)
        for loss in losses:
            value = loss(self.work)
            value.backward()
            total += value.detach()
        if self.works is not self.weights:
            for weight, work in zip(self.weights, self.works, strict=True):
                weight.grad = None if work.grad is None else work.grad.float()
                work.grad = None
        nn.utils.clip_grad_norm_(self.weights, 1.0)
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate()
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.step += 1
        self._average()
        return total

    def _rate(self) -> float:
        """Up over the first steps, then a cosine down to 0 at the end of the time."""
        cosine = 0.5 + 0.5 * math.cos(math.pi * self.passed)
        up = max((self.step + 1) / WARM_UP_STEPS, self.passed / WARM_UP_SHARE)
        return self.lr * min(1, up) * cosine

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(self.decay, self.step / (self.step + 10))
        torch._foreach_lerp_(list(self.mean.parameters()), list(self.model.parameters()), 1 - keep)
        for kept, buffer in zip(self.mean.buffers(), self.model.buffers(), strict=True):
            kept.copy_(buffer)
        if self.works is not self.weights:
            torch._foreach_copy_(self.works, self.weights)

    def _save(self) -> None:
        self.spent, self._began = self.spent + clock() - self._began, clock()
        parts = (self.model, self.mean, self.optimiser)
        part = self.state.with_suffix(".part")
        torch.save([self.step, self.spent, *(x.state_dict() for x in parts)], part)
        part.replace(self.state)

    def _resume(self) -> None:
        if self.state.exists():
            # Muon's state names functions; the file is our own.
            read = torch.load(self.state, map_location=DEVICE, weights_only=False)
            self.step, self.spent, *states = read
            for part, state in zip((self.model, self.mean, self.optimiser), states, strict=True):
                part.load_state_dict(state)
            say(f"{self.state.name}: going on at step {self.step}, {self.passed:.0%}")


def adam(parameters: Iterable[Tensor], lr: float) -> torch.optim.Optimizer:
    """AdamW as transformers like it."""
    return torch.optim.AdamW(parameters, lr, betas=(0.9, 0.98), weight_decay=0.01, fused=GPU)


BEGAN = time.monotonic()


def say(text: str) -> None:
    """Prints with the seconds since the start."""
    print(f"[{time.monotonic() - BEGAN:6.1f}] {text}", flush=True)


def save(weights: dict[str, Tensor], path: Path) -> None:
    """Writes weights as float16, aside and renamed last."""
    part = path.with_suffix(".part")
    save_file({name: x.detach().half().cpu().contiguous() for name, x in weights.items()}, part)
    part.replace(path)
