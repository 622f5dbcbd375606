"""What the edge hears when an upstream fails."""

from __future__ import annotations

import asyncio

import pytest

from agent.upstream import Service, Upstream, UpstreamTimes
from agent.upstream.errors import UpstreamClosed, UpstreamRefused
from h2s.errors import ErrorCode

from .conftest import (
    HELLO,
    OK,
    Server,
    against,
    answering,
    fields,
    start,
)


def test_refused_connection_is_a_502() -> None:
    async def run() -> None:
        async with Server(answering()) as server:
            url = server.url
        service = Service("web", [Upstream(url)])
        told: list[object] = []
        service.pools[0].on_failure = told.append
        recorder, _ = start(service)
        await recorder.over()
        assert [type(error) for error in told] == [UpstreamRefused]
        assert service.pools[0].failures == 0
        assert recorder.error == (b"502", b"upstream-refused")
        assert recorder.ended
        await service.close()

    with asyncio.Runner(loop_factory=Server.new_loop) as runner:
        runner.run(run())


def test_connection_that_is_not_made_in_time_is_a_504() -> None:
    async def test(service: Service, server: Server) -> None:
        recorder, _ = start(service)
        await recorder.over()
        assert recorder.error == (b"504", b"upstream-connect-timeout")

    against(answering(HELLO), test, UpstreamTimes(connect=0.0))


def test_response_head_that_does_not_come_in_time_is_a_504() -> None:
    async def test(service: Service, server: Server) -> None:
        recorder, _ = start(service)
        await recorder.over()
        assert recorder.error == (b"504", b"upstream-timeout")
        await server.lost.wait()

    against(answering(b"HTTP/1.1 103 x\r\n\r\nHTTP/1.1 200"), test, UpstreamTimes(head=0.05))


def test_time_for_the_head_does_not_run_while_the_client_sends() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"0\r\n\r\n")
        writer.write(HELLO)
        await reader.read()

    async def test(service: Service, server: Server) -> None:
        recorder, forward = start(service, fields(b"POST"), end_stream=False)
        forward.on_data(b"a", 1, False)
        await recorder.until(lambda: recorder.credited)
        await asyncio.sleep(0.2)
        forward.on_data(b"b", 1, True)
        await recorder.over()
        assert recorder.status == b"200"

    against(handler, test, UpstreamTimes(head=0.1))


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_upstream_that_closes_before_its_response_is_a_502(method: bytes) -> None:
    async def test(service: Service, server: Server) -> None:
        recorder, _ = start(service, fields(method))
        await recorder.over()
        assert recorder.error == (b"502", b"upstream-closed")
        assert server.connections == 1

    against(answering(b"", then_close=True), test)


def test_rubbish_is_a_502_that_says_why() -> None:
    async def test(service: Service, server: Server) -> None:
        recorder, _ = start(service)
        await recorder.over()
        assert recorder.error == (b"502", b"upstream-invalid")
        assert recorder.head is not None
        assert b"x-bad" in dict(recorder.head)[b"h2s-error-detail"]

    against(answering(OK + b"X-Bad: a\x01\r\nContent-Length: 0\r\n\r\n"), test)


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 5\r\n\r\nab",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_response_that_is_cut_off_is_reset_and_never_looks_complete(rest: bytes) -> None:
    async def test(service: Service, server: Server) -> None:
        recorder, _ = start(service)
        await recorder.over()
        assert recorder.status == b"200"
        assert not recorder.ended
        assert recorder.resets == [ErrorCode.INTERNAL_ERROR]

    against(answering(OK + rest, then_close=True), test)


def test_body_that_turns_into_rubbish_is_reset() -> None:
    go = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
        await go.wait()
        writer.write(b"rubbish\r\n")
        await reader.read()

    async def test(service: Service, server: Server) -> None:
        recorder, _ = start(service)
        await recorder.until(lambda: recorder.body)
        go.set()
        await recorder.over()
        assert recorder.resets == [ErrorCode.INTERNAL_ERROR]
        assert not recorder.ended

    against(handler, test)


@pytest.mark.parametrize("method", [b"CONNECT", b"GET\r\nX: y", b"G T"])
def test_head_that_cannot_be_said_in_http1_resets_the_stream(method: bytes) -> None:
    async def test(service: Service, server: Server) -> None:
        recorder, _ = start(service, fields(method))
        await recorder.over()
        assert recorder.resets == [ErrorCode.PROTOCOL_ERROR]
        assert server.connections == 0

    against(answering(HELLO), test)


def test_body_longer_than_announced_never_reaches_the_upstream() -> None:
    async def test(service: Service, server: Server) -> None:
        recorder, forward = start(service, fields(b"PUT", (b"content-length", b"1")), end_stream=False)
        forward.on_data(b"aGET / HTTP/1.1\r\n\r\n", 19, True)
        await recorder.over()
        assert recorder.resets == [ErrorCode.PROTOCOL_ERROR]

    against(answering(HELLO), test)


ANSWERED = b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n"


def test_answers_of_a_failing_gateway_count_until_another_answer_comes() -> None:
    async def test(service: Service, server: Server) -> None:
        counts: list[int] = []
        [pool] = service.pools
        pool.on_failure = lambda error: counts.append(pool.failures)
        for _ in range(5):
            recorder, _ = start(service)
            await recorder.over()
        assert counts == [1, 2, 3, 1]
        assert pool.failures == 1

    against(answering(*(ANSWERED % status for status in (502, 503, 504, 500, 503))), test)


def test_request_that_is_left_unanswered_counts() -> None:
    async def test(service: Service, server: Server) -> None:
        told: list[object] = []
        service.pools[0].on_failure = told.append
        recorder, _ = start(service)
        await recorder.over()
        assert recorder.error == (b"502", b"upstream-closed")
        assert [type(error) for error in told] == [UpstreamClosed]
        assert service.pools[0].failures == 1

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    against(hang_up, test)


def test_upstream_that_cannot_be_reached_leaves_the_request_to_another_that_is_healthy() -> None:
    async def test(service: Service, server: Server) -> None:
        [good] = service.pools
        async with Server(answering()) as gone:
            url = gone.url
        several = Service("web", [Upstream(url), good.upstream, Upstream(url)])
        down, second, other = several.pools
        second.in_flight, other.in_flight = 1, 2
        counts: list[object] = []
        down.on_failure = counts.append
        recorder, forward = start(several, fields(b"POST"), end_stream=False)
        forward.on_data(b"hello", 5, True)
        await recorder.over()
        assert (recorder.status, bytes(recorder.body)) == (b"200", b"hello")
        assert [type(error) for error in counts] == [UpstreamRefused]
        assert [pool.in_flight for pool in several.pools] == [0, 1, 2]
        second.healthy = False
        failed, _ = start(several)
        await failed.over()
        assert failed.error == (b"502", b"upstream-refused")
        await several.close()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readuntil(b"0\r\n\r\n") == b"5\r\nhello\r\n0\r\n\r\n"
        writer.write(HELLO)

    against(echo, test)
