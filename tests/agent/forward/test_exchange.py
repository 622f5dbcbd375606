"""The ordinary course of a request and its response."""

from __future__ import annotations

import asyncio

from agent.upstream import Service

from .conftest import (
    HELLO,
    OK,
    Server,
    against,
    answering,
    ended_idle,
    fields,
    start,
)


def test_response_comes_back_and_the_connection_is_kept() -> None:
    async def test(service: Service, server: Server) -> None:
        for _ in range(2):
            recorder, _ = start(service)
            await recorder.over()
            assert (recorder.status, bytes(recorder.body), recorder.ended) == (b"200", b"hello", True)
            assert (recorder.resets, recorder.late_resets) == ([], [])
        assert server.connections == 1
        assert len(service.pools[0].idle) == 1

    against(answering(HELLO, HELLO), test)


def test_small_body_leaves_with_its_head_in_one_piece() -> None:
    seen: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            seen.append(await reader.read(65536))
            writer.write(HELLO)

    async def test(service: Service, server: Server) -> None:
        for _ in range(2):
            recorder, forward = start(service, fields(b"POST", (b"content-length", b"2")), end_stream=False)
            forward.on_data(b"ab", 2, True)
            await recorder.over()
        assert seen == [b"POST / HTTP/1.1\r\nHost: app\r\ncontent-length: 2\r\n\r\nab"] * 2

    against(handler, test)


def test_both_directions_stream_at_once_and_trailers_pass_both_ways() -> None:
    received: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            chunk = await reader.readuntil(b"!\r\n")
            writer.write(chunk)
        received.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"0\r\nGrpc-Status: 0\r\n\r\n")
        await reader.read()

    async def test(service: Service, server: Server) -> None:
        recorder, forward = start(service, fields(b"POST"), end_stream=False)
        for n in range(1, 4):
            forward.on_data(b"ping!", 5, False)
            await recorder.until(lambda n=n: recorder.body == b"ping!" * n)
        forward.on_trailers([(b"x-sum", b"1")])
        await recorder.over()
        assert recorder.trailers == [(b"grpc-status", b"0")]
        assert recorder.credited == 15
        assert received[1] == b"0\r\nx-sum: 1\r\n\r\n"
        assert len(service.pools[0].idle) == 1

    against(handler, test)


def test_continue_comes_back_as_informational() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert b"expect: 100-continue" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await reader.readexactly(2)
        writer.write(HELLO)
        await reader.read()

    async def test(service: Service, server: Server) -> None:
        head = fields(b"PUT", (b"expect", b"100-continue"), (b"content-length", b"2"))
        recorder, forward = start(service, head, end_stream=False)
        await recorder.until(lambda: recorder.informational)
        assert recorder.informational == [[(b":status", b"100")]]
        forward.on_data(b"ab", 2, True)
        await recorder.over()
        assert recorder.status == b"200"

    against(handler, test)


def test_response_without_framing_ends_with_the_connection() -> None:
    async def test(service: Service, server: Server) -> None:
        recorder, _ = start(service)
        await recorder.over()
        assert (bytes(recorder.body), recorder.ended, recorder.resets) == (b"abc", True, [])
        await ended_idle(service)

    against(answering(OK + b"\r\nabc", then_close=True), test)
