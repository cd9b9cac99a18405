"""A stack as one plain LoRA, which has no dead zone and no need of SepME.

ΔW_l = Σ strength · A_l D is low rank as it stands: `up` is the coefficients side by side, `down`
the bases on top of each other. What a basis is blind to stays unseen whatever `up` is, so the
linear guarantee lives in `down`, kept in float32.

One `down` and one rank for all layers, also for a layer narrower than the rank: diffusers scales
a layer wrongly whose rank or alpha is not that of most others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from .concepts import Concept
from .embeddings import EncodedPrompt
from .errors import IncrementFileError
from .increment import Increment, Stack, StackEntry
from .leak import Leak, measure_leak
from .safetensors_file import metadata_of, read_head

__all__ = [
    "NOTE",
    "Lora",
    "is_ours",
    "lora_leak",
    "lora_metadata",
    "protected_by_all",
    "read_lora",
]

NOTE = (
    "A LoRA has no dead zone: what is protected moves by the leak stated here, where SepME Apply "
    "in exact mode leaves it the same to the bit."
)


@dataclass(frozen=True, eq=False)
class Lora:
    """The weight change of a stack, ΔW_l = up_l · down.

    Args:
        down: `[rank, d_text]` float32, for all layers.
        up: by module path, `[d_out, rank]` float32.
        full: by module path, `[d_out, d_in]` float32: layers that an unconstrained increment
            changes, with all of their change.
    """

    down: Tensor
    up: Mapping[str, Tensor]
    full: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])

    @classmethod
    def of(cls, stack: Stack) -> Lora:
        """What the active entries of a stack change together; the bases as they are."""
        active = stack.active()
        full = {m: _sum(active, m) for m in sorted({m for e in active for m in e.increment.full})}
        rows = [e for e in active if e.increment.coef]
        modules = sorted({m for e in rows for m in e.increment.coef} - set(full))
        if not modules:
            return cls(torch.zeros(0, 0), {}, full)
        down = torch.cat([e.increment.basis.float() for e in rows])
        return cls(down, {m: _beside(rows, m) for m in modules}, full)

    @property
    def rank(self) -> int:
        """Rows of `down`."""
        return len(self.down)

    @property
    def target_modules(self) -> tuple[str, ...]:
        """Module paths of the changed layers."""
        return tuple(sorted({*self.up, *self.full}))

    def delta_weight(self, module: str) -> Tensor:
        """ΔW of one layer, `[d_out, d_in]` float32."""
        return self.full[module] if module in self.full else self.up[module] @ self.down

    def shortened(self) -> Lora:
        """The same change without rows that the others make up for, where bases overlap.

        The SVD's directions are combinations of the rows, so nothing new is seen. Those left out
        are shorter than the rounding of float32.
        """
        if not self.rank:
            return self
        u, s, directions = torch.linalg.svd(self.down.double(), full_matrices=False)
        rank = int((s > s[0] * torch.finfo(torch.float32).eps).sum())
        if rank == self.rank:
            return self
        mix = u[:, :rank] * s[:rank]
        up = {k: (v.double() @ mix).float() for k, v in self.up.items()}
        return replace(self, down=directions[:rank].float(), up=up)

    def tensors(self, names: Mapping[str, str]) -> dict[str, Tensor]:
        """As loaders expect them: alpha is the rank, so that the scale is one.

        Args:
            names: the loaders' name of each changed layer by module path.
        """
        found = {f"{names[m]}.diff": change for m, change in self.full.items()}
        for module, up in self.up.items():
            found[f"{names[module]}.lora_up.weight"] = up
            found[f"{names[module]}.lora_down.weight"] = self.down.clone()
            found[f"{names[module]}.alpha"] = torch.tensor(float(self.rank))
        return found


def read_lora(path: Path, names: Mapping[str, str]) -> Lora:
    """A written LoRA, its tensors as stored.

    Args:
        names: of `Lora.tensors`.
    Raises:
        IncrementFileError: it cannot be read, or is not as `Lora.tensors` gives it.
    """
    try:
        stored = load(path.read_bytes())
        full = {m: stored.pop(f"{n}.diff") for m, n in names.items() if f"{n}.diff" in stored}
        low = {m: n for m, n in names.items() if m not in full}
        up = {m: stored[f"{n}.lora_up.weight"] for m, n in low.items()}
        downs = [stored[f"{n}.lora_down.weight"] for n in low.values()]
        scales = [float(stored[f"{n}.alpha"]) / len(downs[0]) for n in low.values()]
    except (SafetensorError, OSError, KeyError) as error:
        raise IncrementFileError(
            f"{path.name} was written, but cannot be read back ({error!r}). Check the disk, and "
            "export again with overwrite on."
        ) from error
    if (
        len(stored) != 3 * len(low)
        or {*scales} - {1.0}
        or any(not torch.equal(down, downs[0]) for down in downs)
    ):
        raise IncrementFileError(
            f"{path.name} does not hold what was written. Export again with overwrite on."
        )
    return Lora(downs[0] if downs else torch.zeros(0, 0), up, full)


def is_ours(path: Path) -> bool:
    """Whether a file is a LoRA that was made here."""
    try:
        with path.open("rb") as file:
            return "sepme.concepts" in metadata_of(read_head(file))
    except (SafetensorError, OSError):
        return False


def lora_leak(lora: Lora, prompts: Sequence[EncodedPrompt], weights: Mapping[str, Tensor]) -> Leak:
    """How far a LoRA moves prompts; see `measure_leak`."""
    return measure_leak(Increment(Concept("all of them"), lora.down, lora.up), prompts, weights)


def protected_by_all(stack: Stack) -> tuple[str, ...]:
    """Prompts that every active increment leaves alone."""
    lists = [e.increment.provenance.protected for e in stack.active()]
    common = set(lists[0]).intersection(*lists[1:]) if lists else set[str]()
    return tuple(sorted(common))


def lora_metadata(  # noqa: PLR0913
    stack: Stack,
    lora: Lora,
    *,
    title: str,
    architecture: str,
    base_version: str,
    leak: Mapping[str, object],
) -> dict[str, str]:
    """What loaders and people look for in the file's head.

    Args:
        architecture: of the model, in the words of `modelspec`.
        base_version: of the model, in those of the `ss_` keys.
        leak: as measured, empty when it was not.
    """
    concepts = [
        {"name": e.name, "strength": e.strength, "leak": dict(e.increment.provenance.leak)}
        for e in stack.active()
    ]
    encoders = {e.increment.provenance.text_encoder for e in stack.active()}
    return {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": f"{architecture}/lora",
        "modelspec.title": title,
        "ss_base_model_version": base_version,
        "ss_v2": str(base_version.startswith("sd_v2")),
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(lora.rank),
        "ss_network_alpha": str(lora.rank),
        "ss_output_name": title,
        "sepme.concepts": json.dumps(concepts, sort_keys=True),
        "sepme.leak": json.dumps(leak, sort_keys=True),
        "sepme.note": NOTE,
        "sepme.text_encoder": min(encoders, default=""),
    }


def _sum(active: Sequence[StackEntry], module: str) -> Tensor:
    acting = [e for e in active if module in e.increment.target_modules]
    changes = [e.strength * e.increment.delta_weight(module) for e in acting]
    return sum(changes[1:], changes[0])


def _beside(rows: Sequence[StackEntry], module: str) -> Tensor:
    """The coefficients side by side; zeros for increments that leave the layer alone."""
    known = {e: e.increment.coef[module].float() for e in rows if module in e.increment.coef}
    d_out = len(next(iter(known.values())))
    parts = [
        e.strength * known[e] if e in known else torch.zeros(d_out, e.increment.n_basis)
        for e in rows
    ]
    return torch.cat(parts, dim=1)
