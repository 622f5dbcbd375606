"""How many public connections there are, in all and of each client address.

An IPv6 client commonly has 2**64 addresses to itself, so of those addresses only the first 64 bits count.
"""

from __future__ import annotations

from ipaddress import AddressValueError, IPv6Address

__all__ = ["Census"]


class Census:
    """Counts clients by address. Who enters has to leave once."""

    __slots__ = ("_counts", "total")

    def __init__(self) -> None:
        self.total = 0
        self._counts: dict[str, int] = {}

    def of(self, address: str) -> int:
        """Return how many there are of `address`."""
        return self._counts.get(_network(address), 0)

    def enter(self, address: str) -> None:
        """Count one more."""
        network = _network(address)
        self.total += 1
        self._counts[network] = self._counts.get(network, 0) + 1

    def leave(self, address: str) -> None:
        """Count one less."""
        network = _network(address)
        self.total -= 1
        left = self._counts[network] - 1
        if left:
            self._counts[network] = left
        else:
            del self._counts[network]


def _network(address: str) -> str:
    if ":" not in address:
        return address
    try:
        return IPv6Address(address).packed[:8].hex()
    except AddressValueError:
        return address
