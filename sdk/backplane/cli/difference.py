"""What changes between two configurations, as a person reads it: YAML, line by line, in colours if that is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .output import paint

if TYPE_CHECKING:
    from ..models.config import ConfigChange, ConfigResult

__all__ = ["difference", "summary"]

SIGNS = {"create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red")}
CONTEXT = 3
"""Lines that are shown around those that change."""


def difference(change: ConfigChange) -> Iterator[str]:
    """Yield the lines for one thing that changes."""
    sign, colour = SIGNS.get(change.action, ("?", "yellow"))
    yield paint(f"{sign} {change.kind} {change.name}", colour=colour, bold=True)
    before, after = _lines(change.before), _lines(change.after)
    for line in difflib.unified_diff(before, after, lineterm="", n=CONTEXT):
        if line.startswith(("---", "+++")) and line[3:].strip() == "":
            continue
        if line.startswith("@@"):
            continue
        mark, text = line[:1], line[1:]
        colour = {"+": "green", "-": "red"}.get(mark, "")
        shown = f"  {mark} {text}".rstrip()
        yield paint(shown, colour=colour) if colour else shown


def summary(result: ConfigResult) -> str:
    """Return how much changes, in one line."""
    counts = dict.fromkeys(SIGNS, 0)
    for change in result.changes:
        counts[change.action] = counts.get(change.action, 0) + 1
    verb = "would be " if result.dry_run else ""
    parts = [f"{number} {verb}{action}d" for action, number in counts.items() if number]
    return ", ".join([*parts, f"{result.unchanged} unchanged"]) if parts else "nothing changes"


def _lines(document: Any) -> list[str]:
    if document is None:
        return []
    from .yaml import to_yaml

    return to_yaml(_without_empty(document)).splitlines()


def _without_empty(document: Any) -> Any:
    """Return it without what is not there, which is most of a route."""
    if isinstance(document, dict):
        kept = {key: _without_empty(value) for key, value in document.items()}
        return {key: value for key, value in kept.items() if value not in (None, [], {}, "")}
    if isinstance(document, list):
        return [_without_empty(one) for one in document]
    return document
