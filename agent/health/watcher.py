"""One upstream under watch: checks at its times, what requests show, and its pool told how it stands."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from typing import Any

import structlog

from h2s.messages import HealthCheck

from ..upstream import Pool, UpstreamError
from ..upstream.errors import UNREACHABLE
from .probe import probe
from .standing import Standing

__all__ = ["Watcher"]

log: Any = structlog.get_logger("agent.health")


class Watcher:
    """Sets `Pool.healthy`. Run `run` as a task; cancelling it ends the watch."""

    def __init__(
        self,
        pool: Pool,
        check: HealthCheck,
        *,
        on_change: Callable[[], None],
        is_last: Callable[[Pool], bool],
    ) -> None:
        """`is_last` says whether no other upstream of the service is healthy."""
        self._loop = asyncio.get_running_loop()
        self.pool = pool
        self.known = asyncio.Event()
        """Set once there has been a check."""
        self._check = check
        self._on_change = on_change
        self._is_last = is_last
        self._standing = Standing(check, self._loop.time())
        self._quiet_until = self._loop.time() + check.grace
        self._wake = asyncio.Event()
        pool.healthy = self._standing.healthy
        pool.reason = "it has not been checked yet"
        pool.on_failure = self._on_failure

    def configure(self, check: HealthCheck) -> None:
        """Check in another way from now on."""
        if check != self._check:
            self._check = check
            self._apply(self._standing.configure(check), "")
            self._wake.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await self._wait()
            check = self._check
            if check.kind == "none":
                self.known.set()
                continue
            self._standing.checking()
            reason = await probe(self.pool, check)
            if reason is not None:
                self.pool.reason = reason
            if check is self._check:
                changed = self._standing.checked(good=reason is None, now=self._loop.time())
                self._apply(changed, reason or "")
                self._on_first(reason)

    async def _wait(self) -> None:
        """Wait until a check is due, or was asked for, or is another one."""
        if not self.known.is_set():
            return
        jitter = random.uniform(0.9, 1.0)  # noqa: S311 - so that many agents do not check one upstream in step
        while True:
            self._wake.clear()
            left = self._standing.due - self._loop.time()
            if left <= 0:
                return
            try:
                async with asyncio.timeout(None if math.isinf(left) else left * jitter):
                    await self._wake.wait()
            except TimeoutError:
                return

    def _on_first(self, reason: str | None) -> None:
        if not self.known.is_set():
            self.known.set()
            if reason is not None:
                self._log(reason, "upstream is not reachable yet")

    def _on_failure(self, error: UpstreamError | None) -> None:
        """Hear of a request that ended badly; without an error it was answered so."""
        pool, standing = self.pool, self._standing
        now = self._loop.time()
        if isinstance(error, UNREACHABLE):
            self._apply(standing.unreachable(now), str(error))
        else:
            reason = str(error) if error is not None else "answers of 502, 503 or 504"
            self._apply(
                standing.failing(pool.failures, now, last=self._is_last(pool)),
                f"{pool.failures} requests failed in a row, the last by: {reason}",
            )
        if standing.due <= now:
            pool.failures = 0
            self._wake.set()

    def _apply(self, changed: bool, reason: str) -> None:
        if not changed:
            return
        pool = self.pool
        pool.healthy = self._standing.healthy
        pool.failures = 0
        pool.reason = reason
        if pool.healthy:
            log.info("upstream is healthy", upstream=pool.upstream.url)
        else:
            self._log(reason, "upstream is unhealthy")
        self._on_change()

    def _log(self, reason: str, event: str) -> None:
        say = log.info if self._loop.time() < self._quiet_until else log.warning
        say(event, upstream=self.pool.upstream.url, reason=reason)
