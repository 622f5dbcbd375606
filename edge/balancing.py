"""How an edge shares requests out among instances, as far as an operator may set it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Balancing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Balancing:
    """Settings of `edge.registry` and `edge.waiting`. Times are in seconds."""

    slow_start: float = 5.0
    """In which a new instance comes to its whole share; 0: it has it at once."""
    eject_after: int = 5
    """Gateway errors in a row after which an instance is taken out for a while; 0: never."""
    eject_time: float = 30.0
    """For how long the first time; twice as long the second, and so on up to ten times."""
    panic_threshold: int = 0
    """Percentage of a service's instances: with fewer healthy ones than that, all are used. 0: never."""
    queue_size: int = 1024
    """Requests that wait for an instance with room; one more is refused."""
    queue_timeout: float = 5.0
    """How long each of them may wait."""
    reconnect_grace: float = 5.0
    """How long an instance whose last tunnel has broken is still counted, as reconnecting; 0: not at all."""
