"""Dialling and accepting on loopback with real TLS: to a working tunnel, or to a typed error with nothing left."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

import h2s.tunnel
from h2s.connection import Connection, Owner
from h2s.engine import Limits
from h2s.engine.session import Event, Fields, Goaway, Head
from h2s.errors import ConnectionLost, HandshakeError, Refused, RemoteProtocolError, Untrusted
from h2s.liveness import Liveness, LivenessTimes
from h2s.messages import Hello, Welcome
from h2s.tunnel import dial
from h2s.wire import H2_PREFACE

from .conftest import Drive
from .edges import Edge, Relay, serving
from .handshakes import raw_agent
from .loops import Bug, until
from .memory import RecordingOwner, RecordingStream
from .said import HELLO, REFUSAL, WELCOME
from .trust import Trust

QUICK = LivenessTimes(idle=0.05, timeout=0.05, attempts=2)
REQUEST = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/")]


async def connect(
    port: int,
    context: ssl.SSLContext,
    *,
    owner: Owner | None = None,
    hello: Hello = HELLO,
    times: LivenessTimes | None = None,
    timeout: float = 5.0,
) -> tuple[Connection, Welcome]:
    """Dial an edge on loopback."""
    made = owner or RecordingOwner()
    return await dial(
        "127.0.0.1",
        port,
        context=context,
        hello=hello,
        make_owner=lambda welcome: made,
        liveness=Liveness(times or LivenessTimes(), now=asyncio.get_running_loop().time()),
        timeout=timeout,
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the deadline of handshakes one that a test can wait for."""
    monkeypatch.setattr(h2s.tunnel, "HANDSHAKE_TIMEOUT", 0.2)
    monkeypatch.setattr(h2s.tunnel, "CLOSE_TIMEOUT", 0.1)


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


# -- the peer is no edge ---------------------------------------------------------------------------------------------


def fails(
    drive: Drive, trust: Trust, make_context: Callable[[], ssl.SSLContext], error: type[Exception], text: str
) -> list[Exception | None]:
    """Dial an edge with that context; return what the edge has heard of the ends of its handshakes."""
    edge = Edge()

    async def main() -> None:
        async with edge.serving(make_context()):
            with pytest.raises(error, match=text):
                await connect(edge.port, trust.agent())
        assert edge.hellos == []

    drive(main)
    return edge.over


def test_an_edge_of_another_ca_is_untrusted(drive: Drive, trust: Trust, tmp_path: Any) -> None:
    other = tmp_path / "other"
    other.mkdir()
    fails(drive, trust, lambda: Trust(other).edge(), Untrusted, "not one that the token's CA made")


def test_an_edge_with_another_name_is_untrusted(drive: Drive, trust: Trust) -> None:
    fails(drive, trust, lambda: trust.edge(name="127.0.0.1.example"), Untrusted, "certificate")


def test_an_expired_edge_is_untrusted(drive: Drive, trust: Trust) -> None:
    fails(drive, trust, lambda: trust.edge(lifetime=-timedelta(hours=1)), Untrusted, "expired")


def test_a_client_certificate_is_no_edges(drive: Drive, trust: Trust) -> None:
    fails(drive, trust, lambda: trust.edge(usage=ExtendedKeyUsageOID.CLIENT_AUTH), Untrusted, "certificate")


@pytest.mark.parametrize("alpn", [(), ("h2", "http/1.1")])
def test_a_server_that_does_not_select_h2s_is_untrusted_and_told_nothing(
    drive: Drive, trust: Trust, alpn: tuple[str, ...]
) -> None:
    heard: list[bytes] = []

    async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())

    async def main() -> None:
        async with serving(record, trust.server(*alpn)) as port:
            with pytest.raises(Untrusted, match="h2s"):
                await connect(port, trust.agent())
            await until(lambda: heard)
        assert heard == [b""]

    drive(main)


def test_a_server_of_tls_1_2_is_untrusted(drive: Drive, trust: Trust) -> None:
    async def shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = trust.server("h2s", tls=ssl.TLSVersion.TLSv1_2)
        incoming.write(await reader.read(65536))
        with pytest.raises(ssl.SSLError):
            context.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
        writer.write(outgoing.read())

    async def main() -> None:
        async with serving(shake_hands) as port:
            with pytest.raises(Untrusted, match=r"TLS 1\.3"):
                await connect(port, trust.agent())

    drive(main)


@pytest.mark.parametrize("banner", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n"])
def test_a_server_without_tls_is_untrusted(drive: Drive, trust: Trust, banner: bytes) -> None:
    async def main() -> None:
        async with serving(lambda reader, writer: writer.write(banner)) as port:
            with pytest.raises(Untrusted, match="does not speak TLS"):
                await connect(port, trust.agent())

    drive(main)


def test_a_server_that_hangs_up_may_be_tried_again(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        async with serving(lambda reader, writer: writer.close()) as port:
            with pytest.raises((HandshakeError, OSError)) as raised:
                await connect(port, trust.agent())
            assert not getattr(raised.value, "permanent", False)

    drive(main)


def test_nobody_there_is_an_os_error(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        async with serving(lambda reader, writer: None) as port:
            pass
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await connect(port, trust.agent())

    drive(main)


# -- silence ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
def test_a_server_that_is_silent_in_tls_is_given_up(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        async with serving(lambda reader, writer: None) as port:
            with pytest.raises(HandshakeError, match=r"within 0\.1 s"):
                await connect(port, trust.agent(), timeout=0.1)

    drive(main)


@pytest.mark.usefixtures("quick")
def test_an_edge_that_is_silent_after_tls_is_given_up(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        async with serving(lambda reader, writer: None, trust.server("h2s")) as port:
            with pytest.raises(HandshakeError, match=r"more than 0\.2 s"):
                await connect(port, trust.agent())

    drive(main)


def test_the_time_to_dial_covers_the_whole_handshake(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        async with serving(lambda reader, writer: None, trust.server("h2s")) as port:
            with pytest.raises(HandshakeError, match=r"within 0\.2 s"):
                await connect(port, trust.agent(), timeout=0.2)

    drive(main)


@pytest.mark.parametrize("tls", [False, True])
def test_cancelling_a_dial_leaves_nothing(drive: Drive, trust: Trust, tls: bool) -> None:
    async def main() -> None:
        connected = asyncio.Event()
        gone = asyncio.Event()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connected.set()
            try:
                await reader.read()
            finally:
                gone.set()

        async with serving(handler, trust.server("h2s") if tls else None) as port:
            task = asyncio.create_task(connect(port, trust.agent()))
            await connected.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await gone.wait()

    drive(main)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("said", [b"", H2_PREFACE[:5], H2_PREFACE])
def test_an_agent_that_is_silent_is_dropped(drive: Drive, trust: Trust, said: bytes) -> None:
    async def main() -> None:
        async with Edge().serving(trust.edge()) as edge:
            _, writer = await asyncio.open_connection(
                "127.0.0.1", edge.port, ssl=trust.agent(), server_hostname="edge.h2s.internal"
            )
            writer.write(said)
            await until(lambda: edge.over)
            assert isinstance(edge.over[0], HandshakeError)
            assert not edge.acceptors
            writer.transport.abort()

    drive(main)


@pytest.mark.usefixtures("quick")
def test_a_connection_without_tls_counts_until_its_deadline(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        async with Edge().serving(trust.edge()) as edge:
            _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
            await until(lambda: edge.acceptors)
            await until(lambda: edge.over)
            assert len(edge.over) == 1
            writer.transport.abort()

    drive(main)


@pytest.mark.usefixtures("quick")
def test_a_client_that_does_not_offer_h2s_is_dropped(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        context = ssl.create_default_context(cadata=trust.token.ca_pem)
        async with Edge().serving(trust.edge()) as edge:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", edge.port, ssl=context, server_hostname="edge.h2s.internal"
            )
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert await reader.read() == b""
            await until(lambda: edge.over)
            assert isinstance(edge.over[0], Untrusted)
            writer.transport.abort()

    drive(main)


def test_giving_up_unregistered_connections_tells_each_end_once(drive: Drive, trust: Trust) -> None:
    async def main() -> None:
        async with Edge().serving(trust.edge()) as edge:
            _, plain = await asyncio.open_connection("127.0.0.1", edge.port)
            _, secured = await asyncio.open_connection(
                "127.0.0.1", edge.port, ssl=trust.agent(), server_hostname="edge.h2s.internal"
            )
            await until(lambda: len(edge.acceptors) == 2)
            for acceptor in list(edge.acceptors):
                acceptor.abort()
                acceptor.abort()
            await until(lambda: len(edge.over) == 2)
            for writer in (plain, secured):
                writer.transport.abort()

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
