"""Dialling what is no edge, accepting what is no agent, and peers that are silent: typed errors, nothing left."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from h2s.errors import HandshakeError, Untrusted
from h2s.wire import H2_PREFACE

from .conftest import Drive
from .edges import Edge, connect, serving
from .loops import until
from .trust import Trust

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
