"""One timer for all that a data plane has to do at some time: ejections that end, instances that warm up or stay away,
requests that have waited long enough. It is set only while there is something to wait for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

__all__ = ["Tended", "Upkeep"]


class Tended(Protocol):
    """Something that has to be looked after."""

    on_due: Callable[[], None]
    """To be called when `due` may be earlier than before."""

    @property
    def due(self) -> float | None:
        """When, by `time.monotonic`; None: not as far as is known."""

    def tend(self) -> None:
        """Do what is due."""


class Upkeep:
    """Looks after everything in time."""

    def __init__(self, tended: Sequence[Tended]) -> None:
        self._tended = tended
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0
        for one in tended:
            one.on_due = self._arm

    def close(self) -> None:
        """Look after nothing any more."""
        self._tended = ()
        self._clear()

    def _arm(self) -> None:
        times = [due for one in self._tended if (due := one.due) is not None]
        if not times:
            return
        at = min(times)
        if self._timer is None or at < self._at:
            self._clear()
            self._at = at
            self._timer = self._loop.call_later(max(0.0, at - time.monotonic()), self._tend)

    def _tend(self) -> None:
        self._timer = None
        for one in self._tended:
            one.tend()
        self._arm()

    def _clear(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
