"""What the host shows and asks while a node computes: progress, cancel, memory."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
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
    "harmless",
    "inert",
    "memory_explained",
    "send",
    "server_routes",
    "show_text",
]

_LETTERS = str.maketrans({"<": "‹", ">": "›"})
PAUSE = 0.2  # seconds between two messages: smooth to look at, and nothing to send


def compute_device() -> torch.device:
    """Where the host computes."""
    return comfy.model_management.get_torch_device()


def inert(text: str) -> str:
    """The text without anything that a page could take for markup or a link.

    The host's pages do not agree: one puts what a node shows into the document as it is, others
    escape it themselves and would show our escapes as letters. So what markup begins with becomes
    a letter that looks like it, which is the same in all of them.
    """
    return text.translate(_LETTERS).replace("[[", "[ [")


def harmless(names: Iterable[str]) -> list[str]:
    """The names that a page may show in a menu, where some take them for markup."""
    return [name for name in names if inert(name) == name]


def show_text(text: str) -> None:
    """Writes on the node that is running, in the page that queued it."""
    context, client = get_executing_context(), _client()
    if context and client:
        PromptServer.instance.send_progress_text(inert(text), context.node_id, sid=client)


def send(event: str, data: dict[str, Any]) -> None:
    """Tells the page that queued the running node; nobody else, as ids are those of its graph."""
    context, client = get_executing_context(), _client()
    if context and client:
        told = {"node": context.node_id, "prompt_id": context.prompt_id, **data}
        PromptServer.instance.send_sync(event, told, client)


def _client() -> str | None:
    """The page that queued what is running; none where a script did. To none would be to all."""
    return getattr(PromptServer.instance, "client_id", None)


def server_routes() -> Any:
    """The server's table of routes, to be added to before it starts; None where there is none."""
    return getattr(getattr(PromptServer, "instance", None), "routes", None)


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
    """Progress bar, curve, preview, text and cancelling, for one run of the node."""

    def __init__(self) -> None:
        self._bar = comfy.utils.ProgressBar(1)
        self._pace = _Pace()
        self.picture: Picture = _no_picture

    def __call__(self, at: Progress) -> None:
        """One step of computing; raises the host's own exception when cancelled."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        due = self._pace.due(at)
        self._bar.update_absolute(at.step, at.max_steps, self.picture() if due else None)
        if due:
            self.tell(at)

    def drawing(self, prompt: str, step: int, n_steps: int) -> None:
        """One step of drawing the concept."""
        self(Progress(prompt, step, n_steps, unit="drawing steps"))

    def tell(self, at: Progress) -> None:
        """Says where it stands: in numbers for the page's curve, and in words on the node."""
        known = asdict(at) | {"seconds_left": self._pace.seconds_left(at)}
        send("sepme.progress", known)
        show_text(_words(at))


Picture = Callable[[], Any]
"""Gives a preview in the host's own words, or None."""


def _no_picture() -> None:
    return None


def _words(at: Progress) -> str:
    if at.statistic is None:
        return f"{at.concept}: {at.step} of {at.max_steps} {at.unit}"
    return (
        f"{at.concept}: step {at.step}/{at.max_steps}, correlation {at.statistic:.4f} "
        f"(stops at {at.tau:g})"
    )


def _may_be_last(at: Progress) -> bool:
    return at.step >= at.max_steps or (at.statistic is not None and at.statistic <= at.tau)


class _Pace:
    """A few messages a second, a last one always, and how long the rest may take."""

    def __init__(self) -> None:
        self._told = -math.inf
        self._counting: tuple[str, str] | None = None
        self._first, self._since = 0, 0.0

    def due(self, at: Progress) -> bool:
        now = time.monotonic()
        counting = (at.unit, "" if at.statistic is None else at.concept)
        if counting != self._counting or at.step <= self._first:
            self._counting, self._first, self._since = counting, at.step, now
        elif not _may_be_last(at) and now - self._told < PAUSE:
            return False
        self._told = now
        return True

    def seconds_left(self, at: Progress) -> float | None:
        """At the pace so far, if all steps are needed; None before there is a pace."""
        done = at.step - self._first
        each = (time.monotonic() - self._since) / done if done > 0 else None
        return None if each is None else round(each * (at.max_steps - at.step), 1)
