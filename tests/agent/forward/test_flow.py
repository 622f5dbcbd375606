"""Backpressure, and ends that come before the time."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from agent.forward import Forward
from agent.upstream import Service
from h2s.connection import Connection
from h2s.errors import ErrorCode

from .conftest import (
    HELLO,
    OK,
    TIMEOUT,
    Recorder,
    Server,
    against,
    answering,
    fields,
    start,
)


def test_slow_tunnel_pauses_the_upstream() -> None:
    size = 64 * 1024 * 1024
    written = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Content-Length: %d\r\n\r\n" % size)
        while written < size:
            writer.write(b"x" * 65536)
            written += 65536
            await writer.drain()
        await reader.read()

    async def test(service: Service, server: Server) -> None:
        recorder = Recorder()
        recorder.full = True
        forward = Forward.begin(
            cast(Connection, recorder), 1, fields(), True, service, on_done=recorder.on_done
        )
        await recorder.until(lambda: recorder.body)
        taken = -1
        while taken < written:
            taken = written
            await asyncio.sleep(0.1)
        assert len(recorder.body) <= 512 * 1024
        assert written < size // 2
        recorder.full = False
        forward.on_drained()
        await recorder.over()
        assert len(recorder.body) == size

    against(handler, test)


def test_slow_upstream_keeps_the_window_until_it_reads_on() -> None:
    go = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await go.wait()
        while not (await reader.read(1024 * 1024)).endswith(b"0\r\n\r\n"):
            pass
        writer.write(HELLO)

    async def test(service: Service, server: Server) -> None:
        recorder, forward = start(service, fields(b"POST"), end_stream=False)
        piece = b"x" * 65536
        given = 0
        async with asyncio.timeout(TIMEOUT):
            while recorder.credited == given:
                forward.on_data(piece, len(piece), False)
                given += len(piece)
                await asyncio.sleep(0.01)
        assert recorder.credited < given
        widened = recorder.widened
        go.set()
        await recorder.until(lambda: recorder.credited == given)
        forward.on_data(b"", 0, True)
        await recorder.over()
        assert recorder.status == b"200"
        assert recorder.widened == widened, "a stream whose upstream has stalled grows no more"

    against(handler, test)


def test_data_that_comes_before_the_connection_is_not_credited() -> None:
    async def test(service: Service, server: Server) -> None:
        recorder, forward = start(service, fields(b"POST"), end_stream=False)
        forward.on_data(b"abc", 3, False)
        assert recorder.credited == 0
        await recorder.until(lambda: recorder.credited == 3)
        forward.on_reset(ErrorCode.CANCEL, True)

    against(answering(b""), test)


def test_response_that_ends_first_is_sent_whole_and_the_request_is_stopped() -> None:
    async def test(service: Service, server: Server) -> None:
        recorder, forward = start(service, fields(b"POST"), end_stream=False)
        await recorder.over()
        assert bytes(recorder.body) == b"hello"
        assert recorder.ended
        assert recorder.late_resets == [ErrorCode.NO_ERROR]
        assert recorder.resets == []
        forward.on_data(b"late", 4, True)
        await server.lost.wait()
        assert len(service.pools[0].idle) == 0

    against(answering(HELLO), test)


@pytest.mark.parametrize("response", [b"", OK + b"Content-Length: 5\r\n\r\nab"])
def test_reset_aborts_the_upstream_at_once(response: bytes) -> None:
    seen = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        seen.set()
        await reader.read()

    async def test(service: Service, server: Server) -> None:
        recorder, forward = start(service)
        await seen.wait()
        forward.on_reset(ErrorCode.CANCEL, True)
        forward.on_reset(ErrorCode.CANCEL, True)
        await recorder.over()
        await server.lost.wait()
        assert recorder.resets == []

    against(handler, test)


def test_reset_while_connecting_is_the_end() -> None:
    async def test(service: Service, server: Server) -> None:
        recorder, forward = start(service)
        forward.on_reset(ErrorCode.CANCEL, True)
        await recorder.over()
        assert recorder.head is None

    against(answering(HELLO), test)


def test_closing_the_service_fails_what_runs() -> None:
    async def test(service: Service, server: Server) -> None:
        running, _ = start(service, end_stream=False)
        await server.reached.wait()
        connecting, _ = start(service)
        await service.close()
        await running.over()
        await connecting.over()
        assert connecting.error == (b"502", b"upstream-refused")
        late, _ = start(service)
        await late.over()
        assert late.error == (b"502", b"upstream-refused")

    against(answering(b""), test)
