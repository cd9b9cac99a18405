"""Who says what is on a picture: the demo's classifier, or CLIP zero-shot for other checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from demo.classifier import load
from demo.vocabulary import OBJECTS, STYLES

__all__ = ["ClipJudge", "DemoJudge", "Judge", "Verdict"]


_BATCH = 32  # pictures that CLIP sees at once


class Verdict(NamedTuple):
    """What a judge says of n pictures.

    Args:
        seen: the concepts seen on each picture.
        features: `[n, d]` float32, for distances between pictures.
    """

    seen: list[frozenset[str]]
    features: Tensor


class Judge(Protocol):
    """Judges pictures `[n, height, width, 3]` uint8."""

    name: str

    def knows(self, concept: str) -> bool:
        """Whether it can say that it sees a concept."""
        ...

    def __call__(self, pictures: np.ndarray) -> Verdict:
        """One object and one style, or one label, per picture."""
        ...


class DemoJudge:
    """The demo model's own classifier: one object and one style on every picture."""

    name = "demo classifier"

    def __init__(self) -> None:
        self._model = load()

    def knows(self, concept: str) -> bool:
        """See `Judge`."""
        return concept in (*OBJECTS, *STYLES)

    @torch.inference_mode()
    def __call__(self, pictures: np.ndarray) -> Verdict:
        """See `Judge`."""
        images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
        features = self._model.f(images * 2 - 1)
        objects = self._model.o(features.flatten(1)).argmax(1).tolist()
        styles = self._model.s(features.mean((2, 3))).argmax(1).tolist()
        seen = [frozenset((OBJECTS[o], STYLES[s])) for o, s in zip(objects, styles, strict=True)]
        return Verdict(seen, features.flatten(1))


class ClipJudge:
    """CLIP zero-shot: the label whose sentence is nearest.

    Args:
        folder: of a CLIP model as the `transformers` library saves it.
        labels: everything that it may answer.
    Raises:
        ValueError: the folder holds no such model, or there are fewer than two labels.
    """

    def __init__(self, folder: Path, labels: Sequence[str]) -> None:
        if len(labels) < 2:
            raise ValueError(f"CLIP needs at least two labels to choose from, got {list(labels)}.")
        self.labels = list(labels)
        self.name = f"CLIP zero-shot ({folder.name})"
        self._model, self._processor = _clip(folder)
        told = self._processor(
            text=[f"a picture of {label}" for label in labels], return_tensors="pt", padding=True
        )
        with torch.inference_mode():
            self._texts = _unit(self._model.get_text_features(**told))

    def knows(self, concept: str) -> bool:
        """See `Judge`."""
        return concept in self.labels

    @torch.inference_mode()
    def __call__(self, pictures: np.ndarray) -> Verdict:
        """See `Judge`."""
        features = torch.cat(
            [self._features(pictures[i : i + _BATCH]) for i in range(0, len(pictures), _BATCH)]
        )
        nearest = (features @ self._texts.T).argmax(1).tolist()
        return Verdict([frozenset((self.labels[i],)) for i in nearest], features)

    def _features(self, pictures: np.ndarray) -> Tensor:
        inputs = self._processor(images=list(pictures), return_tensors="pt")
        return _unit(self._model.get_image_features(**inputs))


def _clip(folder: Path) -> tuple[Any, Any]:
    from transformers import CLIPModel, CLIPProcessor  # noqa: PLC0415  (slow to import)

    try:
        model = CLIPModel.from_pretrained(folder, local_files_only=True).eval()
        return model, CLIPProcessor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{folder} holds no CLIP model that can be read ({error}). Give a folder as "
            "`CLIPModel.save_pretrained` and `CLIPProcessor.save_pretrained` write it."
        ) from error


def _unit(features: Any) -> Tensor:
    """Rows of length one; newer versions of the library wrap what older ones give plainly."""
    rows = features if torch.is_tensor(features) else features.pooler_output
    return rows.float() / rows.float().norm(dim=-1, keepdim=True)
