"""Calls for events."""

from __future__ import annotations

from ..call import Call, Query, Repeat, nothing, path
from ..models.events import Event
from ..models.shared import Page
from .pages import PageOf, page

__all__ = ["follow", "list_events"]

SILENCE = 45.0
"""Seconds without a byte after which a stream is taken for dead; an edge gives a sign of life every 15."""


def list_events(query: Query) -> PageOf[Event]:
    """What was changed, the newest first."""
    return page(path("events"), Page[Event], query)


def follow(after: int | None) -> Call[None]:
    """What happens; first what was changed after an event. The answer is a stream."""
    headers = {"Accept": "text/event-stream"}
    if after is not None:
        headers["Last-Event-ID"] = str(after)
    return Call(
        method="GET",
        path=path("events", "stream"),
        headers=headers,
        understand=nothing,
        repeat=Repeat.SAFELY,
        patience=SILENCE,
    )
