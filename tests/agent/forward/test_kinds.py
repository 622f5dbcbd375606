"""Upstreams that are no plain HTTP on TCP: TLS, and Unix sockets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.upstream import Pool, Service, Upstream, UpstreamTimes, upstream_context

from ...e2e.certificate import Certificate
from .conftest import HELLO, Handler, Server, answering, eventually, start, websocket

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """What the upstream shows: one for localhost and 127.0.0.1."""
    return Certificate.make(tmp_path_factory.mktemp("upstream"))


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await main()

    with asyncio.Runner(loop_factory=Server.new_loop) as runner:
        runner.run(bounded())


@asynccontextmanager
async def tls_service(
    certificate: Certificate, handler: Handler, *, host: str = "127.0.0.1", ca: Path | None = None
) -> AsyncIterator[Service]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    upstream = Server(handler)
    server = await asyncio.start_server(upstream._serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    service = Service("web", [Upstream(f"https://{host}:{port}")], tls=upstream_context(ca))
    try:
        yield service
    finally:
        await service.close()
        server.close()
        for task in upstream._tasks:
            task.cancel()
        await asyncio.gather(*upstream._tasks, return_exceptions=True)
        await server.wait_closed()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_https_upstream_that_can_be_verified_answers(certificate: Certificate, host: str) -> None:
    async def main() -> None:
        handler = answering(HELLO, HELLO)
        async with tls_service(certificate, handler, host=host, ca=certificate.chain) as service:
            for _ in range(2):
                recorder, _ = start(service)
                await recorder.over()
                assert (recorder.status, bytes(recorder.body)) == (b"200", b"hello")

    run(main)


def test_certificate_of_an_unknown_authority_is_an_untrusted_upstream(certificate: Certificate) -> None:
    async def main() -> None:
        async with tls_service(certificate, answering(HELLO)) as service:
            recorder, _ = start(service)
            await recorder.over()
            assert recorder.error == (b"502", b"upstream-untrusted")
            assert recorder.head is not None
            assert b"self-signed certificate" in dict(recorder.head)[b"h2s-error-detail"]

    run(main)


def test_certificate_for_another_name_is_an_untrusted_upstream(certificate: Certificate) -> None:
    async def main() -> None:
        host = "127.0.0.2"
        async with tls_service(certificate, answering(HELLO), ca=certificate.chain) as service:
            [pool] = service.pools
            port = pool.upstream.port
            server = await asyncio.start_server(
                lambda reader, writer: writer.close(), host, port, ssl=_server_context(certificate)
            )
            other = Service(
                "web", [Upstream(f"https://{host}:{port}")], tls=upstream_context(certificate.chain)
            )
            recorder, _ = start(other)
            await recorder.over()
            assert recorder.error == (b"502", b"upstream-untrusted")
            assert recorder.head is not None
            assert host.encode() in dict(recorder.head)[b"h2s-error-detail"]
            await other.close()
            server.close()
            await server.wait_closed()

    run(main)


def _server_context(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    return context


def test_upstream_that_speaks_no_tls_is_untrusted() -> None:
    async def main() -> None:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(HELLO)
            await writer.drain()

        async with Server(handler) as server:
            service = Service("web", [Upstream(server.url.replace("http", "https"))], tls=upstream_context())
            recorder, _ = start(service)
            await recorder.over()
            assert recorder.error == (b"502", b"upstream-untrusted")
            await service.close()

    run(main)


def test_upgraded_tls_connection_whose_client_has_ended_waits_for_the_upstream(
    certificate: Certificate,
) -> None:
    async def main() -> None:
        may_end = asyncio.Event()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(SWITCH)
            assert await reader.readexactly(3) == b"bye"
            await may_end.wait()
            writer.write(b"good bye")
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        async with tls_service(certificate, handler, ca=certificate.chain) as service:
            recorder, forward = start(service, websocket(b"chat"), end_stream=False)
            await recorder.until(lambda: recorder.head)
            forward.on_data(b"bye", 3, True)
            [pool] = service.pools
            await eventually(lambda: len(pool.half_closed))
            may_end.set()
            await recorder.over()
            assert (bytes(recorder.body), recorder.ended, recorder.resets) == (b"good bye", True, [])
            assert not len(pool.half_closed)

    run(main)


def test_upgraded_tls_connection_does_not_wait_for_ever(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.upstream.pool.HALF_CLOSED_TIMEOUT", 0.05)

    async def main() -> None:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(SWITCH)
            await reader.read()

        async with tls_service(certificate, handler, ca=certificate.chain) as service:
            recorder, forward = start(service, websocket(b"chat"), end_stream=False)
            await recorder.until(lambda: recorder.head)
            forward.on_data(b"", 0, True)
            await recorder.over()
            assert len(recorder.resets) == 1

    run(main)


def test_unix_socket_answers_and_its_connection_is_reused(tmp_path: Path) -> None:
    async def main() -> None:
        heads: list[bytes] = []
        upstream = Server(answering(HELLO, HELLO))

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _ in range(2):
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(HELLO)

        upstream = Server(handler)
        path = tmp_path / "app.sock"
        server = await asyncio.start_unix_server(upstream._serve, path)
        service = Service("web", [Upstream(f"unix:{path}")])
        for _ in range(2):
            recorder, _ = start(service)
            await recorder.over()
            assert (recorder.status, bytes(recorder.body)) == (b"200", b"hello")
        assert upstream.connections == 1
        assert heads[0].startswith(b"GET / HTTP/1.1\r\nHost: app\r\n")
        await service.close()
        server.close()
        await asyncio.gather(*upstream._tasks, return_exceptions=True)
        await server.wait_closed()

    run(main)


def test_unix_socket_that_is_not_there_is_a_refused_connection(tmp_path: Path) -> None:
    async def main() -> None:
        service = Service("web", [Upstream(f"unix:{tmp_path}/app.sock")])
        recorder, _ = start(service)
        await recorder.over()
        assert recorder.error == (b"502", b"upstream-refused")
        await service.close()

    run(main)


def test_host_that_is_no_name_is_a_refused_connection() -> None:
    async def main() -> None:
        pool = Pool(Upstream("http://a..b:80"), UpstreamTimes())
        service = Service("web", [pool.upstream])
        recorder, _ = start(service)
        await recorder.over()
        assert recorder.error == (b"502", b"upstream-refused")
        await service.close()

    run(main)
