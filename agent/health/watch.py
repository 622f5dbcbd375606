"""All upstreams of an agent under watch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from h2s.messages import HealthCheck

from ..upstream import Pool, Service
from .watcher import Watcher

__all__ = ["HealthWatch"]

DEFAULT = HealthCheck()
FIRST_TIMEOUT = 2.0
"""Seconds that the first report waits for checks."""


class HealthWatch:
    """Watches services, and sets `Pool.healthy` of each of their pools.

    Run `run` as a task; cancelling it ends the watch. `on_change` is called at each change, also of the first checks.
    """

    def __init__(
        self,
        services: Iterable[Service],
        on_change: Callable[[], None],
        checks: Mapping[str, HealthCheck] | None = None,
    ) -> None:
        """`checks` has the check of each service by name; others are checked by a connection (`HealthCheck()`)."""
        self._watchers: dict[str, list[Watcher]] = {}
        for service in services:
            check = (checks or {}).get(service.name, DEFAULT)
            self._watchers[service.name] = [
                Watcher(pool, check, on_change=on_change, is_last=_is_last(service)) for pool in service.pools
            ]

    def configure(self, checks: Mapping[str, HealthCheck]) -> None:
        """Check in these ways from now on; a service that is not among them, in the default way."""
        for name, watchers in self._watchers.items():
            for watcher in watchers:
                watcher.configure(checks.get(name, DEFAULT))

    async def first(self) -> None:
        """Wait until each upstream has been checked once, so that the first report says how it is; but not for long."""
        known = [watcher.known.wait() for watchers in self._watchers.values() for watcher in watchers]
        try:
            async with asyncio.timeout(FIRST_TIMEOUT):
                await asyncio.gather(*known)
        except TimeoutError:
            pass

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for watchers in self._watchers.values():
                for watcher in watchers:
                    group.create_task(watcher.run())


def _is_last(service: Service) -> Callable[[Pool], bool]:
    return lambda pool: not any(other.healthy for other in service.pools if other is not pool)
