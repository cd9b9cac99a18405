"""All pieces of the bench: name -> measurement, in the order in which they are run."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from bench.judge import ClipJudge, DemoJudge, Judge
from bench.peers import peers
from bench.quality import algebra, choices, erasing, scenes, trained
from bench.quality.noise_level import NoiseLevel
from bench.quality.pictures import Amount
from bench.quality.robustness import Attacks
from bench.store import accelerator
from bench.studio import CHANNELS_LAST, Studio
from bench.tasks import OBJECTS_TASK, STYLES_TASK, Task, from_file
from demo.vocabulary import OBJECTS
from launch import comfyui
from launch.demo import checkpoint
from launch.server import Server

__all__ = ["Bench", "Own", "Piece"]

Piece = tuple[str, Callable[[], Any]]
SIZES = (1, 2, 4, 8, 16, 32, 64, 106)
# The others erase as the first does, or leave the concept as it is.
ATTACKED = ("SepME (exact)", "UCE", "SPEED", "SepME (paper)", "ESD-x", "Concept Ablation")


def _sampled(*paths: Path) -> str:
    """Tells files apart by their sizes and by 64 pieces of each: checkpoints have gigabytes."""
    found = hashlib.sha256()
    for path in paths:
        size = path.stat().st_size
        found.update(f"{path.name} {size} ".encode())
        with path.open("rb") as file:
            for number in range(64):
                file.seek(size * number // 64)
                found.update(file.read(4096))
    return found.hexdigest()[:8]


@dataclass(frozen=True)
class Own:
    """A user's own checkpoint.

    Args:
        checkpoint: SD 1.x, SD 2.x or SDXL.
        prompts: JSON, see `bench/README.md`.
        classifier: folder of a CLIP model.
        resolution: of pictures.
    """

    checkpoint: Path
    prompts: Path
    classifier: Path
    resolution: int = 512

    @property
    def told(self) -> str:
        """What figures depend on, in words: equal where they may be compared."""
        judge = [path for path in sorted(self.classifier.rglob("*")) if path.is_file()]
        return (
            f"{self.checkpoint.name} ({_sampled(self.checkpoint)}), "
            f"{self.prompts.name} ({_sampled(self.prompts)}), "
            f"{self.classifier.name} ({_sampled(*judge)}), {self.resolution} pixels"
        )


@dataclass(frozen=True)
class Bench:
    """What is measured, on which model.

    Args:
        amount: of pictures.
        quick: few pieces, to see that everything works.
        pictures: folder for strips to look at.
        on_batch: called with the number of pictures drawn.
        own: None for the demo model.
    """

    amount: Amount
    quick: bool
    pictures: Path
    on_batch: Callable[[int], None] = field(default=lambda _: None)
    own: Own | None = None
    _running: ExitStack = field(default_factory=ExitStack)

    def close(self) -> None:
        """Ends what was started."""
        self._running.close()

    @cached_property
    def studio(self) -> Studio:
        """The model in this process."""
        if self.own:
            given = self.own.checkpoint, self.own.resolution
            return Studio(*given, batch=8, accelerator=bool(accelerator()))
        return Studio(checkpoint())

    @cached_property
    def server(self) -> Server:
        """A running server with a folder of its own: two on one clear each other's pictures."""
        made = tempfile.TemporaryDirectory(prefix="sepme-bench-", ignore_cleanup_errors=True)
        folder = Path(self._running.enter_context(made))
        base = comfyui.base_directory(folder, [checkpoint()])
        options = [CHANNELS_LAST]  # as the studio
        return self._running.enter_context(
            Server(base_directory=base, cpu=True, extra_args=options)
        )

    def quality(self) -> Iterator[Piece]:
        """The scenes, then what is known without drawing, then what takes long."""
        courses = [
            scenes.Scenes(
                self.studio, task, judge, self.amount, self.quick, self.pictures, self.on_batch
            )
            for task, judge in self._judged()
        ]
        for course in courses:
            yield from course.pieces(peers())
        for course in courses:
            yield from self._algebra(course.task)
        yield from self._attacks(courses[0])
        if not (self.quick or self.own):
            yield from self._served()

    def choices(self) -> Iterator[Piece]:
        """Settings beside each other, on the demo model: what the defaults were chosen by."""
        for task, judge in self._judged():
            for variant in choices.VARIANTS:
                yield (
                    f"{task.name}/choices/{variant}",
                    partial(choices.measure, self.studio, task, judge, variant),
                )

    def speed(self) -> Iterator[Piece]:
        """Time, memory and size, on models of real size with random weights."""
        from bench.speed import PIECES  # noqa: PLC0415

        for name, measure in PIECES.items():
            yield f"speed/{name}", partial(measure, self.quick)

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """What every method is asked for."""
        return tuple(from_file(self.own.prompts)) if self.own else (OBJECTS_TASK, STYLES_TASK)

    def _judged(self) -> Iterator[tuple[Task, Judge]]:
        """With who judges them.

        Raises:
            ValueError: a concept that the judge does not know.
        """
        for task in self.tasks:
            judge = ClipJudge(self.own.classifier, task.labels) if self.own else DemoJudge()
            looked_for = dict.fromkeys((*task.watched, *(other for _, other in task.mixed)))
            unknown = [name for name in looked_for if not judge.knows(name)]
            if unknown:
                raise ValueError(
                    f"{judge.name} cannot say whether it sees {', '.join(unknown)} (task "
                    f"{task.name!r}). Add them to the task's labels, or leave them away."
                )
            yield task, judge

    def _algebra(self, task: Task) -> Iterator[Piece]:
        measures = {
            "leaks": algebra.leaks,
            "margins": algebra.margins,
            "restore": algebra.restore,
            "shift": algebra.shift,
        }
        if not self.quick:
            measures["order"] = algebra.order
        for name, measure in measures.items():
            yield (
                f"{task.name}/{name}",
                lambda m=measure: m(task, self.studio.encode, self.studio.weights),
            )
        if task is OBJECTS_TASK and not self.quick:
            yield "capacity", lambda: algebra.capacity(self.studio.encode, SIZES)

    def _attacks(self, course: scenes.Scenes) -> Iterator[Piece]:
        """On the first task's last erasable concept, in the state that all methods are drawn in.

        Attacks predict and learn through CLIP-L alone, so there are none for other families.
        """
        if self.quick or not self.studio.one_encoder:
            return
        task = course.task
        state, concept = task.scenes["1"][-1], task.erasable[-1]
        noise_level = NoiseLevel(self.studio, task, state)
        attacks = Attacks(self.studio, course.judge, concept, self.on_batch)
        for peer in peers().values():
            yield (
                f"{task.name}/noise level/{peer.name}",
                lambda p=peer: noise_level.measure(course.model(p)),
            )
            if peer.name in ATTACKED:
                yield (
                    f"{task.name}/robustness/{peer.name}",
                    lambda p=peer: attacks.measure(course.model(p)),
                )

    def _served(self) -> Iterator[Piece]:
        """Through a real server, as a user would; only on the demo model."""
        yield "erasing/floors", lambda: erasing.floors(self.server)
        for name in OBJECTS:
            yield f"erasing/accuracy/{name}", lambda o=name: erasing.accuracy(self.server, o)
        for kind, protected in (("identity", 9), ("identity_three", 3)):
            for name in OBJECTS:
                yield (
                    f"erasing/{kind}/{name}",
                    lambda o=name, n=protected: erasing.identity(
                        self.server, o, self._untouched, n
                    ),
                )
        training = trained.Trained(self.studio)
        for method in trained.METHODS:
            yield f"trained/{method}", lambda m=method: training.measure(m)

    @cached_property
    def _untouched(self) -> erasing.Drawn:
        return erasing.one_each(self.server, OBJECTS)
