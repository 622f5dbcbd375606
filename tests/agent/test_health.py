"""Whether upstreams can be reached, and who is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

import agent.health
from agent.health import HealthWatch
from agent.upstream import Pool, Upstream, UpstreamTimes

from ..h2s.edges import serving
from ..h2s.loops import until
from .conftest import Drive


class Watched:
    """Pools with a watch, and how healthy each was at every change."""

    def __init__(self, *urls: str) -> None:
        self.pools = [Pool(Upstream(url), UpstreamTimes()) for url in urls]
        self.changes: list[list[bool]] = []
        self.watch = HealthWatch(self.pools, self._on_change)

    def _on_change(self) -> None:
        self.changes.append([pool.healthy for pool in self.pools])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch, from the first check to the end of the block."""
        await self.watch.first()
        task = asyncio.create_task(self.watch.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


async def nobody() -> int:
    """Return a port on which nobody listens."""
    async with serving(lambda reader, writer: None) as port:
        return port


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check a failed upstream soon, and a good one only when there is a reason to."""
    monkeypatch.setattr(agent.health, "RETRY", 0.02)
    monkeypatch.setattr(agent.health, "INTERVAL", 1000.0)


def test_the_first_check_says_how_each_upstream_is_and_tells_nobody(drive: Drive) -> None:
    async def main() -> None:
        async with serving(lambda reader, writer: None) as port:
            watched = Watched(url(port), url(await nobody()))
            assert [pool.healthy for pool in watched.pools] == [False, False]
            await watched.watch.first()
            assert [pool.healthy for pool in watched.pools] == [True, False]
            assert watched.changes == []

    drive(main)


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
def test_a_name_that_is_none_is_an_upstream_that_is_down(drive: Drive, host: str) -> None:
    async def main() -> None:
        watched = Watched(f"http://{host}:80")
        await watched.watch.first()
        assert not watched.pools[0].healthy

    drive(main)


def test_an_upstream_that_comes_up_is_told(drive: Drive) -> None:
    async def main() -> None:
        port = await nobody()
        watched = Watched(url(port))
        async with watched.running():
            server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", port)
            await until(lambda: watched.changes)
            assert watched.changes == [[True]]
            server.close()
            await server.wait_closed()

    drive(main)


def test_a_refused_connection_has_the_upstream_checked_at_once(drive: Drive) -> None:
    async def main() -> None:
        async with serving(lambda reader, writer: None) as port:
            watched = Watched(url(port))
            await watched.watch.first()
        async with watched.running():
            pool = watched.pools[0]
            pool.healthy = True
            assert pool.on_unreachable is not None
            pool.on_unreachable()
            await until(lambda: not pool.healthy)

    drive(main)


def test_a_suspicion_that_is_wrong_changes_nothing(drive: Drive) -> None:
    async def main() -> None:
        connections = 0

        def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1

        async with serving(count) as port:
            watched = Watched(url(port))
            async with watched.running():
                pool = watched.pools[0]
                assert pool.on_unreachable is not None
                pool.on_unreachable()
                await until(lambda: connections == 2)
                assert pool.healthy
            assert watched.changes == []

    drive(main)


def test_requests_that_keep_failing_do_not_put_the_next_check_off(drive: Drive) -> None:
    async def main() -> None:
        port = await nobody()
        watched = Watched(url(port))
        suspect = watched.pools[0].on_unreachable
        assert suspect is not None
        async with watched.running():
            server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", port)

            def suspect_again() -> bool:
                suspect()
                return watched.pools[0].healthy

            await until(suspect_again)
            server.close()
            await server.wait_closed()

    drive(main)


def test_each_upstream_is_watched_by_itself(drive: Drive) -> None:
    async def main() -> None:
        port = await nobody()
        async with serving(lambda reader, writer: None) as good:
            watched = Watched(url(good), url(port))
            async with watched.running():
                server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", port)
                await until(lambda: watched.changes)
                assert watched.changes == [[True, True]]
                server.close()
                await server.wait_closed()

    drive(main)
