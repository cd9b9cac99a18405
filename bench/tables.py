"""README's results section and `docs/results.md`, made from the JSON that the bench wrote.

`python -m bench.tables` takes `docs/results.json`; `python -m bench.tables FILE` first puts FILE in
its place, with its pictures drawn as plots beside it.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.quality import tables as quality
from bench.speed import tables as speed
from bench.tasks import OBJECTS_TASK, STYLES_TASK

__all__ = ["BEGIN", "END", "everything", "markdown", "section"]

BEGIN, END = "<!-- results -->", "<!-- /results -->"
ROOT = Path(__file__).resolve().parent.parent
README, DOCS = ROOT / "README.md", ROOT / "docs"
Pieces = Mapping[str, Any]

_PROTOCOL = """## Results on the demo model

Every method gets the same ten objects or eight styles and things, told of the same names and
phrasings, and draws with the same seeds (euler, 20 steps, cfg 4) through ComfyUI's own sampler; the
demo's classifier says what is on the pictures. *Name* is the bare name, *unseen* are phrasings that
no method was given. ACC_e is how often an erased concept is still seen (lower is better), ACC_r one
that was given back, ACC_s a protected one, ACC_g one that nobody listed; H_o is the harmonic mean
of 100 − ACC_e, ACC_s and ACC_g, where of ACC_e only counts what exceeds the *floor*: how often the
sentence without the name is taken for the concept on the untouched model.

**Caveats.** The model is small and draws emoji; its text encoder has random weights, so its words
are nearly orthogonal where those of real encoders have neighbours. Peers are our own small
re-implementations, tuned for this model; figures of their papers are on others.
"""


def markdown(pieces: Pieces) -> str:
    """README's section."""
    parts = [_PROTOCOL]
    for task, words in ((OBJECTS_TASK, "Six objects"), (STYLES_TASK, "Three styles")):
        state = task.scenes["1"][-1]
        back = len(task.erasable) - len(state)
        rows = quality.comparison(pieces, task, state)
        if rows:
            parts += [f"### {words} known together, {len(state)} erased, {back} given back", ""]
            parts += [*rows, ""]
    parts += [*_titled("Exact and merged", quality.exact_and_merged(pieces))]
    parts += [*quality.identical(pieces), "", *speed.summary(pieces), ""]
    parts.append("Everything else, scene by scene: [docs/results.md](docs/results.md).")
    return "\n".join(parts).strip() + "\n"


def everything(pieces: Pieces) -> str:
    """All tables."""
    parts = ["# All results", "", "Made from `results.json` by `python -m bench.tables`.", ""]
    for task in quality.TASKS:
        for state, words in (
            (task.scenes["1"][0], "all erased"),
            (task.scenes["1"][-1], "some given back"),
        ):
            rows = quality.comparison(pieces, task, state)
            parts += _titled(f"{task.name.capitalize()}, {words}", rows)
        parts += _titled(
            f"{task.name.capitalize()} through the scenes", quality.scenes(pieces, task)
        )
    for title, rows in _SECTIONS.items():
        parts += _titled(title, rows(pieces))
    for title, rows in speed.tables(pieces).items():
        parts += _titled(title, rows)
    return "\n".join(parts).strip() + "\n"


_SECTIONS: dict[str, Callable[[Pieces], list[str]]] = {
    "Exact and merged": quality.exact_and_merged,
    "Ten objects, one erased at a time, through a server": quality.erased_alone,
    "Identical to the bit, through a server": quality.identical,
    "Methods of this pack that train: the cat of six objects": quality.trained,
    "Refine beside the paper's procedure, in one process": quality.costs,
    "Settings beside each other: all concepts erased, how often they are still seen, %": (
        quality.choices
    ),
    "Attacks": quality.robustness,
}


def section(readme: str) -> str:
    """What stands between the marks."""
    return readme.split(BEGIN)[1].split(END)[0].strip() + "\n"


def _titled(title: str, rows: list[str]) -> list[str]:
    return [f"### {title}", "", *rows, ""] if rows else []


def _draw(pieces: Pieces, pictures: Path) -> None:
    from bench.quality.plots import PLOTS, grid  # noqa: PLC0415  (matplotlib takes a second)

    figures = {name: plot(pieces) for name, plot in PLOTS.items()}
    figures |= {f"grid-{t.name}": grid(pieces, pictures, t) for t in quality.TASKS}
    for name, figure in figures.items():
        if figure is not None:
            figure.savefig(DOCS / f"{name}.png", dpi=110, bbox_inches="tight")
            print(DOCS / f"{name}.png")


def main(arguments: list[str]) -> None:
    """Rewrites README's section and `docs/`."""
    path = DOCS / "results.json"
    if arguments:
        given = Path(arguments[0])
        shutil.copyfile(given, path)
        pieces = json.loads(path.read_text(encoding="utf-8"))["pieces"]
        _draw(pieces, given.with_name(f"{given.stem} pictures"))
    pieces = json.loads(path.read_text(encoding="utf-8"))["pieces"]
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    made = markdown(pieces)
    README.write_text(f"{before}{BEGIN}\n{made}{END}{rest.split(END)[1]}", encoding="utf-8")
    (DOCS / "results.md").write_text(everything(pieces), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
