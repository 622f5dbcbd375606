"""Dialling and accepting on loopback with real TLS: to a working tunnel, or to a typed error with nothing left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

import h2s.tunnel
from h2s.connection import Connection, Owner
from h2s.engine import Limits
from h2s.engine.session import Event, Fields, Goaway, Head
from h2s.errors import ConnectionLost, HandshakeError, Refused, RemoteProtocolError
from h2s.liveness import Liveness, LivenessTimes
from h2s.messages import Hello, Refusal, Welcome
from h2s.tunnel import dial

from .conftest import Drive
from .edges import Edge, Relay, connect
from .handshakes import raw_agent
from .loops import Bug, until
from .memory import RecordingOwner, RecordingStream
from .said import HELLO, REFUSAL, WELCOME
from .trust import Trust

QUICK = LivenessTimes(idle=0.05, timeout=0.05, attempts=2)
REQUEST = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/")]


class Answering(RecordingOwner):
    """An agent that answers each request with its path."""

    def on_stream(
        self, connection: Connection, stream_id: int, fields: Fields, end_stream: bool
    ) -> RecordingStream | None:
        super().on_stream(connection, stream_id, fields, end_stream)
        connection.send_head(stream_id, [(b":status", b"200")], end_stream=False)
        connection.send_data(stream_id, dict(fields)[b":path"] * 10_000, end_stream=True)
        return None


# -- a tunnel comes about --------------------------------------------------------------------------------------------


def test_a_request_goes_through_a_dialled_tunnel(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        agent = Answering()
        async with Edge(opens_sync=False).serving(trust.edge()) as edge:
            connection, welcome = await connect(edge.port, trust.agent(), owner=agent)
            assert welcome == WELCOME
            tunnel = await edge.tunnel()
            await until(lambda: tunnel.settings)
            answer = tunnel.request("web", "/a")
            await until(lambda: answer.events and answer.events[-1][-1] is True)
            assert b"".join(event[1] for event in answer.events if event[0] == "data") == b"/a" * 10_000
            assert edge.hellos == [HELLO]
            assert edge.over == [None]
            connection.close()
            await until(lambda: agent.closed and tunnel.closed)

    drive(main)


def test_each_end_of_a_tunnel_hears_that_the_other_is_gone(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        agent = RecordingOwner()
        async with Edge().serving(trust.edge()) as edge:
            await connect(edge.port, trust.agent(), owner=agent)
            tunnel = edge.tunnels[0]
            tunnel.connection.abort()
            await until(lambda: agent.closed and tunnel.closed)
            assert agent.closed[0] is not None

    drive(main)


def test_a_tunnel_that_is_gone_leaves_its_buffers_to_no_collector(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        async with Edge(opens_sync=False).serving(trust.edge()) as edge:
            connection, _ = await connect(edge.port, trust.agent(), owner=Answering())
            tunnel = await edge.tunnel()
            ends = connection, tunnel.connection
            assert all(end.transport is not None for end in ends)
            connection.abort()
            await until(lambda: tunnel.closed and connection.closed)
            assert all(end.transport is None for end in ends)

    drive(main)


def test_an_agent_may_not_open_streams(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        async with Edge(opens_sync=False).serving(trust.edge()) as edge:
            connection, _ = await connect(edge.port, trust.agent())
            tunnel = await edge.tunnel()
            await until(lambda: tunnel.settings)
            connection.transport.write(b"\0\0\0\1\5\0\0\0\1")  # type: ignore[union-attr]
            await until(lambda: tunnel.closed)
            assert isinstance(tunnel.closed[0], RemoteProtocolError)

    drive(main)


# -- refusals --------------------------------------------------------------------------------------------------------


def test_a_refusal_arrives_whole_and_the_connection_counts_until_it_is_gone(
    drive: Drive, trust: Trust
) -> None:
    async def main() -> None:
        edge = Edge()
        edge.decide = lambda hello: REFUSAL
        async with edge.serving(trust.edge()):
            with pytest.raises(Refused) as raised:
                await connect(edge.port, trust.agent())
            assert (raised.value.code, raised.value.retry_after) == ("draining", 2.5)
            await until(lambda: edge.over)
            assert isinstance(edge.over[0], HandshakeError)
            assert not edge.tunnels

    drive(main)


@pytest.mark.parametrize("answer", [WELCOME, REFUSAL])
def test_a_decision_may_come_later(drive: Drive, trust: Trust, answer: Welcome | Refusal) -> None:
    async def main() -> None:
        edge = Edge(opens_sync=False)
        edge.decide = lambda hello: None
        async with edge.serving(trust.edge()):
            connecting = asyncio.create_task(connect(edge.port, trust.agent()))
            await until(lambda: edge.hellos)
            [acceptor] = edge.acceptors
            acceptor.answer(answer)
            acceptor.answer(REFUSAL)
            if answer is WELCOME:
                connection, _ = await connecting
                await edge.tunnel()
                connection.abort()
            else:
                with pytest.raises(Refused):
                    await connecting

    drive(main)


def test_a_decision_that_comes_too_late_is_about_nothing(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        edge = Edge()
        edge.decide = lambda hello: None
        async with edge.serving(trust.edge()):
            connecting = asyncio.create_task(connect(edge.port, trust.agent()))
            await until(lambda: edge.hellos)
            [acceptor] = edge.acceptors
            connecting.cancel()
            await until(lambda: edge.over)
            acceptor.answer(WELCOME)
            assert not edge.tunnels

    drive(main)


def test_an_edge_reads_on_after_a_refusal(
    drive: Drive, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To close on unread bytes is to send a reset, and a reset can overtake the refusal."""
    monkeypatch.setattr(h2s.tunnel, "CLOSE_TIMEOUT", 1000.0)

    async def main() -> None:
        async with Edge().serving(trust.edge()) as edge:
            agent = raw_agent()
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", edge.port, ssl=trust.agent(), server_hostname="edge.h2s.internal"
            )
            stream_id = agent.open(REQUEST, end_stream=False)
            agent.send_data(stream_id, b"x" * 60_000, end_stream=False)
            writer.write(agent.pull(1 << 20))
            heard: list[Event] = []
            while not any(isinstance(event, Goaway) for event in heard):
                heard += agent.receive(await reader.read(65536))
            assert [dict(event.fields)[b":status"] for event in heard if isinstance(event, Head)] == [b"404"]
            writer.write(b"more" * 100_000)
            await writer.drain()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(), 0.2)
            assert not edge.over
            writer.close()
            await until(lambda: edge.over)

    drive(main)


@pytest.mark.usefixtures("quick")
def test_an_agent_that_stays_after_a_refusal_is_dropped(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        async with Edge().serving(trust.edge()) as edge:
            _, writer = await asyncio.open_connection(
                "127.0.0.1", edge.port, ssl=trust.agent(), server_hostname="edge.h2s.internal"
            )
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            await until(lambda: edge.over)
            assert isinstance(edge.over[0], RemoteProtocolError)
            assert not edge.acceptors
            writer.transport.abort()

    drive(main)


def test_a_decision_that_fails_ends_that_connection_only(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        def decide(hello: Hello) -> Welcome:
            if hello.agent_id == "bad":
                raise Bug
            return WELCOME

        edge = Edge()
        edge.decide = decide
        async with edge.serving(trust.edge()):
            with pytest.raises((ConnectionLost, OSError)):
                await connect(edge.port, trust.agent(), hello=HELLO.model_copy(update={"agent_id": "bad"}))
            await until(lambda: edge.over)
            assert isinstance(edge.over[0], ConnectionLost)
            connection, _ = await connect(edge.port, trust.agent())
            connection.abort()

    drive(main)


def test_an_owner_that_cannot_be_made_fails_the_dial(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        def fail(welcome: Callable[[], Welcome]) -> Owner:
            raise Bug

        async with Edge().serving(trust.edge()) as edge:
            liveness = Liveness(LivenessTimes(), now=0.0)
            with pytest.raises(Bug):
                await dial(
                    "127.0.0.1",
                    edge.port,
                    context=trust.agent(),
                    hello=HELLO,
                    make_owner=fail,
                    liveness=liveness,
                )

    drive(main)


def test_a_session_that_cannot_be_made_fails_the_handshake(
    drive: Drive, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(role: object, limits: Limits) -> None:
        raise Bug

    monkeypatch.setattr(h2s.tunnel, "create_session", fail)

    async def main() -> None:
        async with Edge().serving(trust.edge()) as edge:
            with pytest.raises((ConnectionLost, OSError)):
                await connect(edge.port, trust.agent())
            await until(lambda: edge.over)
            assert isinstance(edge.over[0], ConnectionLost)

    drive(main)


# -- half-open links -------------------------------------------------------------------------------------------------


def test_both_ends_of_a_half_open_link_find_out(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        agent, relay = RecordingOwner(), Relay()
        async with (
            Edge(opens_sync=False, liveness=QUICK).serving(trust.edge()) as edge,
            relay.serving(edge.port) as port,
        ):
            await connect(port, trust.agent(), owner=agent, times=QUICK)
            tunnel = await edge.tunnel()
            await until(lambda: tunnel.settings)
            relay.stalled = True
            await until(lambda: agent.closed and tunnel.closed)
            for error in (agent.closed[0], tunnel.closed[0]):
                assert isinstance(error, ConnectionLost)
                assert "silent" in str(error)

    drive(main)


def test_an_idle_tunnel_stays_as_long_as_pings_are_answered(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        agent = RecordingOwner()
        liveness = Liveness(QUICK, now=asyncio.get_running_loop().time())
        async with Edge(opens_sync=False).serving(trust.edge()) as edge:
            connection, _ = await dial(
                "127.0.0.1",
                edge.port,
                context=trust.agent(),
                hello=HELLO,
                make_owner=lambda welcome: agent,
                liveness=liveness,
            )
            for _ in range(3):
                liveness.round_trip = None
                await until(lambda: liveness.round_trip is not None)
            assert not agent.closed
            connection.abort()

    drive(main)
