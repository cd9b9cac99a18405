"""Trains everything: `python -m demo.language.train.run [STAGE ...]`.

Stages, in order: "pictures" (autoencoder and judge), "model", "few" (its few-step pupil) and
"measure". All read and write one folder, where `prepare` puts what they begin with. On a GPU they
take eight minutes; on two cores five and a half hours of processor time, and a run that was ended
goes on where it was. "rehearse" runs all of them for a moment on made-up captions: do it first on a
new machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from demo import autoencoder as autoencoders
from demo.language import judge as judges
from demo.language.config import CFG, FEW_STEPS, MODEL, STEPS
from demo.language.pictures import training_pictures
from demo.language.train import autoencoder, evaluate, few_steps, judge, model, text_rows
from demo.language.train.data import Data
from demo.language.train.loop import DEVICE, save, say
from demo.language.train.network import NextDiT
from demo.language.train.scenes import Scenes
from demo.language.train.sizes import HERE, REHEARSAL, Sizes
from demo.language.train.text_rows import Captions

STAGES = ("pictures", "model", "few", "measure")


class Run:
    """The stages on one folder; each reads what the ones before it have left there.

    Args:
        folder: with what `prepare` wrote; takes checkpoints and results.
        sizes: how much of everything.
        factor: multiplies the seconds of every stage.
    """

    def __init__(self, folder: Path, sizes: Sizes = HERE, factor: float = 1.0):
        self.folder, self.sizes, self.factor = folder, sizes, factor
        self.scenes = Scenes(training_pictures().to(DEVICE))

    def pictures(self) -> None:
        """Writes `vae.safetensors` and `judge.safetensors`."""
        seconds, n = self._seconds("pictures"), self.sizes.judged
        trained = autoencoder.train(self.scenes, self.folder, self.sizes, 0.7 * seconds)
        save(trained.state_dict(), self.folder / "vae.safetensors")
        images = autoencoder.draw(self.scenes, min(64, n))
        redrawn = judge.redraw(images, trained, 0.0)
        say(f"redrawn: mean error {(redrawn - images).abs().mean().item():.4f}")
        self._sheet("redrawn", torch.stack([images, redrawn], 1).flatten(0, 1), 16)
        judging = judge.train(self.scenes, trained, self.folder, self.sizes, 0.3 * seconds)
        save(judging.state_dict(), self.folder / "judge.safetensors")
        say(f"judge on real pictures: {judge.accuracy(judging, self.scenes, None, n)}")
        say(f"judge on redrawn pictures: {judge.accuracy(judging, self.scenes, trained, n)}")

    def model(self) -> None:
        """Writes `model.safetensors`."""
        trained = model.train(self.data, self.folder, self._seconds("model"))
        save(trained.state_dict(), self.folder / "model.safetensors")

    def few(self) -> None:
        """Writes `few.safetensors`."""
        start, seconds = self._network("model"), self._seconds("few")
        trained = few_steps.train(start, self.data, self.folder, seconds)
        save(trained.state_dict(), self.folder / "few.safetensors")

    def measure(self) -> None:
        """Says what is drawn, and writes `results.json` and sheets of pictures."""
        measured = self.captions("measured", self.sizes.measured)
        nothing = text_rows.shortest(measured)
        judging = judges.load(self.folder / "judge.safetensors").to(DEVICE)
        results = {}
        for name, cfg, n_steps in (
            ("model", CFG, STEPS),
            ("few", 1.0, FEW_STEPS),
            ("few", 1.0, FEW_STEPS // 2),
        ):
            drawing = evaluate.Drawing(self._network(name), self._autoencoder, nothing)
            found, shown = evaluate.table(drawing, judging, measured, cfg, n_steps)
            title = f"{name}_{n_steps}_steps"
            results[title] = found
            say(f"{title}: {json.dumps(found, indent=1)}")
            self._sheet(title, shown, 32)
        text = json.dumps(results, indent=1)
        (self.folder / "results.json").write_text(text, encoding="utf-8")

    def captions(self, name: str, share: float) -> list[Captions]:
        """Captions in the language model's rows."""
        return text_rows.encode(self.folder, name, share)

    @cached_property
    def data(self) -> Data:
        """Captions and latents that fit them."""
        groups = self.captions("training", self.sizes.captions)
        # From here on less precision does; the captions had to be encoded as the host does it.
        torch.set_float32_matmul_precision("high")
        return Data(self.scenes, self._autoencoder, groups, self.sizes)

    @property
    def _autoencoder(self) -> nn.Module:
        return autoencoders.load(load_file(self.folder / "vae.safetensors")).to(DEVICE)

    def _network(self, name: str) -> NextDiT:
        network = NextDiT()
        weights = load_file(self.folder / f"{name}.safetensors")
        network.load_state_dict({key: weight.float() for key, weight in weights.items()})
        return network.to(DEVICE)

    def _seconds(self, stage: str) -> float:
        return self.sizes.seconds[stage] * self.factor

    def _sheet(self, name: str, images: Tensor, n_columns: int) -> None:
        """Pictures `[n, 3, 64, 64]` side by side in one PNG."""
        n_rows = -(-len(images) // n_columns)
        blank = images.new_ones(n_rows * n_columns - len(images), 3, 64, 64)
        grid = torch.cat([images, blank]).unflatten(0, (n_rows, n_columns))
        grid = grid.permute(0, 3, 1, 4, 2).flatten(0, 1).flatten(1, 2).float().clamp(0, 1)
        picture = (grid * 255).round().byte().cpu().numpy()
        Image.fromarray(picture).save(self.folder / f"{name}.png")


class Rehearsal(Run):
    """All stages for a moment, on eight objects and made-up captions."""

    def __init__(self, folder: Path):
        super().__init__(folder, REHEARSAL)
        self.scenes = Scenes(self.scenes.images[:8])

    def captions(self, name: str, share: float) -> list[Captions]:
        """An empty prompt, two objects in a style, and two side by side, in random rows."""
        objects = torch.tensor([[-1, -1, -1], [0, -1, 1], [7, -1, 3], [2, 5, -1]], device=DEVICE)
        kinds = ["empty", "styled", "styled", "pair"] if name == "training" else ["name"] * 4
        rows = torch.randn(4, MODEL["pad_tokens_multiple"], MODEL["cap_feat_dim"], device=DEVICE)
        return [Captions(rows, torch.tensor([9, 12, 12, 14], device=DEVICE), objects, kinds)]


def rehearse(folder: Path) -> None:
    """Runs every stage for a moment and leaves its results in that folder."""
    rehearsal = Rehearsal(folder)
    for stage in STAGES:
        getattr(rehearsal, stage)()


def main() -> None:
    """Runs the stages named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="*", default=STAGES, help=" ".join((*STAGES, "rehearse")))
    parser.add_argument("--folder", type=Path, help="default: the cache's folder train/language")
    parser.add_argument("--factor", type=float, default=1.0, help="train so much longer")
    chosen = parser.parse_args()
    torch.manual_seed(0)
    if chosen.folder is None:
        from demo.train.common import work

        chosen.folder = work("language")
    run = Run(chosen.folder, factor=chosen.factor)
    for stage in chosen.stages:
        say(stage)
        if stage == "rehearse":
            with tempfile.TemporaryDirectory() as folder:
                rehearse(Path(folder))
        else:
            getattr(run, stage)()


if __name__ == "__main__":
    main()
