"""Workflows on the demo model in API form, wired as one would wire them in the page."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from PIL import Image

from demo.classifier import classify, load
from demo.vocabulary import OBJECTS
from launch.server import Server

HELD_OUT = (
    "my favourite {} today",
    "an icon of a {}",
    "{}, high quality, detailed",
    "look at this {} on a table",
    "the {} sleeping at night",
)


class Graph:
    """A workflow under construction; `add` gives the node's id, `(id, slot)` links."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}
        self.checkpoint = self.add("CheckpointLoaderSimple", ckpt_name="sepme_demo.safetensors")
        self.model, self.clip, self.vae = ((self.checkpoint, i) for i in range(3))
        self._texts: dict[str, tuple[str, int]] = {}

    def add(self, kind: str, **inputs: Any) -> str:
        """A node of any kind; links are `(id, slot)` tuples."""
        key = str(len(self.nodes) + 1)
        linked = {k: list(v) if isinstance(v, tuple) else v for k, v in inputs.items()}
        self.nodes[key] = {"class_type": kind, "inputs": linked}
        return key

    def concepts(self, *concepts: str, **fields: str) -> tuple[str, int]:
        """A concept set, with five templates unless told otherwise."""
        defaults = {
            "templates": "a photo of a {}\na drawing of a {}\na picture of a {}\n"
            "{} in the garden\na cute {}",
            "protected_concepts": "",
            "protected_prompts": "watermark",
            # The demo's text encoder has random weights: ordinary language tells it nothing.
            "preserve_list": "none",
        }
        text = "\n".join(concepts)
        return self.add("SepME_Concepts", concepts=text, **(defaults | fields)), 0

    def compute(self, concepts: tuple[str, int], **settings: Any) -> str:
        """Increments of the set; slots: stack, report, plot."""
        defaults = {
            "method": "closed form",
            "erase": "",
            "protection": "automatic",
            "energy": 0.97,
            "tolerance": 0.1,
            "dead_zone": 0.0,
            "max_steps": 0,
            "learning_rate": 0.0,
            "n_latents": 8,
            "resolution": 64,
            "seed": 0,
            "model": self.model,
            "clip": self.clip,
        }
        return self.add("SepME_Compute", concepts=concepts, **(defaults | settings))

    def apply(self, stack: Any, model: Any = None, **settings: Any) -> tuple[str, int]:
        """A model with the stack applied."""
        defaults = {
            "mode": "exact",
            "strength": 1.0,
            "start_percent": 0.0,
            "end_percent": 1.0,
            "prompts": "both",
            "off": "",
        }
        return self.add(
            "SepME_Apply", model=model or self.model, stack=stack, **(defaults | settings)
        ), 0

    def text(self, prompt: str) -> tuple[str, int]:
        """The conditioning of a prompt; equal prompts share a node."""
        if prompt not in self._texts:
            self._texts[prompt] = self.add("CLIPTextEncode", text=prompt, clip=self.clip), 0
        return self._texts[prompt]

    def draw(
        self,
        model: Any,
        prompt: str,
        *,
        n: int = 4,
        seed: int = 0,
        steps: int = 20,
        negative: str = "",
        cfg: float = 4.0,
    ) -> str:
        """A PreviewImage of n pictures, 64×64, euler."""
        latent = self.add("EmptyLatentImage", width=64, height=64, batch_size=n)
        sampled = self.add(
            "KSampler",
            model=model,
            positive=self.text(prompt),
            negative=self.text(negative),
            latent_image=(latent, 0),
            seed=seed,
            steps=steps,
            cfg=cfg,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        )
        decoded = self.add("VAEDecode", samples=(sampled, 0), vae=self.vae)
        return self.add("PreviewImage", images=(decoded, 0))


def pictures(server: Server, entry: dict, node: str) -> np.ndarray:
    """`[n, height, width, 3]` uint8 of one PreviewImage or SaveImage node."""
    found = [server.picture(image) for image in server.images(entry, node)]
    return np.stack([np.asarray(Image.open(io.BytesIO(png)).convert("RGB")) for png in found])


def run(server: Server, graph: Graph, *nodes: str, timeout: float = 600) -> list[np.ndarray]:
    """Runs a graph and gives the pictures of the named nodes."""
    entry = server.run(graph.nodes, timeout)
    return [pictures(server, entry, node) for node in nodes]


def report(server: Server, graph: Graph, compute: str) -> str:
    """The report of a compute node."""
    shown = graph.add("PreviewAny", source=(compute, 1))
    return server.run(graph.nodes)["outputs"][shown]["text"][0]


def objects_on(pictures: np.ndarray) -> list[str]:
    """What the demo classifier sees on `[n, height, width, 3]` uint8 pictures."""
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    seen, _ = classify(images, load())
    return [OBJECTS[i] for i in seen.tolist()]
