"""Requests a second, from totals that come about once a second."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

__all__ = ["Rates"]

WINDOW = 10.0
"""Seconds that a rate is the mean of."""


class Rates:
    """Keeps the totals of the last seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, Mapping[str, int]]] = deque()

    def add(self, totals: Mapping[str, int], now: float) -> None:
        """Take the totals by service at the moment `now` (monotonic seconds)."""
        samples = self._samples
        samples.append((now, totals))
        while len(samples) > 2 and now - samples[1][0] >= WINDOW:
            samples.popleft()

    def clear(self) -> None:
        """Begin anew: the totals do."""
        self._samples.clear()

    def of(self, service: str | None = None) -> float:
        """Return the requests a second of a service, or of all."""
        if len(self._samples) < 2:
            return 0.0
        (began, first), (ended, last) = self._samples[0], self._samples[-1]
        if ended <= began:
            return 0.0
        if service is None:
            count = sum(last.values()) - sum(first.values())
        else:
            count = last.get(service, 0) - first.get(service, 0)
        return round(max(0, count) / (ended - began), 2)
