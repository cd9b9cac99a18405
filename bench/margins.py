"""Margins on a real text encoder: how well concepts are told apart, and what is let by.

`python -m bench.margins`. The encoder is MiniLM (384 wide), token embeddings of whole sentences; no
denoiser. Every artist and every object is erased in turn with half of the others protected (a fixed
random half), and judged on eleven phrasings that were never given, three of them long. Touched is
what the exact application would change. A prompt that names the concept beside something else is
nobody's but the concept's own, and left out of what must not be touched.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from bench.sentence_encoder import SentenceEncoder
from bench.vocabulary import Kind, kinds
from launch import cache as folders
from sepme_core.application import token_mask
from sepme_core.concepts import Concept, ConceptSet
from sepme_core.config import BasisConfig
from sepme_core.dead_zone import POSITION, DeadZone
from sepme_core.embeddings import TextEncoder, relative_component
from sepme_core.errors import NotSeparableError
from sepme_core.increment import Increment
from sepme_core.planning import Plan, make_plans
from sepme_core.preserve import general_captions, without_names

__all__ = ["Judged", "judge", "summary"]

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
NO_TOKEN = -1.0  # fills up prompts with fewer tokens


@dataclass(frozen=True, eq=False)
class Judged:
    """What one basis hears of held-out prompts, `[n_prompts, n_tokens]` relative components.

    Args:
        own, synonyms: the concept's own prompts, by its name and by its synonyms.
        neighbours: those that are not protected.
    """

    plan: Plan
    own: Tensor
    synonyms: Tensor
    protected: Tensor
    unlisted: Tensor
    neighbours: Tensor
    captions: Tensor


def judge(  # noqa: PLR0913
    kind: Kind,
    name: str,
    encode: TextEncoder,
    config: BasisConfig,
    n_protected: int | None = None,
    *,
    withheld: bool = False,
) -> Judged:
    """Erases one name.

    Args:
        n_protected: how many others are protected, neighbours too; None for half of them.
        withheld: the concept is not given its synonyms.
    Raises:
        NotSeparableError: it cannot be erased.
    """
    others = [n for n in kind.names if n != name]
    random.Random(name).shuffle(others)
    n = len(others) // 2 if n_protected is None else n_protected
    near = kind.neighbours(name)
    synonyms = () if withheld else kind.words(name)[1:]
    listed = [word for other in others[:n] for word in kind.words(other)]
    captions = general_captions() if config.soft else ()
    concepts = ConceptSet((Concept(name, synonyms),), kind.given, tuple(listed), (), captions)
    (plan,) = make_plans(concepts, concepts.concepts, encode, config, torch.float32)

    def heard(prompts: Sequence[str]) -> Tensor:
        if not prompts:
            return torch.zeros(0, 1)
        found = [relative_component(p.embeddings, plan.basis).float() for p in encode(prompts)]
        return pad_sequence(found, batch_first=True, padding_value=NO_TOKEN)

    def phrased(words: Sequence[str]) -> list[str]:
        return [t.format(word) for word in words for t in kind.held_out]

    def foreign(words: Sequence[str]) -> Tensor:
        return heard(without_names(phrased(words), kind.words(name)))

    return Judged(
        plan,
        heard(phrased([name])),
        heard(phrased(kind.words(name)[1:])),
        foreign(others[:n]),
        foreign([o for o in others[n:] if o not in near]),
        foreign([o for o in others[n:] if o in near]),
        heard(without_names(general_captions(), kind.words(name))),
    )


def acted_on(heard: Tensor, plan: Plan, zone: DeadZone) -> Tensor:
    """The tokens that the exact application would change, bool `[n_prompts, n_tokens]`."""
    increment = Increment(plan.concept, plan.basis.float(), {}, dead_zone=zone)
    return token_mask(heard, torch.ones_like(heard), increment, torch.float32)


def summary(found: Sequence[Judged], position: float | None = None) -> dict[str, float]:
    """Rates in per cent, averaged over concepts.

    Args:
        position: of the dead zone between protected and own; None for the one that was chosen.
    """

    def rates(values: str) -> tuple[float, float]:
        """Of prompts and of tokens."""
        shares: list[Tensor] = []
        for one in found:
            heard = getattr(one, values)
            if len(heard):
                acted = acted_on(heard, one.plan, _zone(one.plan, position))
                tokens = acted.sum() / (heard != NO_TOKEN).sum()
                shares.append(torch.stack([acted.any(1).float().mean(), tokens]))
        prompts, tokens = torch.stack(shares).double().mean(0).tolist() if shares else (0.0, 0.0)
        return round(100 * prompts, 3), round(100 * tokens, 3)

    def missed(values: str) -> float:
        known = any(len(getattr(one, values)) for one in found)
        return round(100 - rates(values)[0], 3) if known else 0.0

    told = {"own prompts missed": missed("own"), "synonyms missed": missed("synonyms")}
    for group in ("protected", "unlisted", "neighbours", "captions"):
        told[f"{group}: prompts touched"], told[f"{group}: tokens touched"] = rates(group)
    return told


def _zone(plan: Plan, position: float | None) -> DeadZone:
    zone = plan.dead_zone
    if position is None:
        return zone
    return replace(zone, threshold=zone.largest_protected + position * zone.margin)


def run(  # noqa: PLR0913
    kind: Kind,
    names: Sequence[str],
    encode: TextEncoder,
    config: BasisConfig,
    n_protected: int | None = None,
    *,
    withheld: bool = False,
) -> tuple[dict, list[Judged]]:
    """Erases names in turn; gives the summary and what it was made of."""
    found, refused = [], []
    for name in names:
        try:
            found.append(judge(kind, name, encode, config, n_protected, withheld=withheld))
        except NotSeparableError:
            refused.append(name)
    plans, n = [one.plan for one in found], max(len(found), 1)
    told = {
        "concepts": len(names),
        "refused": refused,
        "directions": round(sum(len(p.basis) for p in plans) / n, 2),
        "surviving": round(sum(p.directions.surviving for p in plans) / n, 3),
        "margin": round(sum(p.dead_zone.margin for p in plans) / n, 3),
    }
    return told | summary(found), found


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
        withheld = "synonyms withheld"
        found[withheld], _ = run(kind, kind.names, encode, BasisConfig(), withheld=True)
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
    "synonyms missed",
    "protected: prompts touched",
    "protected: tokens touched",
    "unlisted: prompts touched",
    "unlisted: tokens touched",
    "captions: prompts touched",
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
            together = torch.cat([getattr(one, values).amax(1) for one in found]).numpy()
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
        ("protected: prompts touched", COLORS["protected"]),
        ("unlisted: prompts touched", COLORS["unlisted"]),
    ):
        axis.plot(POSITIONS, [positions[str(p)][key] for p in POSITIONS], color=color, label=key)
    axis.set_yscale("symlog", linthresh=0.1)
    axis.axvline(POSITION, color="#1f2430", linestyle=":", label="the default")
    axis.set_xlabel("dead zone, from the largest protected (0) to the smallest own (1)")
    axis.set_ylabel("per cent")
    axis.legend()


if __name__ == "__main__":
    main()
