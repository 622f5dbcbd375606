"""The bound on what a process buffers for slow peers, over all exchanges: on both sides of the tunnel.

Each exchange says how much it holds for a peer that does not take it. Near the limit windows stop growing
(`has_room`); at the limit the exchange that holds most is cut, then the next, until what is left fits.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Budget", "Holder"]

DEFAULT_LIMIT = 48 * 1024 * 1024


class Holder(Protocol):
    """Something that buffers."""

    def shed(self) -> None:
        """Give up and let go of everything that is held (calls `Budget.update` with 0)."""


class Budget:
    """Counts held bytes and picks who must go."""

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        """Start with nothing held; `limit` is in bytes."""
        self.limit = limit
        self.total = 0
        self.shed_count = 0
        self._held: dict[Holder, int] = {}
        self._shedding = False

    @property
    def has_room(self) -> bool:
        """Whether windows may still grow: less than half of the limit is held."""
        return self.total * 2 < self.limit

    def update(self, holder: Holder, size: int) -> None:
        """`holder` buffers `size` bytes now. May shed holders, this one among them."""
        held = self._held
        before = held.pop(holder, 0)
        if size:
            held[holder] = size
        elif not before:
            return
        self.total += size - before
        if self.total > self.limit and not self._shedding:
            self._shed()

    def _shed(self) -> None:
        """Cut the largest until the rest fits; what is let go of meanwhile comes back through `update`."""
        held = self._held
        self._shedding = True
        try:
            while self.total > self.limit and held:
                largest = max(held, key=held.__getitem__)
                self.shed_count += 1
                largest.shed()
                self.total -= held.pop(largest, 0)
        finally:
            self._shedding = False
