"""Lines of the log that strangers can cause: as many as help, however many there are to complain about."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

__all__ = ["Complaints"]

INTERVAL = 10.0
"""Seconds that one summary covers."""
IN_FULL = 5
"""Lines written as they come before the rest of an interval is only counted."""


class Complaints:
    """One kind of line. The first few are written, the rest of an interval is one line with their number.

    While it goes on so, only the summaries are written; an interval with nothing to sum up ends that.
    """

    def __init__(self, log: Any, level: Literal["info", "warning"], event: str) -> None:
        self._log = log
        self._level = level
        self._event = event
        self._written = 0
        self._more = 0
        self._last: dict[str, object] = {}
        self._timer: asyncio.TimerHandle | None = None

    def tell(self, **fields: object) -> None:
        """Write a line with these fields, or count it."""
        if self._timer is None:
            self._written = 0
            self._wait()
        if self._written < IN_FULL:
            self._written += 1
            self._write(fields)
        else:
            self._more += 1
            self._last = fields

    def close(self) -> None:
        """Write what was only counted, and wait for no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._sum_up()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._on_interval)

    def _on_interval(self) -> None:
        self._timer = None
        if self._more:
            self._wait()
        self._sum_up()

    def _sum_up(self) -> None:
        """One line, with the fields of the last of them."""
        if self._more:
            more, self._more = self._more, 0
            self._write({"more": more, **self._last})

    def _write(self, fields: dict[str, object]) -> None:
        getattr(self._log, self._level)(self._event, **fields)
