"""How many connections there are, in all and of each client address.

An IPv6 client commonly has 2**64 addresses to itself, so of those addresses only the first 64 bits count.
"""

from __future__ import annotations

from ipaddress import AddressValueError, IPv6Address

__all__ = ["Census", "network"]


class Census:
    """Counts clients by address. Who enters has to leave once."""

    __slots__ = ("_counts", "total")

    def __init__(self) -> None:
        self.total = 0
        self._counts: dict[str, int] = {}

    def of(self, address: str) -> int:
        """Return how many there are of `address`."""
        return self._counts.get(network(address), 0)

    def enter(self, address: str) -> None:
        """Count one more."""
        place = network(address)
        self.total += 1
        self._counts[place] = self._counts.get(place, 0) + 1

    def leave(self, address: str) -> None:
        """Count one less."""
        place = network(address)
        self.total -= 1
        left = self._counts[place] - 1
        if left:
            self._counts[place] = left
        else:
            del self._counts[place]


def network(address: str) -> str:
    """Return what counts of an address: of IPv6 the first 64 bits."""
    if ":" not in address:
        return address
    try:
        return IPv6Address(address).packed[:8].hex()
    except AddressValueError:
        return address
