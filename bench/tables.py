"""README's results section, made from the JSON that `python -m bench` wrote.

`python -m bench.tables docs/results.json` puts it between the two marks in README.md.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

__all__ = ["BEGIN", "END", "markdown", "section"]

BEGIN, END = "<!-- results -->", "<!-- /results -->"
README = Path(__file__).resolve().parent.parent / "README.md"
BARE, N_SEEDS, N_HELD_OUT = "{}", 16, 5


def markdown(results: dict[str, Any]) -> str:
    """All tables, with the protocol in front."""
    parts = [
        _PROTOCOL,
        *_erased(results),
        "",
        *_identity(results),
        "",
        *_paper(results),
        "",
        *_cost(results),
    ]
    return "\n".join(parts).strip() + "\n"


def section(readme: str) -> str:
    """What stands between the marks."""
    return readme.split(BEGIN)[1].split(END)[0].strip() + "\n"


_PROTOCOL = """## Results on the demo model

Ten objects known together, one erased at a time, closed form with all defaults, five templates
given; pictures through a real ComfyUI, euler, 20 steps, cfg 4, 16 seeds per prompt, scored by the
demo's classifier. *Floor*: how often the same prompt without the name is taken for the object on
the untouched model; there an erased prompt falls back to. A small model that draws emoji, with a
random text encoder: expect narrower margins from real ones.
"""


def _erased(results: dict[str, Any]) -> list[str]:
    rows = [
        "| erased | its name | floor | 5 phrasings never given | floor |",
        "|---|---|---|---|---|",
    ]
    totals = [0, 0, 0, 0]
    for name, found in results["accuracy"].items():
        counts = [
            found[BARE],
            results["floors"][BARE][name],
            sum(n for prompt, n in found.items() if prompt != BARE),
            sum(f[name] for prompt, f in results["floors"].items() if prompt != BARE),
        ]
        totals = [a + b for a, b in zip(totals, counts, strict=True)]
        rows.append(_row(name, counts, 1))
    return [*rows, _row("**all**", totals, len(results["accuracy"]))]


def _row(name: str, counts: list[int], n_concepts: int) -> str:
    sizes = [N_SEEDS, N_SEEDS, N_SEEDS * N_HELD_OUT, N_SEEDS * N_HELD_OUT]
    shares = [f"{100 * c / (s * n_concepts):.0f} %" for c, s in zip(counts, sizes, strict=True)]
    return f"| {name} | {' | '.join(shares)} |"


def _identity(results: dict[str, Any]) -> list[str]:
    lines = []
    for key, words in (
        ("identity", "With all nine others protected"),
        ("identity_three", "With only three others protected"),
    ):
        if key in results:
            listed, unlisted = (
                [sum(r[kind][i] for r in results[key].values()) for i in (0, 1)]
                for kind in ("listed", "unlisted")
            )
            text = (
                f"{words}: {listed[0]} of {listed[1]} pictures of protected objects bit-identical"
            )
            if unlisted[1]:
                text += f", and {unlisted[0]} of {unlisted[1]} of objects that nobody listed"
            lines.append(f"- {text}.")
    return lines


def _paper(results: dict[str, Any]) -> list[str]:
    if "paper" not in results:
        return []
    rows = [
        "Methods that train, on six objects (cat, dog, rose, car, pizza, guitar), the cat erased. "
        "*Others*: pictures of the other five still right, and prompts bit-identical. The paper's "
        "variants run with its published settings.",
        "",
        "| method | cat drawn | others | bit-identical | its own report |",
        "|---|---|---|---|---|",
    ]
    for method, found in results["paper"].items():
        block = found["report"].split("\n\n")[0].splitlines()
        told = next((x for x in block if "steps," in x), "").strip("- ")
        cost = next((x for x in block if x.startswith("- cost")), "").split(": ", 1)[-1]
        rows.append(
            f"| {method} | {found['cat']} of {found['pictures']} | "
            f"{found['others_right']} of {found['others_pictures']} | "
            f"{found['others_identical']} of 5 | {told}; {cost} |"
        )
    return rows


def _cost(results: dict[str, Any]) -> list[str]:
    """Refine beside the paper's procedure, in one process."""
    if "cost" not in results:
        return []
    paper = results["cost"]["paper separate"]
    pictures = paper["pictures"] * len(paper["drawn"])
    floor = sum(f["cat"] for f in results["floors"].values())
    rows = [
        "What refining costs beside the paper's procedure, in one process on the same two cores: "
        "the cat of six objects, drawing it included. *Cats*: pictures of the name and of five "
        f"phrasings never given; the floor is {floor} of {pictures}.",
        "",
        "| | evaluations of the denoiser | seconds | worst \\|ρ\\| afterwards | cats |",
        "|---|---|---|---|---|",
    ]
    for method, found in results["cost"].items():
        figures = [
            _beside(found["evaluations"], paper["evaluations"], "fewer"),
            _beside(found["seconds"], paper["seconds"], "faster"),
            f"{max(map(abs, found['rho'])):.2f}",
            f"{sum(found['drawn'].values())} of {pictures}",
        ]
        rows.append(f"| {method} | {' | '.join(figures)} |")
    return rows


def _beside(ours: float, reference: float, word: str) -> str:
    """A figure, and how many times better it is than the reference's where it differs."""
    told = f"{ours:.0f}"
    return told if ours == reference else f"{told} ({reference / ours:.0f} times {word})"


def main(path: Path) -> None:
    """Rewrites README's section."""
    readme = README.read_text(encoding="utf-8")
    before, rest = readme.split(BEGIN)
    made = markdown(json.loads(path.read_text(encoding="utf-8")))
    README.write_text(f"{before}{BEGIN}\n{made}{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
