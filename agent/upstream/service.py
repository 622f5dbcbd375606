"""A service: the upstreams that answer under one name."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

from h2s.budget import Budget

from ..address import Kind, Upstream
from .pool import Pool
from .settings import UpstreamTimes

__all__ = ["Service"]


class Service:
    """Spreads requests over its upstreams. Raises ValueError without any, or if they cannot be those of one.

    The owner sets `Pool.healthy` of each of `pools` from its health checks, and awaits `close` at the end.
    """

    def __init__(
        self,
        name: str,
        upstreams: Sequence[Upstream],
        times: UpstreamTimes | None = None,
        budget: Budget | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`budget` bounds what the exchanges of all services buffer; None: this one's alone. `tls`: see `Pool`."""
        if not upstreams:
            raise ValueError(f"service {name!r} has no upstream")
        self.name = name
        self.budget = budget or Budget()
        self.pools = tuple(Pool(upstream, times, tls=tls) for upstream in upstreams)
        kinds = [upstream.kind for upstream in upstreams]
        self.http2 = kinds[0] is Kind.H2C
        """Whether its upstreams speak HTTP/2: all of them do, or none."""
        if any((kind is Kind.H2C) is not self.http2 for kind in kinds):
            raise ValueError(f"service {name!r} mixes h2c with upstreams that speak HTTP/1.1")
        self._turn = 0

    @property
    def in_flight(self) -> int:
        """Exchanges that are not over, on all upstreams."""
        return sum(pool.in_flight for pool in self.pools)

    def pick(self) -> Pool:
        """Choose the upstream of the next request: least in flight, taking turns among equals.

        Only healthy ones, unless none is: then a request is worth more than an opinion.
        """
        pools = self.pools
        if len(pools) == 1:
            return pools[0]
        candidates = [pool for pool in pools if pool.healthy] or pools
        least = min(pool.in_flight for pool in candidates)
        equals = [pool for pool in candidates if pool.in_flight == least]
        self._turn += 1
        return equals[self._turn % len(equals)]

    def another(self, tried: Sequence[Pool]) -> Pool | None:
        """Choose a healthy upstream besides those that were tried, or None if there is none."""
        others = [pool for pool in self.pools if pool.healthy and pool not in tried]
        return min(others, key=lambda pool: pool.in_flight) if others else None

    async def close(self) -> None:
        """Close every connection; exchanges that still run fail."""
        await asyncio.gather(*(pool.close() for pool in self.pools))
