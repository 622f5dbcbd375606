"""Who is connected to the tunnel port and not registered yet: whose turn it is, and who has to go for others.

An agent registers within a fraction of a second; whoever means harm, or is broken, holds on to its place until it is
thrown out. So the oldest makes room, not the newest: to keep an agent out, so many connections have to come while it
registers as there are places, and as fast, rather than that many in five seconds. One that is too many of its address
takes the place of the oldest of that address. One that is too many in all takes the place of the oldest of the address
that has the most: an agent that has its address to itself is the last to go.

TLS costs a hundred times what a place costs, so it is begun with few at a time: with one of each address in turn, and
of an address with the newest, which has the most time left before it has to go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from .census import network

__all__ = ["Lobby", "LobbyLimits"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class LobbyLimits:
    """Bounds on connections to the tunnel port that are not registered yet; each lives 5 s at the most."""

    max_unregistered: int = 1024
    """In all, TLS handshakes included."""
    max_unregistered_per_address: int = 256
    """Of one address; of IPv6 addresses the first 64 bits count."""


class Lobby(Generic[T]):
    """Those who wait, by address and in the order in which they came."""

    def __init__(self, limits: LobbyLimits) -> None:
        self._limits = limits
        self._addresses: dict[T, str] = {}
        self._queues: dict[str, dict[T, None]] = {}
        self._uncalled: dict[str, dict[T, None]] = {}

    def __len__(self) -> int:
        return len(self._addresses)

    def __contains__(self, who: T) -> bool:
        return who in self._addresses

    def enter(self, who: T, address: str) -> T | None:
        """Let `who` wait; return the one that has to go for that, which waits no more."""
        place = network(address)
        goes = self._too_many(place)
        if goes is not None:
            self.leave(goes)
        self._addresses[who] = place
        self._queues.setdefault(place, {})[who] = None
        self._uncalled.setdefault(place, {})[who] = None
        return goes

    def call(self) -> T | None:
        """Return whose turn it is, once for each; None when all who wait have been called."""
        if not self._uncalled:
            return None
        place = next(iter(self._uncalled))
        queue = self._uncalled.pop(place)
        who, _ = queue.popitem()
        if queue:
            self._uncalled[place] = queue
        return who

    def leave(self, who: T) -> bool:
        """Wait no more; return whether it did."""
        place = self._addresses.pop(who, None)
        if place is None:
            return False
        for queues in (self._queues, self._uncalled):
            queue = queues.get(place, {})
            queue.pop(who, None)
            if not queue:
                queues.pop(place, None)
        return True

    def empty(self) -> list[T]:
        """Return all who wait; none does any more."""
        everybody = list(self._addresses)
        for queues in (self._addresses, self._queues, self._uncalled):
            queues.clear()
        return everybody

    def _too_many(self, place: str) -> T | None:
        queue = self._queues.get(place)
        if queue is not None and len(queue) >= self._limits.max_unregistered_per_address:
            return next(iter(queue))
        if len(self._addresses) >= self._limits.max_unregistered:
            # At a tie the address whose queue began first: the others may have come a moment ago.
            fullest = max(self._queues, key=lambda one: len(self._queues[one]))
            return next(iter(self._queues[fullest]))
        return None
