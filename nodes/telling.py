"""What a node tells at once: a headline, how serious it is, and the report behind it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from . import host

__all__ = ["Remark", "counted", "told", "warn"]

log = logging.getLogger(__name__)

Level = Literal["ok", "note", "warning"]
_LEVELS: tuple[Level, ...] = ("ok", "note", "warning")


@dataclass(frozen=True)
class Remark:
    """Something that a person should know of a run.

    Args:
        headline: in a few words, for the node itself.
        text: the whole of it, with what to do; empty where the node's report says it already.
    """

    headline: str
    text: str = ""
    level: Level = "warning"


def told(
    headline: str,
    report: str = "",
    remarks: Sequence[Remark] = (),
    margin: float | None = None,
    **more: Any,
) -> dict[str, Any]:
    """What the page is told of a run that is over, the same for every node.

    Args:
        headline: what is shown when there is nothing to remark.
        report: all of it; where a node has none, the headline.
        margin: the narrowest of what was computed or measured; None where there is none.
    Returns:
        `sepme_report`, `sepme_state` and what else the node tells, each a list as the host wants.
    """
    worst = max(remarks, key=lambda r: _LEVELS.index(r.level), default=Remark(headline, "", "ok"))
    others = f" (+{len(remarks) - 1})" if len(remarks) > 1 else ""
    state = {"level": worst.level, "headline": worst.headline + others, "margin": margin}
    text = "\n\n".join([report or headline, *(r.text for r in remarks if r.text)])
    return {"sepme_report": [text], "sepme_state": [state], **more}


def warn(remarks: Sequence[Remark]) -> Sequence[Remark]:
    """Writes into the log and on the node what the node's report does not say; gives it back."""
    text = "\n".join(r.text for r in remarks if r.text and r.level == "warning")
    if text:
        log.warning("SepME: %s", text)
        host.show_text(text)
    return remarks


def counted(n: int, thing: str) -> str:
    """Such as `1 file`, `2 files`."""
    return f"{n} {thing}{'' if n == 1 else 's'}"
