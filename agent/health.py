"""Whether the agent's upstreams can be reached: a TCP connection, tried at the start and then now and again.

An upstream that refuses a request's connection is taken for down at once, and tried every `RETRY` seconds until it
is back. Whoever wants to know is told of each change (`on_change`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import structlog

from .upstream import Pool

__all__ = ["HealthWatch"]

log: Any = structlog.get_logger("agent.health")

INTERVAL = 10.0
"""Seconds between two checks of a healthy upstream."""
RETRY = 1.0
"""Seconds between two checks of one that is down."""
TIMEOUT = 3.0
"""Seconds that a check may take."""


class HealthWatch:
    """Watches pools and sets their `healthy`. Run `run` as a task; cancelling it ends the watch."""

    def __init__(self, pools: Iterable[Pool], on_change: Callable[[], None]) -> None:
        self._pools = list(pools)
        self._on_change = on_change
        self._suspect = {pool: asyncio.Event() for pool in self._pools}
        for pool, suspect in self._suspect.items():
            pool.healthy = False
            pool.on_unreachable = suspect.set

    async def first(self) -> None:
        """Check each upstream once, so that the first report says how it is."""
        await asyncio.gather(*(self._check(pool, tell=False) for pool in self._pools))
        for pool in self._pools:
            if not pool.healthy:
                log.warning("upstream is not reachable yet", upstream=pool.upstream.url)

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for pool in self._pools:
                group.create_task(self._watch(pool))

    async def _watch(self, pool: Pool) -> None:
        suspect = self._suspect[pool]
        while True:
            if pool.healthy:
                with suppress(TimeoutError):
                    async with asyncio.timeout(INTERVAL):
                        await suspect.wait()
            else:
                await asyncio.sleep(RETRY)
            suspect.clear()
            await self._check(pool, tell=True)

    async def _check(self, pool: Pool, *, tell: bool) -> None:
        healthy = await _connects(pool.upstream.host, pool.upstream.port)
        if healthy != pool.healthy:
            pool.healthy = healthy
            if tell:
                log.info("upstream is back" if healthy else "upstream is down", upstream=pool.upstream.url)
                self._on_change()


async def _connects(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(TIMEOUT):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, UnicodeError):  # a name that cannot be looked up may be no name at all
        return False
    writer.close()
    return True
