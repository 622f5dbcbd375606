"""How long an upstream may take, and how many connections to it are kept."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["UpstreamTimes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTimes:
    """Patience with an upstream. Times are in seconds."""

    connect: float = 5.0
    """A connection must be made within this time."""
    head: float = 60.0
    """The response's head must come within this time of the end of the request."""
    idle: float = 60.0
    """A connection that nothing uses is closed after this time."""
    max_idle: int = 512
    """Connections kept for reuse, for each upstream."""
