"""Increments: what erases one concept, their algebra, and stacks of them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from .concepts import Concept, name_key
from .dead_zone import DeadZone
from .errors import ConceptError, IncompatibleError, NonFiniteError

__all__ = ["Increment", "Provenance", "Stack", "StackEntry"]


@dataclass(frozen=True)
class Provenance:
    """Where an increment came from and what was measured; JSON-ready values only.

    Args:
        protected: every prompt it leaves alone.
        templates: the sentences its concept was given in, so that it can be recomputed and
            re-separated by whoever holds the file.
        family, text_encoder, base: fingerprints of what it was computed on.
        method: name and settings.
        leak: of `measure_leak`.
    """

    protected: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    family: str = ""
    text_encoder: str = ""
    base: str = ""
    method: Mapping[str, object] = field(default_factory=dict[str, object])
    leak: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, eq=False)
class Increment:
    """The weight change that erases one concept, ΔW_l = A_l D for every edited layer l.

    Args:
        concept: what it erases.
        basis: D, `[n_basis, d_text]` float32, orthonormal rows, shared by all layers; empty
            `[0, d_text]` for an unconstrained increment.
        coef: A_l by module path, `[d_out, n_basis]` float32.
        full: unconstrained ΔW_l by module path, `[d_out, d_in]` float32; empty otherwise.
        dead_zone: which tokens pass untouched.
        provenance: protected prompts, fingerprints, method, leak.

    Raises:
        NonFiniteError: a tensor holds NaN or infinity.
        IncompatibleError: shapes do not fit each other.
    """

    concept: Concept
    basis: Tensor
    coef: Mapping[str, Tensor]
    full: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    dead_zone: DeadZone = DeadZone(0.0, 0.0, 1.0)
    provenance: Provenance = Provenance()

    def __post_init__(self) -> None:
        tensors = self.tensors()
        if not _sums_are_finite(tensors.values()):
            for key, tensor in tensors.items():
                if not bool(torch.isfinite(tensor).all()):
                    raise NonFiniteError(
                        f"{key} of the increment for {self.concept.name!r} holds NaN or infinity. "
                        "Compute it again; if it stays so, use a smaller learning rate."
                    )
        for module, coef in self.coef.items():
            if coef.shape[1] != self.n_basis:
                raise IncompatibleError(
                    f"coef.{module} has {coef.shape[1]} columns, the basis {self.n_basis} rows; "
                    "they must agree."
                )

    @property
    def n_basis(self) -> int:
        """Number of basis rows (the rank)."""
        return self.basis.shape[0]

    @property
    def separable(self) -> bool:
        """Whether protected prompts are out of its reach (not so for unconstrained ones)."""
        return not self.full

    @property
    def target_modules(self) -> tuple[str, ...]:
        """Module paths of the edited layers."""
        return tuple(sorted({*self.coef, *self.full}))

    def tensors(self) -> dict[str, Tensor]:
        """All tensors under the names they have in the file."""
        named = {"basis.context": self.basis} if self.n_basis else {}
        named |= {f"coef.{k}": v for k, v in sorted(self.coef.items())}
        return named | {f"full.{k}": v for k, v in sorted(self.full.items())}

    def delta_weight(self, module: str) -> Tensor:
        """ΔW of one layer, `[d_out, d_in]` float32: the one definition used to merge and export."""
        if module in self.full:
            return self.full[module]
        return self.coef[module].float() @ self.basis.float()

    def scaled(self, strength: float) -> Increment:
        """The increment times a number; `scaled(-1)` is its inverse."""
        return replace(
            self,
            coef={k: v * strength for k, v in self.coef.items()},
            full={k: v * strength for k, v in self.full.items()},
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 over concept, dead zone and tensors: equal digests act equally."""
        h = hashlib.sha256(json.dumps(asdict(self.concept), sort_keys=True).encode())
        zone = self.dead_zone
        h.update(repr((zone.threshold, zone.largest_protected)).encode())
        for key, tensor in self.tensors().items():
            h.update(f"{key}{tuple(tensor.shape)}{tensor.dtype}".encode())
            h.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return h.hexdigest()


def _sums_are_finite(tensors: Iterable[Tensor]) -> bool:
    """A finite sum has finite terms, and is had in a fraction of the time; it may overflow."""
    return math.isfinite(sum(float(tensor.sum()) for tensor in tensors))


@dataclass(frozen=True, eq=False)
class StackEntry:
    """One row of a stack.

    Args:
        strength: 1 acts as computed, 0 not at all.
        enabled: off keeps it without effect.
        start, end: the part of the sampling in which it acts, from 0 to 1.
    """

    increment: Increment
    strength: float = 1.0
    enabled: bool = True
    start: float = 0.0
    end: float = 1.0

    @property
    def name(self) -> str:
        """The concept's name."""
        return self.increment.concept.name

    @property
    def window(self) -> tuple[float, float]:
        """When it acts; what is off could act at any time."""
        return (self.start, self.end) if self.enabled else (0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Stack:
    """Increments applied together. Their sum does not depend on their order, to the bit."""

    entries: tuple[StackEntry, ...] = ()

    @classmethod
    def of(cls, increments: Iterable[Increment]) -> Stack:
        """A stack with everything on at strength one."""
        return cls(tuple(StackEntry(i) for i in increments))

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def names(self) -> tuple[str, ...]:
        """Concept names, in order."""
        return tuple(c.name for c in self.concepts)

    @property
    def concepts(self) -> tuple[Concept, ...]:
        """What the increments erase, in order."""
        return tuple(e.increment.concept for e in self.entries)

    def __add__(self, other: Stack) -> Stack:
        """Both stacks; an increment that stands in both (by digest) is taken once, from `other`."""
        later = {e.increment.digest for e in other.entries}
        kept = tuple(e for e in self.entries if e.increment.digest not in later)
        return Stack(kept + other.entries)

    def active(self) -> tuple[StackEntry, ...]:
        """Entries that act, in canonical order, so that any order of adding gives the same bits."""
        acting = (e for e in self.entries if e.enabled and e.strength != 0)
        return tuple(sorted(acting, key=lambda e: (e.increment.digest, e.strength)))

    def by_window(self) -> dict[tuple[float, float], Stack]:
        """The entries apart by when they act."""
        windows = dict.fromkeys(e.window for e in self.entries)
        return {w: Stack(tuple(e for e in self.entries if e.window == w)) for w in windows}

    def scaled(self, strength: float) -> Stack:
        """Every entry's strength times a number."""
        return Stack(tuple(replace(e, strength=e.strength * strength) for e in self.entries))

    def without(self, names: Iterable[str]) -> Stack:
        """The stack less every increment that erases one of the names, as its own or a synonym.

        Raises:
            ConceptError: a name that is not in the stack.
        """
        unwanted = {name_key(n): n for n in names}
        erased = [set(map(name_key, e.increment.concept.names)) for e in self.entries]
        unknown = [name for key, name in unwanted.items() if not any(key in own for own in erased)]
        if unknown:
            raise ConceptError(
                f"{', '.join(map(repr, unknown))} is not in the stack. "
                f"In it: {', '.join(self.names) or 'nothing'}."
            )
        pairs = zip(self.entries, erased, strict=True)
        return Stack(tuple(e for e, own in pairs if own.isdisjoint(unwanted)))
