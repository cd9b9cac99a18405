"""What all nodes share: socket types, the menu category, and schemas for old and new hosts."""

from __future__ import annotations

import inspect
from typing import Any

from comfy_api.latest import io

__all__ = ["CATEGORY", "ConceptsType", "StackType", "schema"]

CATEGORY = "SepME"
ConceptsType = io.Custom("SEPME_CONCEPTS")
StackType = io.Custom("SEPME_STACK")


def schema(**fields: Any) -> io.Schema:
    """A node schema without the fields that this host does not know yet (`search_aliases`, …)."""
    known = inspect.signature(io.Schema).parameters
    return io.Schema(category=CATEGORY, **{k: v for k, v in fields.items() if k in known})
