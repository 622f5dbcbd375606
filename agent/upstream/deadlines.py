"""One timer for many equal timeouts.

Everything in a `DeadlineQueue` gets the same time, so what was added first runs out first, and the order of a dict is
the order of the deadlines. The timer is armed for the oldest entry and, when it fires, for the oldest one left:
adding and discarding, which every request does, touch no timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

__all__ = ["DeadlineQueue"]

T = TypeVar("T")


class DeadlineQueue(Generic[T]):
    """Things that each run out `timeout` seconds after they were added; `on_expired` is then called with them."""

    __slots__ = ("_deadlines", "_loop", "_on_expired", "_timeout", "_timer")

    def __init__(self, timeout: float, on_expired: Callable[[T], None]) -> None:
        self._timeout = timeout
        self._on_expired = on_expired
        self._deadlines: dict[T, float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._deadlines)

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._deadlines))

    def add(self, item: T) -> None:
        """Start the time of `item`, anew if it is there already."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()  # asked once: each time costs a system call
        self._deadlines.pop(item, None)
        deadline = self._deadlines[item] = loop.time() + self._timeout
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._sweep)

    def discard(self, item: T) -> None:
        """Take `item` out, if it is there."""
        self._deadlines.pop(item, None)

    def pop_newest(self) -> T:
        """Take out what was added last. Raises KeyError when there is nothing."""
        return self._deadlines.popitem()[0]

    def close(self) -> None:
        """Forget everything and stop the timer."""
        self._deadlines.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        loop = self._loop
        assert loop is not None
        self._timer = None
        now = loop.time()
        expired = []
        for item, deadline in self._deadlines.items():
            if deadline > now:
                self._timer = loop.call_at(deadline, self._sweep)
                break
            expired.append(item)
        for item in expired:
            del self._deadlines[item]
        for item in expired:
            self._on_expired(item)
