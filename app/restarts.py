"""How soon a process that has ended is started again: at once, and later each time that it does not last."""

from __future__ import annotations

__all__ = ["Restarts"]

FIRST_DELAY = 0.1
MOST_DELAY = 30.0
STEADY = 10.0
"""Seconds of life after which an end counts as the first."""


class Restarts:
    """Counts one process's ends. Times are in seconds."""

    def __init__(self) -> None:
        self._delay = FIRST_DELAY

    def delay_after(self, lived: float) -> float:
        """Return how long to wait after a life of `lived` seconds."""
        if lived >= STEADY:
            self._delay = FIRST_DELAY
        delay = self._delay
        self._delay = min(2 * delay, MOST_DELAY)
        return delay
