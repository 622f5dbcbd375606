"""The port of the management API, and what strangers do to it, on loopback."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app import api_server
from app.api_server import ApiServer
from tests.e2e.certificate import Certificate

PATIENCE = 15.0
GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
LARGE = 8 * 1024 * 1024

Scene = Callable[[ApiServer], Awaitable[None]]


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Answer without looking at the body; at /large with more than any buffer holds, at /own to one who is known."""
    if scope["path"] == "/own":
        scope["state"]["principal"] = "somebody"
    body = b"x" * LARGE if scope["path"] == "/large" else b"hello"
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(context: ssl.SSLContext | None = None) -> AsyncIterator[ApiServer]:
    """Serve; afterwards no connection is left in the census."""
    sock = socket.create_server(("127.0.0.1", 0))
    server = ApiServer(answer, sock, context=context)
    task = asyncio.create_task(server.serve())
    try:
        yield server
    finally:
        server.should_exit = server.force_exit = True
        await asyncio.wait_for(task, PATIENCE)
    for connection in list(server.server_state.connections):
        connection.transport.abort()
    await nobody_left(server)


async def nobody_left(server: ApiServer) -> None:
    """Wait until no connection counts any more."""
    async with asyncio.timeout(PATIENCE):
        while server._census.total:  # noqa: ASYNC110 (nobody is told)
            await asyncio.sleep(0.001)


async def connect(
    server: ApiServer, context: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection."""
    return await asyncio.open_connection(*server._socket.getsockname(), ssl=context)


def play(scene: Scene, context: ssl.SSLContext | None = None) -> None:
    """Run a scene against a server."""

    async def main() -> None:
        async with serving(context) as server:
            await asyncio.wait_for(scene(server), PATIENCE)

    asyncio.run(main())


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the server is through with the connection, however it ends it."""
    received = b""
    try:
        while chunk := await reader.read(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: he"])
def test_a_head_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(api_server, "HEAD_TIMEOUT", 0.05)

    async def scene(server: ApiServer) -> None:
        reader, writer = await connect(server)
        writer.write(sent)
        assert await until_closed(reader) == b""
        writer.close()

    play(scene)


@pytest.mark.parametrize("drip", [b"X-Next: 1\r\n", b""], ids=["a second head", "a body that nobody reads"])
def test_what_drips_buys_no_time(monkeypatch: pytest.MonkeyPatch, drip: bytes) -> None:
    monkeypatch.setattr(api_server, "HEAD_TIMEOUT", 0.05)

    async def scene(server: ApiServer) -> None:
        reader, writer = await connect(server)
        if drip:
            writer.write(GET + b"GET / HTTP/1.1\r\n")
        else:
            writer.write(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 1000000\r\n\r\n")
        ended = asyncio.create_task(until_closed(reader))
        while not ended.done():
            writer.write(drip or b"x")
            await asyncio.sleep(0.001)
        assert b"hello" in ended.result()
        writer.close()

    play(scene)


def test_an_idle_connection_is_kept_for_the_next_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_server, "HEAD_TIMEOUT", 0.02)

    async def scene(server: ApiServer) -> None:
        reader, writer = await connect(server)
        for _ in range(3):
            writer.write(GET)
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.05)  # longer than a head may take
        writer.close()

    play(scene)


def test_a_client_that_reads_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_server, "STALL_TIMEOUT", 0.05)

    async def scene(server: ApiServer) -> None:
        reader, writer = await connect(server)
        writer.write(GET.replace(b"/ ", b"/large "))
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await nobody_left(server)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert len(await until_closed(reader)) < LARGE
        writer.close()

    play(scene)


def test_rubbish_is_answered_with_a_problem() -> None:
    async def scene(server: ApiServer) -> None:
        reader, writer = await connect(server)
        writer.write(b"\x16\x03\x01 rubbish\r\n\r\n")
        head, _, body = (await until_closed(reader)).partition(b"\r\n\r\n")
        writer.close()
        problem = json.loads(body)
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"content-type: application/problem+json" in head
        assert f"x-request-id: {problem['request_id']}".encode() in head
        assert problem["code"] == "bad_request"

    play(scene)


def test_connections_of_those_who_are_known_are_limited_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_server, "MAX_CONNECTIONS", 2)

    async def scene(server: ApiServer) -> None:
        pairs = [await connect(server) for _ in range(2)]
        for reader, writer in pairs:
            writer.write(GET.replace(b"/ ", b"/own "))
            await reader.readuntil(b"hello")
        third, third_writer = await connect(server)
        assert await until_closed(third) == b""
        for writer in (third_writer, *(writer for _, writer in pairs)):
            writer.close()

    play(scene)


def test_a_crowd_of_strangers_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_server, "MAX_CONNECTIONS", 2)

    async def scene(server: ApiServer) -> None:
        known, known_writer = await connect(server)
        known_writer.write(GET.replace(b"/ ", b"/own "))
        await known.readuntil(b"hello")
        writers = [known_writer]
        before, writer = await connect(server)
        writers.append(writer)
        for _ in range(10):
            reader, writer = await connect(server)
            writers.append(writer)
            writer.write(GET)
            await reader.readuntil(b"hello")
            assert await until_closed(before) in (b"", b"hello")
            before = reader
        known_writer.write(GET)
        assert b"200 OK" in await known.readuntil(b"hello")
        for writer in writers:
            writer.close()

    play(scene)


def test_a_handshake_counts_as_a_connection_and_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(api_server, "HANDSHAKE_TIMEOUT", 0.3)
    monkeypatch.setattr(api_server, "MAX_CONNECTIONS", 1)
    certificate = Certificate.make(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)

    async def scene(server: ApiServer) -> None:
        first, first_writer = await connect(server)
        second, second_writer = await connect(server)
        assert await until_closed(first) == b""
        assert await until_closed(second) == b""
        await nobody_left(server)
        trusting = ssl.create_default_context(cafile=certificate.chain)
        trusting.check_hostname = False
        reader, writer = await connect(server, trusting)
        writer.write(GET)
        assert b"200 OK" in await reader.readuntil(b"hello")
        for one in (first_writer, second_writer, writer):
            one.close()

    play(scene, context)
