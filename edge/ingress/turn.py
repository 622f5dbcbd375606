"""What happens once at the end of a turn of the loop, for all connections that want it.

Many responses come in one turn. A callback of the loop for each connection would cost more than what it does, which is
often nothing: a response that has ended was written at once.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

__all__ = ["Flushed", "Turn"]


class Flushed(Protocol):
    """Collects what it writes."""

    def flush(self) -> None:
        """Write what was collected."""


class Turn:
    """Calls `flush` of those that asked for it, in one callback of the loop."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[Flushed] = []

    def flush_soon(self, flushed: Flushed) -> None:
        """Have `flush` called at the end of this turn; the caller asks once a turn."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._end)
        self._waiting.append(flushed)

    def _end(self) -> None:
        waiting, self._waiting = self._waiting, []
        for flushed in waiting:
            try:
                flushed.flush()
            except Exception as error:
                context = {"message": "a connection could not be written to", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)
