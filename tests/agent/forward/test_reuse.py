"""Which connections carry another request, and what happens when one turns out dead."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from agent.upstream import Service, Upstream, UpstreamTimes

from .conftest import (
    HELLO,
    OK,
    TIMEOUT,
    Handler,
    Server,
    against,
    answering,
    ended_idle,
    fields,
    start,
)


@pytest.mark.parametrize(
    ("method", "response"),
    [
        (b"GET", b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (b"GET", OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n"),
        (b"GET", OK + b"Content-Length: 0\r\n\r\n" + HELLO),
        (b"GET", b"HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\nhello"),
        (b"HEAD", HELLO),
    ],
)
def test_spoilt_connection_is_never_given_to_another_request(method: bytes, response: bytes) -> None:
    async def test(service: Service, server: Server) -> None:
        for connections in (1, 2):
            recorder, _ = start(service, fields(method))
            await recorder.over()
            assert recorder.ended
            assert recorder.body == b""
            assert len(service.pools[0].idle) == 0
            assert server.connections == connections

    against(answering(response), test)


@pytest.mark.parametrize("late", [b"", HELLO, b"x"])
def test_idle_connection_on_which_something_happens_is_dropped(late: bytes) -> None:
    go = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HELLO)
        await go.wait()
        writer.write(late)
        if late:
            await reader.read()

    async def test(service: Service, server: Server) -> None:
        recorder, _ = start(service)
        await recorder.over()
        assert len(service.pools[0].idle) == 1
        go.set()
        await ended_idle(service)

    against(handler, test)


def test_idle_connections_are_closed_after_their_time() -> None:
    async def test(service: Service, server: Server) -> None:
        recorder, _ = start(service)
        await recorder.over()
        await ended_idle(service)
        await server.lost.wait()

    against(answering(HELLO), test, UpstreamTimes(idle=0.02))


def test_no_more_than_the_allowed_number_of_connections_lies_idle() -> None:
    async def test(service: Service, server: Server) -> None:
        recorders = [start(service)[0] for _ in range(5)]
        for recorder in recorders:
            await recorder.over()
        assert server.connections == 5
        assert len(service.pools[0].idle) == 2

    against(answering(HELLO), test, UpstreamTimes(max_idle=2))


def closing_on_second() -> Handler:
    """Answer the first request of each connection and close at the second without a byte."""
    return answering(HELLO, b"", then_close=True)


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"])
def test_idempotent_request_on_a_stale_connection_is_sent_again_once(method: bytes) -> None:
    async def test(service: Service, server: Server) -> None:
        first, _ = start(service)
        await first.over()
        second, _ = start(service, fields(method))
        await second.over()
        assert second.status == b"200"
        assert server.connections == 2

    against(closing_on_second(), test)


def test_request_that_may_not_run_twice_is_not_sent_again() -> None:
    async def test(service: Service, server: Server) -> None:
        first, _ = start(service)
        await first.over()
        second, _ = start(service, fields(b"POST"))
        await second.over()
        assert second.error == (b"502", b"upstream-closed")
        assert server.connections == 1

    against(closing_on_second(), test)


def test_request_whose_body_was_consumed_is_not_sent_again() -> None:
    async def test(service: Service, server: Server) -> None:
        first, _ = start(service)
        await first.over()
        second, forward = start(service, fields(b"PUT"), end_stream=False)
        forward.on_data(b"a", 1, True)
        await second.over()
        assert second.error == (b"502", b"upstream-closed")
        assert server.connections == 1

    against(closing_on_second(), test)


def test_response_that_began_on_a_stale_connection_is_not_asked_for_again() -> None:
    async def test(service: Service, server: Server) -> None:
        first, _ = start(service)
        await first.over()
        second, _ = start(service)
        await second.over()
        assert second.error == (b"502", b"upstream-closed")
        assert server.connections == 1

    against(answering(HELLO, b"HTTP", then_close=True), test)


def test_second_failure_is_final() -> None:
    connections = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await answering(*([HELLO, b""] if connections == 1 else [b""]), then_close=True)(reader, writer)

    async def test(service: Service, server: Server) -> None:
        first, _ = start(service)
        await first.over()
        second, _ = start(service)
        await second.over()
        assert second.error == (b"502", b"upstream-closed")
        assert server.connections == 2

    against(handler, test)


def test_connection_with_something_in_the_kernel_is_not_lent_again() -> None:
    go, sent = threading.Event(), threading.Event()

    async def test(service: Service) -> None:
        first, _ = start(service)
        await first.over()
        assert len(service.pools[0].idle) == 1
        go.set()
        assert sent.wait(TIMEOUT)  # The loop stands still, so it has not read what came.
        second, _ = start(service)
        await second.over()
        assert second.body == b"hello"

    async def run() -> None:
        service = Service("web", [Upstream(f"http://127.0.0.1:{listener.getsockname()[1]}")])
        try:
            await test(service)
        finally:
            await service.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_twice, args=(listener, go, sent))
        thread.start()
        with asyncio.Runner(loop_factory=Server.new_loop) as runner:
            runner.run(run())
        thread.join()


def answer_twice(listener: socket.socket, go: threading.Event, sent: threading.Event) -> None:
    """Answer a request, and again without one when `go` is set; then answer on the next connection."""
    first, _ = listener.accept()
    with first:
        first.recv(65536)
        first.sendall(HELLO)
        go.wait(TIMEOUT)
        first.sendall(OK + b"Content-Length: 4\r\n\r\nevil")
        sent.set()
        second, _ = listener.accept()
        with second:
            second.recv(65536)
            second.sendall(HELLO)
            second.recv(65536)
