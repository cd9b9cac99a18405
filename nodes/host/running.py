"""What the host shows and asks while a node computes: progress, cancel, memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import comfy.model_management
import comfy.utils
import torch
from comfy_execution.utils import get_executing_context
from server import PromptServer

from ...sepme_core.denoiser import Progress
from ...sepme_core.errors import SepMEError

__all__ = [
    "NodeProgress",
    "compute_device",
    "memory_explained",
    "send",
    "show_text",
]


def compute_device() -> torch.device:
    """Where the host computes."""
    return comfy.model_management.get_torch_device()


def show_text(text: str) -> None:
    """Writes on the node that is running."""
    context = get_executing_context()
    if context:
        PromptServer.instance.send_progress_text(text, context.node_id)


def send(event: str, data: dict[str, Any]) -> None:
    """Tells the page that queued the running node; nobody else, as ids are those of its graph."""
    context = get_executing_context()
    if context:
        server = PromptServer.instance
        told = {"node": context.node_id, "prompt_id": context.prompt_id, **data}
        server.send_sync(event, told, getattr(server, "client_id", None))


@contextmanager
def memory_explained(method: str) -> Iterator[None]:
    """Says what helps when the device's memory does not suffice."""
    try:
        yield
    except comfy.model_management.OOM_EXCEPTION as error:
        raise SepMEError(
            f"Not enough memory for the method {method!r}. Use a smaller resolution, or the closed "
            "form, which draws nothing."
        ) from error


class NodeProgress:
    """Progress bar, progress text and cancelling, for one run of the node."""

    def __init__(self) -> None:
        # Asked for as a hidden input, the id would become part of the host's cache key, and equal
        # nodes of two graphs would compute twice.
        context = get_executing_context()
        self._node_id = context.node_id if context else ""
        self._bar = comfy.utils.ProgressBar(1)

    def __call__(self, at: Progress) -> None:
        """One step of computing; raises the host's own exception when cancelled."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        self._bar.update_absolute(at.step, at.max_steps)
        if at.statistic is None:
            self._say(f"{at.concept}: {at.step} of {at.max_steps} {at.unit}")
        else:
            self._say(
                f"{at.concept}: step {at.step}/{at.max_steps}, correlation {at.statistic:.4f} "
                f"(stops at {at.tau:g})"
            )

    def drawing(self, step: int, n_steps: int) -> None:
        """One step of drawing the concept."""
        self._bar.update_absolute(step, n_steps)
        self._say(f"drawing the concept: step {step}/{n_steps}")

    def _say(self, text: str) -> None:
        PromptServer.instance.send_progress_text(text, self._node_id)
