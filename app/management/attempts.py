"""A limit on wrong tokens from one address.

A token has 256 bits, so nobody guesses one; the limit keeps somebody who tries from filling log and processor. It
counts failures alone: a good token always passes, lest a stranger behind the same address could lock an operator out.
"""

from __future__ import annotations

from collections import OrderedDict

from edge.census import network

__all__ = ["Attempts"]

BURST = 20.0
REFILL = 0.5
"""Attempts a second that an address gets back."""
MAX_ADDRESSES = 10_000


class Attempts:
    """A bucket of attempts for each address."""

    def __init__(self, *, burst: float = BURST, refill: float = REFILL) -> None:
        """Start with a full bucket for everybody."""
        self._burst = burst
        self._refill = refill
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def failed(self, address: str, now: float) -> float:
        """Count a failure; return 0, or after how many seconds the address may try again."""
        place = network(address)
        left, since = self._buckets.pop(place, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._refill)
        wait = 0.0 if left >= 1 else (1 - left) / self._refill
        self._buckets[place] = (max(0.0, left - 1) if not wait else left, now)
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        return wait
