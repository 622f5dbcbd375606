"""Gives back the memory that connections leave behind when many are lost at once.

They leave holes in glibc's heap. A hole that takes the TLS buffer of a later connection, of which uvloop makes 256 KB
and touches little, holds all of its pages, so that an edge whose agents come and go would grow towards 256 KB a tunnel.
The pages of holes are therefore given back at once, before the agents dial again.
"""

from __future__ import annotations

import asyncio
import ctypes
from contextlib import suppress

__all__ = ["MANY", "Slack"]

MOMENT = 0.05
"""Seconds in which connections are lost together."""
MANY = 32
"""Connections that leave holes worth looking for."""


class Slack:
    """Counts the connections that are lost in a moment."""

    def __init__(self) -> None:
        self._lost = 0

    def lost(self) -> None:
        """A connection is gone."""
        if not self._lost:
            asyncio.get_running_loop().call_later(MOMENT, self._look)
        self._lost += 1

    def _look(self) -> None:
        lost, self._lost = self._lost, 0
        if lost >= MANY:
            give_back()


def give_back() -> None:
    """Give free pages of the heap back to the system, where glibc is what there is."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
