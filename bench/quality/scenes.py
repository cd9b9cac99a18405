"""The four scenes for every method: a piece is one method in one state of one task."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.judge import Judge
from bench.peers import Fitted, Peer
from bench.quality.pictures import Amount, Gallery, measure
from bench.store import NotKeptError
from bench.studio import Studio
from bench.tasks import State, Task

__all__ = ["FULL", "QUICK", "Scenes", "in_passing", "named"]

FULL, QUICK = Amount(), Amount(bare=2, seen=0, held_out=2, mixed=2)


def named(state: State, task: Task) -> str:
    """A state as its concepts, in the task's order."""
    return ", ".join(name for name in task.erasable if name in state)


def in_passing(state: State, task: Task) -> bool:
    """Whether a state is drawn with few pictures: all but the first scene's first and last one."""
    return state not in (task.scenes["1"][0], task.scenes["1"][-1])


class Scenes:
    """The scenes of one task.

    Args:
        quick: one state and few pictures, to see that everything works.
        strips: folder for one picture of every concept per piece, to look at.
        on_batch: called with the number of pictures drawn.
    """

    def __init__(
        self,
        studio: Studio,
        task: Task,
        judge: Judge,
        amount: Amount,
        quick: bool,
        strips: Path,
        on_batch: Callable[[int], None],
    ) -> None:
        self.studio, self.task, self.judge = studio, task, judge
        self._amount, self.on_batch = amount, on_batch
        self._few = replace(amount, bare=2, seen=0, held_out=2, mixed=0)
        self._quick, self._strips = quick, strips
        self._galleries: dict[Amount, Gallery] = {}
        self._fitted: dict[str, Fitted] = {}
        self._models: dict[str, Any] = {}

    def pieces(self, peers: dict[str, Peer]) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Name and measurement of every piece; a state of all methods before the next state."""
        yield f"{self.task.name}/original", lambda: self.original(self._amount)
        if not self._quick:
            yield f"{self.task.name}/original in passing", lambda: self.original(self._few)
        for state, amount in self._states():
            for peer in peers.values():
                if not (peer.takes_minutes and self._quick):
                    piece = f"{self.task.name}/{named(state, self.task)}/{peer.name}"
                    yield piece, lambda s=state, a=amount, p=peer: self.state(s, a, p)

    def original(self, amount: Amount) -> dict[str, Any]:
        """What the untouched model draws, and the floors, of as many pictures as a state has."""
        gallery = self._gallery(amount)
        found = gallery.floors(self.on_batch)
        if amount == self._amount:
            self._keep("original", gallery.strip(gallery.original(self.on_batch)[0]))
        return found

    def state(self, state: State, amount: Amount, peer: Peer) -> dict[str, Any]:
        """A method in a state: time to get there, text encoding apart, and what it draws then."""
        self.studio.encode(self.task.told())
        fit = 0.0
        if peer.name not in self._fitted:
            self._fitted[peer.name], fit = _timed(lambda: peer.fit(self.studio, self.task))
        model, change = _timed(lambda: self._fitted[peer.name](state))
        if state == self.task.scenes["1"][-1]:
            self._models[peer.name] = model
        drawn, strip = measure(self._gallery(amount), model, self.on_batch)
        self._keep(f"{named(state, self.task)} - {peer.name}", strip)
        return {"fit_seconds": round(fit, 3), "change_seconds": round(change, 3)} | drawn

    def model(self, peer: Peer) -> Any:
        """A method's model in the first scene's last state; made once, since some take minutes."""
        if peer.name not in self._models:
            fitted = self._fitted.get(peer.name) or peer.fit(self.studio, self.task)
            self._models[peer.name] = fitted(self.task.scenes["1"][-1])
        return self._models[peer.name]

    def _states(self) -> Iterator[tuple[State, Amount]]:
        """Some concepts given back, then all erased, then every other state in passing."""
        scene = self.task.scenes["1"]
        yield scene[-1], self._amount
        if self._quick:
            return
        yield scene[0], self._amount
        for state in self.task.states():
            if in_passing(state, self.task):
                yield state, self._few

    def _keep(self, name: str, strip: np.ndarray) -> None:
        path = self._strips / f"{self.task.name} - {name}.png"
        try:
            self._strips.mkdir(parents=True, exist_ok=True)
            Image.fromarray(strip).save(path)
        except OSError as error:
            raise NotKeptError(path, error) from error

    def _gallery(self, amount: Amount) -> Gallery:
        if amount not in self._galleries:
            self._galleries[amount] = Gallery(self.studio, self.task, self.judge, amount)
        return self._galleries[amount]


def _timed(make: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    made = make()
    return made, time.perf_counter() - started
