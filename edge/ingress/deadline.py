"""A deadline that moves often and is reached seldom.

The loop's timer is armed for the first deadline and left alone while the deadline moves to later times; when it fires
early it is armed again for what is left. So moving a deadline costs an assignment.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

__all__ = ["Deadline"]


class Deadline:
    """Calls `on_reached` once the time last set has come. Times are loop times, in seconds."""

    __slots__ = ("_armed_for", "_loop", "_on_reached", "_timer", "_when")

    def __init__(self, loop: asyncio.AbstractEventLoop, on_reached: Callable[[], None]) -> None:
        self._loop = loop
        self._on_reached = on_reached
        self._when = math.inf
        self._armed_for = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def set(self, when: float) -> None:
        """Move the deadline to `when`."""
        self._when = when
        if when < self._armed_for:
            if self._timer is not None:
                self._timer.cancel()
            self._arm()

    def clear(self) -> None:
        """Have no deadline until the next `set`; the timer may go on."""
        self._when = math.inf

    def cancel(self) -> None:
        """Have no deadline and no timer."""
        self._when = self._armed_for = math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._armed_for = self._when
        self._timer = self._loop.call_at(self._when, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._armed_for = math.inf
        if self._when == math.inf:
            return
        if self._loop.time() < self._when:
            self._arm()
            return
        self._when = math.inf
        self._on_reached()
