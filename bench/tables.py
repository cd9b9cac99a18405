"""Tables and plots of a results file; README's results section and `docs/` from the committed one.

`python -m bench.tables` takes `docs/results.json`; `python -m bench.tables FILE` first puts FILE in
its place, a full run on the demo model, with its pictures drawn as plots beside it.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.quality import erasing_tables as served
from bench.quality import method_tables as drawn
from bench.quality import tables as quality
from bench.quality.scenes import FULL
from bench.speed import tables as speed
from bench.tasks import OBJECTS_TASK, STYLES_TASK, Task

__all__ = ["BEGIN", "END", "draw", "everything", "markdown", "report", "section"]

BEGIN, END = "<!-- results -->", "<!-- /results -->"
ROOT = Path(__file__).resolve().parent.parent
README, DOCS = ROOT / "README.md", ROOT / "docs"
Pieces = Mapping[str, Any]

_PROTOCOL = """## Results on the demo model

Every method is told of the same eight objects, or four styles, and draws them and two objects that
it was not told of with the same seeds (euler, 20 steps, cfg 4) through ComfyUI's own sampler; the
demo's classifier says what is on the pictures. *Name* is the bare name, *unseen* are phrasings that
no method was given. ACC_e is how often an erased concept is still seen (lower is better); ACC_r one
that was given back, ACC_s a protected one and ACC_g one that nobody listed are told for unseen
phrasings. H_o, for unseen phrasings too, is the harmonic mean of 100 − ACC_e, ACC_s and ACC_g,
where of ACC_e only counts what exceeds the *floor*: how often the sentence without the name is
taken for the concept on the untouched model.

**Caveats.** The model is small and draws emoji; its text encoder has random weights, so its words
are nearly orthogonal where those of real encoders have neighbours. There are few pictures: a
difference of one or two of them says nothing. Peers are our own small re-implementations, tuned
for this model; figures of their papers are on others. All are told of the same names and phrasings,
but for the paper's procedure, whose basis has room for names only, and the naive sum, which knows
one concept at a time.

**What it says.** On this model most methods erase down to the floor and keep recognisable what
shall stay, so H_o hardly tells these apart, and of the bare name some leave fewer pictures than
ours. What no other method does: every picture that shall stay is the untouched model's, to the
bit. (The paper's own procedure restores many bare names exactly, and few other pictures.) Erasing
is no lock: who optimises a token for it gets a concept back from every method that was attacked,
from ESD-x least.
"""


def markdown(pieces: Pieces) -> str:
    """README's section."""
    parts = [_PROTOCOL]
    for task, words in ((OBJECTS_TASK, "Six objects"), (STYLES_TASK, "Three styles")):
        state = task.scenes["1"][-1]
        back = len(task.erasable) - len(state)
        rows = drawn.comparison(pieces, task, state)
        if rows:
            parts += [f"### {words} known together, {len(state)} erased, {back} given back", ""]
            parts += [*rows, ""]
    parts += [*_titled("Exact and merged", drawn.exact_and_merged(pieces))]
    parts += [*served.identical(pieces), "", *speed.summary(pieces), ""]
    parts.append(
        "Everything else, scene by scene: [docs/results.md](docs/results.md). Plots: "
        + ", ".join(f"[{words}](docs/{name}.png)" for name, words in _PLOTTED.items())
        + "."
    )
    return "\n".join(parts).strip() + "\n"


_PLOTTED = {
    "accuracy": "all methods",
    "grid-styles": "pictures of styles",
    "scenes-objects": "the scenes of objects",
    "scenes-styles": "those of styles",
    "leaks": "leaks",
    "capacity": "capacity",
    "scaling": "time and size",
}


def everything(pieces: Pieces, tasks: Sequence[Task] = drawn.TASKS) -> str:
    """All tables."""
    parts = ["# All results", "", "Made by `bench.tables` from the JSON file of the same name.", ""]
    for task in tasks:
        for state, words in (
            (task.scenes["1"][0], "all erased"),
            (task.scenes["1"][-1], "some given back"),
        ):
            rows = drawn.comparison(pieces, task, state)
            parts += _titled(f"{task.name.capitalize()}, {words}", rows)
            rows = drawn.beside(pieces, task, state)
            parts += _titled(f"{task.name.capitalize()}, {words}: beside accuracy", rows)
        through = drawn.scenes(pieces, task)
        parts += _titled(
            f"{task.name.capitalize()} through the scenes", [_IN_PASSING] * bool(through)
        )
        for title, rows in through.items():
            parts += _titled(f"{task.name.capitalize()} through the scenes: {title}", rows)
    for title, rows in _SECTIONS.items():
        parts += _titled(title, rows(pieces, tasks))
    for title, rows in _SERVED.items():
        parts += _titled(title, rows(pieces))
    for title, rows in speed.tables(pieces).items():
        parts += _titled(title, rows)
    return "\n".join(parts).strip() + "\n"


_IN_PASSING = (
    "The state in which all concepts are erased and that at the first scene's end are drawn as in "
    "the tables above. All others are drawn in passing, with two pictures a concept and family, of "
    "which one more or less is much."
)
_SECTIONS: dict[str, Callable[[Pieces, Sequence[Task]], list[str]]] = {
    "Exact and merged": drawn.exact_and_merged,
    "The way to the anchor": quality.shifts,
    "What is left at every time": quality.noise_levels,
    "Dead zones": quality.dead_zones,
    "Given back": quality.restored,
    "Order of coming": quality.orders,
    "Settings beside each other: all concepts erased, how often they are still seen, %": (
        quality.choices
    ),
    "Attacks": quality.robustness,
}
_SERVED: dict[str, Callable[[Pieces], list[str]]] = {
    "Ten objects, one erased at a time, through a server": served.erased_alone,
    "Identical to the bit, through a server": served.identical,
    "Methods that follow the denoiser: the cat of six objects": served.trained,
}


def section(readme: str) -> str:
    """What stands between the marks."""
    return readme.split(BEGIN)[1].split(END)[0].strip() + "\n"


def _titled(title: str, rows: list[str]) -> list[str]:
    return [f"### {title}", "", *rows, ""] if rows else []


def report(path: Path, tasks: Sequence[Task]) -> list[Path]:
    """Writes the tables of a results file, and its plots, beside it."""
    pieces = json.loads(path.read_text(encoding="utf-8"))["pieces"]
    tables = path.with_suffix(".md")
    tables.write_text(everything(pieces, tasks), encoding="utf-8")
    pictures = path.with_name(f"{path.stem} pictures")
    return [tables, *draw(pieces, pictures, tasks, pictures)]


def draw(pieces: Pieces, strips: Path, tasks: Sequence[Task], folder: Path) -> Iterator[Path]:
    """All plots that there are figures for, as PNG."""
    from bench.plots import PLOTS  # noqa: PLC0415  (matplotlib takes a second)
    from bench.quality.plots import courses, grid  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    figures = {name: plot(pieces, tasks) for name, plot in PLOTS.items()}
    figures |= {f"grid-{task.name}": grid(pieces, strips, task) for task in tasks}
    figures |= {f"scenes-{task.name}": courses(pieces, task) for task in tasks}
    for name, figure in figures.items():
        if figure is not None:
            path = folder / f"{name}.png"
            figure.savefig(path, dpi=110, bbox_inches="tight")
            yield path


def _publish(given: Path) -> None:
    """Puts a file into `docs/`.

    Raises:
        ValueError: it is not a full run on the demo model.
    """
    content = json.loads(given.read_text(encoding="utf-8"))
    stamp = content["stamp"]
    if stamp["checkpoint"] != "demo" or stamp["pictures"] != asdict(FULL):
        raise ValueError(
            f"{given} is a run on {stamp['checkpoint']!r} with {stamp['pictures']}; README shows "
            "full runs on the demo model. Run `python run.py bench` without --quick and --seeds."
        )
    shutil.copyfile(given, DOCS / "results.json")
    strips = given.with_name(f"{given.stem} pictures")
    for path in draw(content["pieces"], strips, drawn.TASKS, DOCS):
        print(path)


def main(arguments: list[str]) -> None:
    """Rewrites README's section and `docs/`."""
    if arguments:
        _publish(Path(arguments[0]))
    pieces = json.loads((DOCS / "results.json").read_text(encoding="utf-8"))["pieces"]
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    made = markdown(pieces)
    README.write_text(f"{before}{BEGIN}\n{made}{END}{rest.split(END)[1]}", encoding="utf-8")
    (DOCS / "results.md").write_text(everything(pieces), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
