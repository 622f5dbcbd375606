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
    faults: tuple[str, ...] = ()
    """What went wrong, in words."""
    received: int | None = None
    """Bytes that came, heads included, if the client counts them."""
    p50: float = float("nan")
    """Milliseconds."""
    p99: float = float("nan")
    """Milliseconds."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds
