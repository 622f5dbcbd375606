"""Keeps the garbage collector off the routes.

A hundred thousand compiled routes are millions of objects that live as long as the process, and hold no cycles. Each
full collection would look at all of them, and all requests would wait for that (a second and more, measured). So they
are *frozen* as they come in: the collector looks at them no more; what is replaced later is freed by its reference
count.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Mapping

__all__ = ["Heap"]

FEW = 1000
"""Routes that cost a collection no more than the rest of the process does."""
SHARE = 10
"""One in so many of all routes may be looked at: freezing spares garbage in cycles too, so it must not be often."""


class Heap:
    """Knows how many routes came in since the last time."""

    def __init__(self) -> None:
        self._fresh = 0

    def let_go(self, pieces: list[Mapping[str, object]]) -> None:
        """Let go of parts of a table that is not in force any more, one in each turn of the loop."""
        if pieces:
            pieces.pop()
            asyncio.get_running_loop().call_soon(self.let_go, pieces)

    def grew(self, routes: int, *, total: int, more: bool) -> None:
        """So many routes were compiled; `total` are in force, and `more` are about to come at once."""
        self._fresh += routes
        if self._fresh > (FEW if more else max(FEW, total // SHARE)):
            self._fresh = 0
            gc.collect(1)
            gc.freeze()
