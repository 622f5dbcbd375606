"""When a stream's receive window grows: only for a stream whose reader keeps up.

A window limits a stream to one window per round trip, which is little over a long way; a large one lets a reader that
stalls hold that much memory. So each starts small and doubles whenever a whole window has been passed on without the
reader once having to be waited for; the first time it has to, growth is over for this stream.
"""

from __future__ import annotations

__all__ = ["WindowGrowth"]

MAX_WINDOW = 4 * 1024 * 1024
"""Bytes a stream's window grows to at the most."""


class WindowGrowth:
    """Decides for one stream."""

    __slots__ = ("_passed", "window")

    def __init__(self, window: int) -> None:
        """Start at the window that the stream's SETTINGS gave it, in bytes."""
        self.window = window
        self._passed = 0

    def passed(self, size: int) -> int:
        """`size` bytes went on at once; return by how many bytes to widen the window now (mostly 0)."""
        self._passed += size
        if self._passed < self.window or self.window >= MAX_WINDOW:
            return 0
        self._passed = 0
        grown = min(self.window, MAX_WINDOW - self.window)
        self.window += grown
        return grown

    def stalled(self) -> None:
        """The reader had to be waited for: no more growth."""
        self._passed = -(1 << 62)
