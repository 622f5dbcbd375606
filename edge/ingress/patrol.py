"""A look at an interval, for as long as there is something to look at.

One patrol takes the place of a timer for each thing it looks after: to start it costs nothing while it goes on, and
who has become well does not have to say so. What it finds has lasted for one interval at the least and two at the most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Patrol"]


class Patrol:
    """Calls `look` each `interval` seconds after `start` until it returns False."""

    __slots__ = ("_interval", "_look", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, interval: float, look: Callable[[], bool]) -> None:
        self._loop = loop
        self._interval = interval
        self._look = look
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Have the next look in an interval, unless one is due already."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._interval, self._go)

    def cancel(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go(self) -> None:
        self._timer = None
        if self._look():
            self.start()
