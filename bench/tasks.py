"""What every method is asked for: concepts, phrasings, and the four scenes of SRS-ME.

A scene is a course of states; a state is the set of concepts that are erased at that time. The
concepts c0, c1, … are those that are ever erased. Two kinds more are watched: *protected* ones,
which every method is told of, and *unlisted* ones, which none is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from demo.graphs import HELD_OUT
from demo.vocabulary import OBJECTS
from sepme_core.concepts import DEFAULT_TEMPLATES, Concept, ConceptSet, fill

__all__ = ["FAMILIES", "OBJECTS_TASK", "STYLES_TASK", "Task", "from_file"]

FAMILIES = ("bare", "seen", "held-out")
"""The names, as in the paper; phrasings that every method is given; phrasings that none is."""

PROTECTED = ("watermark",)

State = frozenset[str]

# SRS-ME, the four scenes, as indices of the concepts erased at each time.
SIX = {
    "1": ("012345", "2345", "345"),
    "2": ("012345", "0125", "012"),
    "3": ("024", "4", "134", "34", "345"),
    "4": ("012", "12", "1234", "234", "2345", "345"),
}
# The same courses for three concepts: all erased and given back from the front, from the back; some
# erased, given back, others erased; one after the other.
THREE = {
    "1": ("012", "12", "2"),
    "2": ("012", "01", "0"),
    "3": ("02", "2", "12"),
    "4": ("0", "1", "12"),
}


@dataclass(frozen=True)
class Task:
    """One benchmark.

    Args:
        erasable: c0, c1, …: three or six.
        protected: never erased, and every method is told so.
        unlisted: watched, and no method is told of them.
        seen: templates that every method is given.
        held_out: templates that none is given.
        mixed: template with one `{}` for an erased concept, and what else must be drawn.
        unlisted_templates: family -> templates, where unlisted concepts are phrased otherwise.
        labels: what the judge may answer; the demo's classifier knows its own.
    """

    name: str
    erasable: tuple[str, ...]
    protected: tuple[str, ...]
    unlisted: tuple[str, ...]
    seen: tuple[str, ...]
    held_out: tuple[str, ...]
    mixed: tuple[tuple[str, str], ...] = ()
    unlisted_templates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    labels: tuple[str, ...] = ()

    @property
    def scenes(self) -> dict[str, tuple[State, ...]]:
        """Scene -> which concepts are erased at each time."""
        courses = SIX if len(self.erasable) == 6 else THREE
        return {
            scene: tuple(frozenset(self.erasable[int(i)] for i in state) for state in states)
            for scene, states in courses.items()
        }

    def states(self) -> list[State]:
        """Every state once, in the order in which they come up."""
        return list(dict.fromkeys(s for states in self.scenes.values() for s in states))

    def role(self, name: str, erased: State) -> str:
        """What a concept is in a state: erased, restored, protected or unlisted."""
        if name in self.erasable:
            return "erased" if name in erased else "restored"
        return "protected" if name in self.protected else "unlisted"

    @property
    def watched(self) -> tuple[str, ...]:
        """Everything that is drawn and judged."""
        return (*self.erasable, *self.protected, *self.unlisted)

    def prompts(self, name: str, family: str) -> tuple[str, ...]:
        """The phrasings of a concept."""
        return tuple(fill(t, name) for t in self._templates(name, family))

    def anchored(self, name: str, family: str) -> tuple[str, ...]:
        """The same phrasings without the name: where an erased prompt falls back to."""
        return tuple(fill(t, "") for t in self._templates(name, family))

    def _templates(self, name: str, family: str) -> tuple[str, ...]:
        own = {"bare": ("{}",), "seen": self.seen, "held-out": self.held_out}
        if name in self.unlisted:
            own |= self.unlisted_templates
        return own[family]

    def told(self) -> tuple[str, ...]:
        """Every prompt that methods are given, and those with the name left out."""
        names = (*self.erasable, *self.protected)
        families = [(name, family) for name in names for family in ("bare", "seen")]
        own = [p for pair in families for p in (*self.prompts(*pair), *self.anchored(*pair))]
        return tuple(dict.fromkeys(("", *PROTECTED, *own)))

    def concept_set(self, templates: bool = True) -> ConceptSet:
        """What every method is told, in the words of the core."""
        return ConceptSet(
            tuple(map(Concept, self.erasable)),
            templates=self.seen if templates else (),
            protected_concepts=self.protected,
            protected_prompts=PROTECTED,
        )


OBJECTS_TASK = Task(
    "objects",
    erasable=tuple(OBJECTS[:6]),
    protected=tuple(OBJECTS[6:8]),
    unlisted=tuple(OBJECTS[8:]),
    seen=DEFAULT_TEMPLATES,
    held_out=HELD_OUT,
    mixed=(("a {} and a house", "house"), ("a {} and a rocket", "rocket")),
)

STYLES_TASK = Task(
    "styles",
    erasable=("twemoji", "openmoji", "outline"),
    protected=("noto",),
    unlisted=("cat", "house"),
    seen=("{} style", "a drawing in {} style", "a picture, {} style", "in the style of {}"),
    held_out=(
        "a cat in {} style",
        "house, {} style",
        "{} rocket",
        "a drawing of a rose in {} style",
        "a guitar as {} would draw it",
    ),
    mixed=(("a house in {} style", "house"), ("{} style rocket", "rocket")),
    unlisted_templates={"seen": DEFAULT_TEMPLATES, "held-out": OBJECTS_TASK.held_out},
)


def from_file(path: Path) -> Iterator[Task]:
    """Tasks of a user's own checkpoint, from JSON.

    A list of objects with the fields of `Task`; see `bench/README.md`.

    Raises:
        ValueError: not readable, or a field is missing or unknown.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: expected a JSON list of tasks, got {error}") from error
    if not isinstance(entries, list):
        raise ValueError(f"{path}: expected a JSON list of tasks, got {type(entries).__name__}.")
    if not entries:
        raise ValueError(f"{path}: expected a JSON list of tasks, got an empty one.")
    known: set[str] = set()
    for number, entry in enumerate(entries):
        try:
            task = _task(entry)
            if task.name in known:
                raise ValueError(f"the name {task.name!r} is taken by a task before.")
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}, task {number}: {error} See bench/README.md.") from error
        known.add(task.name)
        yield task


def _task(entry: object) -> Task:
    if not isinstance(entry, dict):
        raise ValueError(f"expected an object with the fields of a task, got {entry!r}.")
    try:
        found = Task(**{k: _tuples(v) for k, v in entry.items()})
    except TypeError as error:
        raise ValueError(f"{str(error).removeprefix('Task.__init__() ')}.") from error
    for key in ("erasable", "protected", "unlisted", "seen", "held_out"):
        value = getattr(found, key)
        if not (isinstance(value, tuple) and value and all(isinstance(v, str) for v in value)):
            raise ValueError(f"{key} is {value!r}; it must be a list of at least one text.")
    _check(found)
    return found


def _check(task: Task) -> None:
    if len(task.erasable) not in (3, 6):
        raise ValueError(
            f"there are {len(task.erasable)} erasable concepts; the four scenes are written for "
            "three or six."
        )
    twice = sorted({name for name in task.watched if task.watched.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} is named twice; a concept has one role.")
    if any(len(pair) != 2 for pair in task.mixed):
        raise ValueError(f"mixed is {task.mixed!r}; it must be a list of [template, other].")
    templates = (*task.seen, *task.held_out, *(template for template, _ in task.mixed))
    bare = [t for t in templates if t.count("{}") != 1]
    if bare:
        raise ValueError(f"{bare[0]!r} needs one {{}} where the name goes.")


def _tuples(value: object) -> object:
    if isinstance(value, list):
        return tuple(map(_tuples, value))
    return {k: _tuples(v) for k, v in value.items()} if isinstance(value, dict) else value
