"""Requests and responses between a tunnel and an upstream that both speak HTTP/2."""

from __future__ import annotations

import asyncio

import pytest

from agent.upstream import Service, Upstream, UpstreamTimes
from h2s.engine import Limits
from h2s.errors import ErrorCode

from ...h2s.edges import serving
from ..forward.conftest import fields, websocket
from .conftest import Call, Upstream2, against, get, start


def hello(call: Call) -> None:
    call.answer()


def test_request_and_response_pass_without_what_ends_here() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        head = get((b"te", b"trailers"), (b"x-a", b"1"), (b"x-a", b"2"), (b"h2s-service", b"web"))
        recorder, _ = start(service, head)
        call = await upstream.call()
        assert sorted(call.head[:4]) == [
            (b":authority", b"app"),
            (b":method", b"GET"),
            (b":path", b"/"),
            (b":scheme", b"http"),
        ]
        assert call.head[4:] == [(b"te", b"trailers"), (b"x-a", b"1"), (b"x-a", b"2")]
        assert call.ended
        call.answer(b"200", b"hello", (b"x-b", b"3"), (b"h2s-error", b"x"), (b"proxy-authenticate", b"x"))
        await recorder.over()
        assert recorder.head == [(b":status", b"200"), (b"x-b", b"3")]
        assert (bytes(recorder.body), recorder.ended, recorder.resets) == (b"hello", True, [])

    against(test)


def test_host_stands_in_for_the_authority_and_the_upstreams_own_for_both() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        bare = [field for field in get() if field[0] != b":authority"]
        for number, (more, expected) in enumerate(
            [([(b"host", b"shop.example")], b"shop.example"), ([], service.pools[0].upstream.authority)], 1
        ):
            recorder, _ = start(service, [*bare, *more])
            call = await upstream.call(number)
            assert [value for name, value in call.head if name in (b":authority", b"host")] == [expected]
            await recorder.over()

    against(test, hello)


def test_no_length_where_there_is_no_body() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        recorder, _ = start(service)
        (await upstream.call()).answer(b"204", b"", (b"content-length", b"0"))
        await recorder.over()
        assert recorder.head == [(b":status", b"204")]

    against(test)


def test_bodies_and_trailers_pass_both_ways_as_they_come() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        recorder, relay = start(service, fields(b"POST"), end_stream=False)
        call = await upstream.call()
        relay.on_data(b"one", 3, False)
        await upstream.until(lambda: call.body == b"one")
        assert recorder.credited == 3
        call.connection.send_informational(call.stream_id, [(b":status", b"103"), (b"link", b"x")])
        call.connection.send_head(call.stream_id, [(b":status", b"200")], end_stream=False)
        call.connection.send_data(call.stream_id, b"uno", end_stream=False)
        await recorder.until(lambda: bytes(recorder.body) == b"uno")
        assert recorder.informational == [[(b":status", b"103"), (b"link", b"x")]]
        relay.on_data(b"two", 3, False)
        relay.on_trailers([(b"x-end", b"up"), (b"h2s-x", b"y")])
        await upstream.until(lambda: call.ended)
        assert (call.body, call.trailers) == (b"onetwo", [(b"x-end", b"up")])
        call.connection.send_trailers(call.stream_id, [(b"grpc-status", b"0"), (b"h2s-x", b"y")])
        await recorder.over()
        assert (recorder.trailers, recorder.resets) == ([(b"grpc-status", b"0")], [])

    against(test)


def test_what_came_before_the_connection_was_made_is_sent_in_order() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        recorder, relay = start(service, fields(b"POST"), end_stream=False)
        for piece in (b"a", b"", b"b", b""):
            relay.on_data(piece, len(piece), False)
        relay.on_data(b"", 0, True)
        call = await upstream.call()
        await upstream.until(lambda: call.ended)
        assert call.body == b"ab"
        call.answer()
        await recorder.over()
        assert recorder.status == b"200"

    against(test)


def test_answer_that_is_nothing_but_a_head() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        recorder, relay = start(service, fields(b"POST"), end_stream=False)
        relay.on_data(b"x", 1, True)
        call = await upstream.call()
        call.answer(b"200", b"", (b"grpc-status", b"9"))
        await recorder.over()
        assert recorder.ended
        assert recorder.head == [(b":status", b"200"), (b"grpc-status", b"9")]

    against(test)


def test_response_that_is_complete_before_the_request_ends_both() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        recorder, _ = start(service, fields(b"POST"), end_stream=False)
        call = await upstream.call()
        call.answer(b"413")
        await recorder.over()
        assert (recorder.status, recorder.late_resets) == (b"413", [ErrorCode.NO_ERROR])
        await upstream.until(lambda: call.reset is not None)
        assert call.reset == ErrorCode.NO_ERROR

    against(test)


def test_many_requests_share_a_connection_which_is_closed_when_nobody_needs_it() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        started = [start(service)[0] for _ in range(50)]
        await upstream.call(50)
        for call in upstream.calls:
            call.answer()
        for recorder in started:
            await recorder.over()
        assert len(upstream.connections) == 1
        await upstream.until(lambda: upstream.lost)
        assert upstream.goaways == 1
        assert service.pools[0].connections == 0

    against(test, times=UpstreamTimes(idle=0.05))


def test_requests_beyond_what_a_connection_takes_have_further_ones() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        started = [start(service)[0] for _ in range(7)]
        await upstream.call(7)
        assert len(upstream.connections) == 3
        for call in upstream.calls:
            call.answer()
        for recorder in started:
            await recorder.over()

    against(test, limits=Limits(max_concurrent_streams=3))


def test_upstream_that_takes_no_streams_is_a_502() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        recorder, _ = start(service)
        await recorder.over()
        assert recorder.error == (b"502", b"upstream-invalid")

    against(test, limits=Limits(max_concurrent_streams=0))


def test_websocket_is_a_connect_where_the_upstream_takes_it() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        recorder, relay = start(service, websocket(), end_stream=False)
        call = await upstream.call()
        assert (b":protocol", b"websocket") in call.head
        call.connection.send_head(call.stream_id, [(b":status", b"200")], end_stream=False)
        await recorder.until(lambda: recorder.head)
        relay.on_data(b"ping", 4, False)
        await upstream.until(lambda: call.body == b"ping")
        call.connection.send_data(call.stream_id, b"pong", end_stream=True)
        await recorder.until(lambda: recorder.ended)
        relay.on_data(b"bye", 3, True)
        await recorder.over()
        await upstream.until(lambda: call.body == b"pingbye")
        assert (recorder.resets, recorder.late_resets) == ([], [])

    against(test, limits=Limits(connect_protocol=True))


def test_websocket_is_a_502_where_it_does_not() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        for _ in range(2):
            recorder, _ = start(service, websocket(), end_stream=False)
            await recorder.over()
            assert recorder.error == (b"502", b"upstream-invalid")
        assert upstream.calls == []

    against(test)


def test_edge_that_resets_cancels_the_upstreams_stream() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        recorder, relay = start(service)
        call = await upstream.call()
        relay.on_reset(ErrorCode.CANCEL, True)
        await recorder.over()
        await upstream.until(lambda: call.reset is not None)
        assert call.reset == ErrorCode.CANCEL
        assert recorder.head is None

    against(test)


def test_edge_that_resets_before_there_is_a_connection_is_forgotten() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        recorder, relay = start(service)
        relay.on_reset(ErrorCode.CANCEL, True)
        await recorder.over()
        other, _ = start(service)
        await other.over()
        assert len(upstream.calls) == 1

    against(test, hello)


# -- failures --------------------------------------------------------------------------------------------------------


def test_upstream_that_is_not_there_is_a_502() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        gone = Service("web", [service.pools[0].upstream])
        upstream._server.close()
        await upstream._server.wait_closed()
        recorder, _ = start(gone)
        await recorder.over()
        assert recorder.error == (b"502", b"upstream-refused")
        await gone.close()

    against(test)


def test_upstream_that_cannot_be_reached_leaves_the_request_to_another_that_is_healthy() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        async with serving(lambda reader, writer: None) as port:
            pass
        several = Service("web", [Upstream(f"h2c://127.0.0.1:{port}"), service.pools[0].upstream])
        several.pools[1].in_flight = 1
        recorder, relay = start(several, fields(b"POST"), end_stream=False)
        relay.on_data(b"hello", 5, True)
        await recorder.over()
        assert recorder.status == b"200"
        assert [call.body for call in upstream.calls] == [b"hello"]
        assert [pool.in_flight for pool in several.pools] == [0, 1]
        await several.close()

    def answer_at_the_end(call: Call) -> None:
        call.on_data = lambda data, flow, end_stream: at_end(call, data, end_stream)  # type: ignore[method-assign]

    def at_end(call: Call, data: bytes, end_stream: bool) -> None:
        call.body += data
        if end_stream:
            call.answer()

    against(test, answer_at_the_end)


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_upstream_that_does_not_speak_http2_is_a_502(said: bytes) -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(said)
            await writer.drain()
            writer.close()

        async with serving(serve) as port:
            other = Service("web", [Upstream(f"h2c://127.0.0.1:{port}")])
            recorder, _ = start(other)
            await recorder.over()
            assert recorder.error == (b"502", b"upstream-invalid" if said else b"upstream-closed")
            await other.close()

    against(test)


def test_upstream_that_says_nothing_is_a_504() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        async with serving(lambda reader, writer: None) as port:
            silent = Service("web", [Upstream(f"h2c://127.0.0.1:{port}")], UpstreamTimes(connect=0.05))
            recorder, _ = start(silent)
            await recorder.over()
            assert recorder.error == (b"504", b"upstream-connect-timeout")
            await silent.close()

    against(test)


def test_head_that_does_not_come_in_time_is_a_504_and_counts() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        recorder, relay = start(service, fields(b"POST"), end_stream=False)
        call = await upstream.call()
        trunk = service.pools[0].trunk
        assert trunk is not None
        assert not len(trunk.awaiting_head), "the time runs from the request's end"
        relay.on_data(b"x", 1, True)
        await recorder.over()
        assert recorder.error == (b"504", b"upstream-timeout")
        assert service.pools[0].failures == 1
        await upstream.until(lambda: call.reset is not None)

    against(test, times=UpstreamTimes(head=0.05))


def test_stream_that_is_reset_before_the_head_is_a_502_that_names_the_code() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        recorder, _ = start(service, fields(b"POST"))
        call = await upstream.call()
        call.connection.reset(call.stream_id, ErrorCode.INTERNAL_ERROR)
        await recorder.over()
        assert recorder.error == (b"502", b"upstream-closed")
        assert recorder.head is not None
        assert b"INTERNAL_ERROR" in dict(recorder.head)[b"h2s-error-detail"]

    against(test)


def test_response_that_is_cut_off_is_a_reset() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        for number, cut in enumerate((by_reset, by_loss), 1):
            recorder, _ = start(service)
            call = await upstream.call(number)
            call.connection.send_head(call.stream_id, [(b":status", b"200")], end_stream=False)
            call.connection.send_data(call.stream_id, b"half", end_stream=False)
            await recorder.until(lambda recorder=recorder: bytes(recorder.body) == b"half")
            cut(call)
            await recorder.over()
            assert (recorder.ended, recorder.resets) == (False, [ErrorCode.INTERNAL_ERROR])

    against(test)


def by_reset(call: Call) -> None:
    call.connection.reset(call.stream_id, ErrorCode.CANCEL)


def by_loss(call: Call) -> None:
    call.connection.abort()


def test_request_that_was_surely_not_acted_on_is_sent_again_with_its_body() -> None:
    refused: list[Call] = []

    def refuse_first(call: Call) -> None:
        if not refused:
            refused.append(call)
            call.connection.reset(call.stream_id, ErrorCode.REFUSED_STREAM)

    async def test(service: Service, upstream: Upstream2) -> None:
        recorder, relay = start(service, fields(b"POST"), end_stream=False)
        relay.on_data(b"one", 3, False)
        call = await upstream.call(2)
        relay.on_data(b"two", 3, True)
        await upstream.until(lambda: call.ended)
        assert call.body == b"onetwo"
        call.answer()
        await recorder.over()
        assert recorder.status == b"200"

    against(test, refuse_first)


def test_request_is_sent_again_only_once() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        recorder, _ = start(service)
        await recorder.over()
        assert recorder.error == (b"502", b"upstream-closed")
        assert len(upstream.calls) == 2

    against(test, lambda call: call.connection.reset(call.stream_id, ErrorCode.REFUSED_STREAM))


def test_connection_that_says_goaway_is_replaced_and_what_runs_on_it_goes_on() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        first, _ = start(service)
        old = await upstream.call()
        old.connection.session.goaway(ErrorCode.NO_ERROR)
        old.connection.flush_soon()
        second, _ = start(service)
        new = await upstream.call(2)
        await upstream.until(lambda: len(upstream.connections) == 2)
        new.answer()
        await second.over()
        old.answer()
        await first.over()
        assert (first.status, second.status) == (b"200", b"200")
        await upstream.until(lambda: upstream.lost)
        assert service.pools[0].connections == 1

    against(test)


def test_idle_connection_that_the_upstream_has_closed_is_not_used() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        for number in (1, 2):
            recorder, _ = start(service, fields(b"POST"))
            await recorder.over()
            assert recorder.status == b"200"
            call = await upstream.call(number)
            call.connection.abort()
            await upstream.until(lambda number=number: len(upstream.lost) == number)

    against(test, hello)


# -- backpressure ----------------------------------------------------------------------------------------------------


def test_upload_waits_for_the_upstream_and_memory_is_counted() -> None:
    limits = Limits(stream_window=65_535, queue_high=65_536)

    async def test(service: Service, upstream: Upstream2) -> None:
        recorder, relay = start(service, fields(b"POST"), end_stream=False)
        call = await upstream.call()
        piece, sent = bytes(16_384), 0
        while recorder.credited == sent:
            relay.on_data(piece, len(piece), False)
            sent += len(piece)
        assert sent > recorder.credited
        assert service.budget.total == sent - recorder.credited
        for _ in range(2):
            relay.on_data(piece, len(piece), False)
            sent += len(piece)
        taken = 0
        while recorder.credited < sent:
            await upstream.until(lambda taken=taken: len(call.body) > taken)
            call.connection.credit(call.stream_id, len(call.body) - taken)
            taken = len(call.body)
        relay.on_data(b"", 0, True)
        while not call.ended:
            await upstream.until(lambda taken=taken: len(call.body) > taken or call.ended)
            call.connection.credit(call.stream_id, len(call.body) - taken)
            taken = len(call.body)
        assert len(call.body) == sent
        call.answer()
        await recorder.over()

    against(test, limits=limits)


def test_download_waits_for_the_edge_and_memory_is_counted() -> None:
    size = 2 * 1024 * 1024

    async def test(service: Service, upstream: Upstream2) -> None:
        recorder, relay = start(service)
        recorder.full = True
        (await upstream.call()).answer(body=bytes(size))
        await recorder.until(lambda: len(recorder.body) >= 256 * 1024)
        assert service.budget.total == len(recorder.body) == 256 * 1024
        recorder.full = False
        relay.on_drained()
        await recorder.over()
        assert (len(recorder.body), recorder.ended) == (size, True)

    against(test)


def test_window_grows_for_an_edge_that_keeps_up() -> None:
    size = 4 * 1024 * 1024

    async def test(service: Service, upstream: Upstream2) -> None:
        recorder, relay = start(service, fields(b"POST"), end_stream=False)
        call = await upstream.call()
        for _ in range(4):
            relay.on_data(bytes(65_536), 65_536, False)
        assert recorder.widened == recorder.limits.stream_window
        relay.on_data(b"", 0, True)
        call.answer(body=bytes(size))
        await recorder.over()
        assert len(recorder.body) == size

    against(test)


def test_request_that_holds_most_is_cut_when_memory_is_short() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        service.budget.limit = 100_000
        recorder, _ = start(service)
        recorder.full = True
        call = await upstream.call()
        call.answer(body=bytes(1_000_000))
        await recorder.over()
        assert recorder.resets == [ErrorCode.ENHANCE_YOUR_CALM]
        await upstream.until(lambda: call.reset is not None)

    against(test)


def test_agent_that_stops_fails_what_runs_and_what_waits() -> None:
    async def test(service: Service, upstream: Upstream2) -> None:
        running, _ = start(service)
        await upstream.call()
        waiting = Service("web", [service.pools[0].upstream])
        recorder, _ = start(waiting)
        await waiting.close()
        await recorder.over()
        assert recorder.error == (b"502", b"upstream-refused")
        await service.close()
        await running.over()
        assert running.error == (b"502", b"upstream-closed")
        late, _ = start(service)
        await late.over()
        assert late.error == (b"502", b"upstream-refused")

    against(test)
