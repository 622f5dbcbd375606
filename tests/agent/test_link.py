"""One tunnel, kept up against an edge on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

import pytest

from agent.backoff import Backoff, ReconnectTimes
from agent.link import Link
from agent.tunnel import AgentTunnel
from backplane.cli.address import Address
from h2s.errors import HandshakeError, Refused, Untrusted
from h2s.liveness import LivenessTimes
from h2s.messages import Inspection, InstanceReport, Report, Welcome

from ..h2s.edges import Edge, serving
from ..h2s.loops import until
from ..h2s.said import HELLO, REFUSAL
from ..h2s.trust import Trust
from .conftest import Drive

INSPECTION = Inspection(agent_id="a", generation=1, version="1", uptime=1.5, in_flight=0)
REPORT = Report(instances=[InstanceReport(service="web", healthy=1, total=1)])
GONE = REFUSAL.model_copy(update={"permanent": True, "retry_after": None, "code": "token_unknown"})


class Waits:
    """Stands in for the backoff of a link: writes down what it was asked for, and answers with `wait` seconds."""

    def __init__(self, wait: float = 0.0) -> None:
        self.wait = wait
        self.asked: list[float] = []
        self.resets = 0

    def next(self, *, at_least: float = 0.0) -> float:
        self.asked.append(at_least)
        return self.wait

    def reset(self) -> None:
        self.resets += 1


class Linked:
    """A link to a port on loopback, with what it changed."""

    def __init__(self, port: int, trust: Trust, *, stable: float = 5.0) -> None:
        self.states: list[bool] = []
        self.waits = Waits()
        self.link = Link(
            Address("127.0.0.1", port),
            context=trust.agent(),
            hello=HELLO,
            make_tunnel=self._make_tunnel,
            on_change=lambda: self.states.append(self.link.tunnel is not None),
            connect_timeout=5.0,
            liveness=LivenessTimes(),
            reconnect=ReconnectTimes(stable=stable),
        )
        self.link._backoff = cast(Backoff, self.waits)

    def _make_tunnel(self, welcome: Callable[[], Welcome]) -> AgentTunnel:
        return AgentTunnel(
            welcome,
            services={},
            report=lambda: REPORT,
            inspect=lambda: INSPECTION,
            on_drain=lambda drain: None,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Run the link until the end of the block."""
        task = asyncio.create_task(self.link.run())
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, HandshakeError):
                await task


def test_a_link_brings_a_tunnel_up_and_reports(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        async with Edge().serving(trust.edge()) as edge:
            linked = Linked(edge.port, trust)
            async with linked.running():
                tunnel = await edge.tunnel()
                assert tunnel.reports == [REPORT]
                assert linked.states == [True]
            await until(lambda: tunnel.closed)
            assert linked.states == [True, False]

    drive(main)


def test_a_lost_tunnel_is_dialled_again(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        async with Edge().serving(trust.edge()) as edge:
            linked = Linked(edge.port, trust)
            async with linked.running():
                for n in range(3):
                    (await edge.tunnel(n)).connection.abort()
                await edge.tunnel(3)
            assert linked.states == [True, False] * 4
            assert linked.waits.asked == [0.0] * 3

    drive(main)


def test_an_edge_that_comes_back_is_found(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        edge = Edge()
        async with edge.serving(trust.edge()):
            linked = Linked(edge.port, trust)
            task = asyncio.create_task(linked.link.run())
            await edge.tunnel()
        await until(lambda: len(linked.waits.asked) >= 3)
        async with edge.serving(trust.edge()):
            await edge.tunnel(1)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    drive(main)


@pytest.mark.parametrize(("stable", "resets"), [(0.0, 1), (1000.0, 0)], ids=["long", "short"])
def test_only_a_tunnel_that_stood_for_a_while_starts_the_waits_over(
    drive: Drive, trust: Trust, stable: float, resets: int
) -> None:
    async def main() -> None:
        async with Edge().serving(trust.edge()) as edge:
            linked = Linked(edge.port, trust, stable=stable)
            async with linked.running():
                (await edge.tunnel()).connection.abort()
                await until(lambda: linked.waits.asked)
                assert linked.waits.resets == resets

    drive(main)


def test_a_refusal_says_how_long_to_wait_at_least(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        edge = Edge()
        edge.decide = lambda hello: REFUSAL
        async with edge.serving(trust.edge()):
            linked = Linked(edge.port, trust)
            linked.waits.wait = 1000.0
            async with linked.running():
                await until(lambda: linked.waits.asked)
                assert linked.waits.asked == [2.5]
                assert linked.states == []

    drive(main)


def test_a_permanent_refusal_ends_the_link(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        edge = Edge()
        edge.decide = lambda hello: GONE
        async with edge.serving(trust.edge()):
            linked = Linked(edge.port, trust)
            with pytest.raises(Refused) as raised:
                await linked.link.run()
            assert raised.value.code == "token_unknown"
            assert linked.waits.asked == []

    drive(main)


def test_a_stranger_ends_the_link(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        async with serving(lambda reader, writer: None, trust.server("h2")) as port:
            with pytest.raises(Untrusted):
                await Linked(port, trust).link.run()

    drive(main)


def test_a_stranger_in_the_place_of_a_known_edge_does_not(drive: Drive, trust: Trust, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()

    async def main() -> None:
        edge = Edge()
        async with edge.serving(trust.edge()):
            linked = Linked(edge.port, trust)
            task = asyncio.create_task(linked.link.run())
            await edge.tunnel()
        async with edge.serving(Trust(other).edge()):
            before = len(linked.waits.asked)
            await until(lambda: len(linked.waits.asked) >= before + 3)
            assert not task.done()
        async with edge.serving(trust.edge()):
            await edge.tunnel(1)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    drive(main)


def test_hurry_ends_the_wait(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        edge = Edge()
        edge.decide = lambda hello: REFUSAL
        async with edge.serving(trust.edge()):
            linked = Linked(edge.port, trust)
            linked.waits.wait = 1000.0
            async with linked.running():
                await until(lambda: linked.waits.asked)
                linked.link.hurry()
                await until(lambda: len(linked.waits.asked) == 2)

    drive(main)


def test_a_link_that_is_stopped_while_it_waits_returns(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        edge = Edge()
        edge.decide = lambda hello: REFUSAL
        async with edge.serving(trust.edge()):
            linked = Linked(edge.port, trust)
            linked.waits.wait = 1000.0
            task = asyncio.create_task(linked.link.run())
            await until(lambda: linked.waits.asked)
            linked.link.stop()
            await task

    drive(main)


def test_a_link_that_is_stopped_keeps_its_tunnel_to_the_end_and_dials_no_other(
    drive: Drive, trust: Trust
) -> None:
    async def main() -> None:
        async with Edge().serving(trust.edge()) as edge:
            linked = Linked(edge.port, trust)
            task = asyncio.create_task(linked.link.run())
            tunnel = await edge.tunnel()
            linked.link.stop()
            assert linked.link.tunnel is not None
            tunnel.connection.abort()
            await task
            assert len(edge.tunnels) == 1

    drive(main)


def test_an_edge_that_closes_in_the_turn_of_the_swap_is_a_lost_tunnel(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        edge = Edge(opens_sync=False)
        async with edge.serving(trust.edge()):
            linked = Linked(edge.port, trust)
            async with linked.running():
                for n in range(5):
                    await until(lambda n=n: len(edge.tunnels) > n)  # type: ignore[misc]
                    edge.tunnels[n].connection.close()
                await until(lambda: len(linked.waits.asked) >= 5)
            assert linked.states.count(True) == linked.states.count(False)

    drive(main)
