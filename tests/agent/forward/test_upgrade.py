"""Extended CONNECT, towards HTTP/1.1 upstreams."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re

from agent.upstream import Service
from h2s.errors import ErrorCode

from .conftest import (
    Server,
    against,
    answering,
    start,
    websocket,
)


def accept(request: bytes) -> bytes:
    key = re.search(rb"\r\nSec-WebSocket-Key: (\S+)\r\n", request)
    assert key is not None
    digest = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False)
    return base64.b64encode(digest.digest())


def test_upgrade_carries_raw_bytes_and_half_closes_both_ways() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        assert request.startswith(b"GET / HTTP/1.1\r\nHost: app\r\n")
        writer.write(
            b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: p\r\n"
            b"Sec-WebSocket-Accept: " + accept(request) + b"\r\n\r\nfirst "
        )
        writer.write(await reader.read())
        writer.write_eof()
        await writer.drain()

    async def test(service: Service, server: Server) -> None:
        recorder, forward = start(service, websocket(), end_stream=False)
        forward.on_data(b"early ", 6, False)
        await recorder.until(lambda: recorder.body == b"first ")
        assert recorder.head == [(b":status", b"200"), (b"sec-websocket-protocol", b"p")]
        await recorder.until(lambda: recorder.credited == 6)
        forward.on_data(b"late", 4, True)
        await recorder.over()
        assert bytes(recorder.body) == b"first early late"
        assert recorder.ended
        assert recorder.resets == []

    against(handler, test)


def test_upstream_that_half_closes_first_still_hears_the_client() -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n")
        writer.write_eof()
        heard.put_nowait(await reader.read())

    async def test(service: Service, server: Server) -> None:
        recorder, forward = start(service, websocket(b"raw"), end_stream=False)
        await recorder.until(lambda: recorder.ended)
        assert recorder.done == []
        forward.on_data(b"still here", 10, True)
        await recorder.over()
        assert await heard.get() == b"still here"

    against(handler, test)


def test_upgrade_with_a_wrong_accept_is_a_502() -> None:
    async def test(service: Service, server: Server) -> None:
        recorder, _ = start(service, websocket(), end_stream=False)
        await recorder.over()
        assert recorder.error == (b"502", b"upstream-invalid")
        assert recorder.late_resets == [ErrorCode.NO_ERROR]

    against(
        answering(
            b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"
        ),
        test,
    )


def test_refused_upgrade_is_an_ordinary_response() -> None:
    async def test(service: Service, server: Server) -> None:
        recorder, forward = start(service, websocket(), end_stream=False)
        forward.on_data(b"early", 5, False)
        await recorder.over()
        assert recorder.status == b"403"
        assert bytes(recorder.body) == b"no"
        assert recorder.credited == 0

    against(answering(b"HTTP/1.1 403 x\r\nContent-Length: 2\r\n\r\nno"), test)
