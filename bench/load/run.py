"""What a client saw."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Run"]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a client. A run with faults counts for nothing."""

    requests: int
    """Those that were answered."""
    seconds: float
    received: int
    """Bytes of bodies and heads, as the client counts them."""
    faults: tuple[str, ...] = ()
    """What went wrong, in words."""
    p50: float = float("nan")
    """Milliseconds."""
    p99: float = float("nan")
    """Milliseconds."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds
