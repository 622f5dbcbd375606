"""What the agent buffers for a slow edge or a slow app is counted, and bounded."""

from __future__ import annotations

import asyncio
from functools import partial

from agent.upstream import Service
from h2s.errors import ErrorCode

from .conftest import OK, Server, against, fields, start

PIECE = b"x" * 65536


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with more than anyone wants."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(OK + b"Content-Length: 1000000000000\r\n\r\n")
    while True:
        writer.write(PIECE)
        await writer.drain()


async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read a head and no more."""
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.Event().wait()


def test_a_response_that_the_edge_does_not_take_is_held_until_it_does() -> None:
    async def test(service: Service, server: Server) -> None:
        recorder, forward = start(service)
        recorder.full = True
        await recorder.until(lambda: service.budget.total)
        recorder.full = False
        forward.on_drained()
        assert service.budget.total == 0
        forward.on_reset(ErrorCode.CANCEL, True)

    against(endless, test)


def test_a_body_that_the_app_does_not_take_is_held_until_the_request_is_over() -> None:
    async def test(service: Service, server: Server) -> None:
        _, forward = start(service, fields(b"POST"), end_stream=False)
        async with asyncio.timeout(10):
            while not service.budget.total:
                forward.on_data(PIECE, len(PIECE), False)
                await asyncio.sleep(0)
        forward.on_reset(ErrorCode.CANCEL, True)
        assert service.budget.total == 0

    against(deaf, test)


def test_windows_grow_no_more_while_memory_is_short() -> None:
    async def test(service: Service, server: Server) -> None:
        service.budget.limit = 0
        recorder, forward = start(service, fields(b"POST"), end_stream=False)
        for _ in range(4 * recorder.limits.stream_window // len(PIECE)):
            before = recorder.credited
            forward.on_data(PIECE, len(PIECE), False)
            await recorder.until(partial(lambda before: recorder.credited > before, before))
        assert recorder.widened == 0
        forward.on_reset(ErrorCode.CANCEL, True)

    async def eager(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(len(PIECE)):
            pass

    against(eager, test)


def test_the_response_that_holds_most_is_reset_when_memory_is_used_up() -> None:
    async def test(service: Service, server: Server) -> None:
        service.budget.limit = 1
        recorder, _ = start(service)
        recorder.full = True
        await recorder.over()
        assert recorder.resets == [ErrorCode.ENHANCE_YOUR_CALM]
        assert service.budget.total == 0

    against(endless, test)


def test_the_upload_that_holds_most_is_reset_when_memory_is_used_up() -> None:
    async def test(service: Service, server: Server) -> None:
        service.budget.limit = 1
        recorder, forward = start(service, fields(b"POST"), end_stream=False)
        async with asyncio.timeout(10):
            while not recorder.done:
                forward.on_data(PIECE, len(PIECE), False)
                await asyncio.sleep(0)
        assert recorder.resets == [ErrorCode.ENHANCE_YOUR_CALM]
        assert service.budget.total == 0

    against(deaf, test)
