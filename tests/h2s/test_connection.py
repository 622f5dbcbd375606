"""The driver of a session: dispatch, writing, ends and what happens to bugs."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import Mock

import pytest

from h2s.engine import Limits
from h2s.errors import ConnectionLost, ErrorCode, NoFreeStream, RemoteProtocolError
from h2s.liveness import Liveness, LivenessTimes
from h2s.wire import frame_header

from .handshakes import frames
from .loops import Bug, in_loop, live_timers, until
from .memory import Pair, RecordingOwner, RecordingStream, settle

REQUEST = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/")]
RESPONSE = [(b":status", b"200")]
GOAWAY, PING = 7, 6


async def exchange(pair: Pair, stream: RecordingStream | None = None) -> tuple[int, RecordingStream, Any]:
    """Open a stream from the client; return its id and both ends."""
    ours = stream or RecordingStream()
    stream_id = pair.client.open(REQUEST, ours, end_stream=False)
    await settle()
    return stream_id, ours, pair.server_owner.streams[-1]


@in_loop
async def test_events_go_to_their_stream_in_wire_order() -> None:
    pair = await Pair().start()
    stream_id, ours, theirs = await exchange(pair)
    pair.client.send_data(stream_id, b"up", end_stream=False)
    pair.client.send_trailers(stream_id, [(b"x-up", b"1")])
    pair.server.send_informational(stream_id, [(b":status", b"103")])
    pair.server.send_head(stream_id, RESPONSE, end_stream=False)
    pair.server.send_data(stream_id, b"down", end_stream=True)
    await settle()
    assert pair.server_owner.requests == [(stream_id, REQUEST, False)]
    assert theirs.events == [("data", b"up", 2, False), ("trailers", [(b"x-up", b"1")])]
    assert ours.names == ["informational", "head", "data"]


@in_loop
async def test_all_that_is_sent_in_one_turn_is_written_once() -> None:
    pair = await Pair().start()
    writes: list[bytes] = []
    pair.client_transport.write = writes.append  # type: ignore[method-assign,assignment]
    for _ in range(10):
        stream_id = pair.client.open(REQUEST, RecordingStream(), end_stream=False)
        pair.client.send_data(stream_id, b"x", end_stream=True)
    await settle()
    assert len(writes) == 1


@in_loop
async def test_no_frame_is_made_while_the_transport_is_full() -> None:
    pair = await Pair().start()
    pair.client.pause_writing()
    before = len(pair.client_transport.written)
    pair.client.open(REQUEST, RecordingStream(), end_stream=True)
    await settle()
    assert len(pair.client_transport.written) == before
    pair.client.resume_writing()
    await settle()
    assert pair.server_owner.requests


@in_loop
async def test_a_source_is_paused_above_the_mark_and_resumed_below_it() -> None:
    pair = await Pair().start()
    stream_id, ours, theirs = await exchange(pair)
    assert not pair.client.send_data(stream_id, b"x" * (560 * 1024), end_stream=False)
    await settle()
    assert "drained" not in ours.names
    for _, data, flow, _ in list(theirs.events):
        pair.server.credit(stream_id, flow)
        assert data
    await settle()
    assert ours.names.count("drained") == 1


@in_loop
async def test_what_the_transport_takes_at_once_pauses_no_source() -> None:
    pair = await Pair().start()
    stream_id, _, theirs = await exchange(pair)
    assert pair.client.send_data(stream_id, b"x" * (500 * 1024), end_stream=False)
    assert len(pair.client_transport.written) > Limits().stream_window
    await settle()
    assert sum(len(event[1]) for event in theirs.events) == Limits().stream_window


@in_loop
async def test_a_transport_that_is_full_pauses_the_source() -> None:
    pair = await Pair().start()
    stream_id, _, _ = await exchange(pair)
    pair.client.pause_writing()
    written = len(pair.client_transport.written)
    assert not pair.client.send_data(stream_id, b"x" * (500 * 1024), end_stream=False)
    assert len(pair.client_transport.written) == written


@in_loop
async def test_a_buffer_may_be_used_again_once_it_was_read() -> None:
    pair = await Pair().start()
    stream_id, _, theirs = await exchange(pair)
    pair.client_transport.other = None
    before = len(pair.client_transport.written)
    pair.client.send_data(stream_id, b"first", end_stream=False)
    await settle()
    sent = pair.client_transport.written[before:]
    buffer = pair.server.get_buffer(len(sent))
    buffer[: len(sent)] = sent
    pair.server.buffer_updated(len(sent))
    buffer[: len(sent)] = bytes(len(sent))
    assert theirs.events == [("data", b"first", 5, False)]


@in_loop
async def test_each_stream_hears_of_the_end_once_and_then_the_owner() -> None:
    pair = await Pair().start()
    ends = [await exchange(pair) for _ in range(3)]
    pair.server.abort()
    await settle()
    assert [ours.names for _, ours, _ in ends] == [["reset"]] * 3
    assert [theirs.names for _, _, theirs in ends] == [["reset"]] * 3
    assert [type(error) for error in pair.client_owner.closed] == [ConnectionLost]
    assert pair.server_owner.closed == [None]
    assert pair.client.streams == {}


@in_loop
async def test_a_peers_reset_is_reported_once() -> None:
    pair = await Pair().start()
    stream_id, ours, _ = await exchange(pair)
    pair.server.reset(stream_id, ErrorCode.REFUSED_STREAM)
    await settle()
    pair.server.abort()
    await settle()
    assert ours.events == [("reset", ErrorCode.REFUSED_STREAM, False)]


@in_loop
async def test_reset_when_sent_lets_the_response_go_first() -> None:
    pair = await Pair().start()
    stream_id, ours, _ = await exchange(pair)
    pair.server.send_head(stream_id, RESPONSE, end_stream=False)
    pair.server.send_data(stream_id, b"x" * 100_000, end_stream=True)
    pair.server.reset_when_sent(stream_id, ErrorCode.NO_ERROR)
    await settle()
    body = b"".join(event[1] for event in ours.events if event[0] == "data")
    assert len(body) == 100_000
    assert ours.events[-1] == ("reset", ErrorCode.NO_ERROR, True)
    assert pair.server.session.open_streams == 0


@in_loop
async def test_close_says_goaway_and_leaves_no_timer() -> None:
    pair = await Pair().start()
    pair.client.close(ErrorCode.NO_ERROR, b"bye")
    await settle()
    assert pair.server_owner.goaways[0].debug == b"bye"
    assert pair.client_owner.closed == [None]
    assert live_timers() == []


@in_loop
async def test_a_transport_that_does_not_close_is_aborted() -> None:
    pair = await Pair().start()
    pair.client_transport.close = lambda: None  # type: ignore[method-assign]
    pair.client.close()
    (timer,) = live_timers()
    assert timer.when() - asyncio.get_running_loop().time() <= 5.0
    del pair.client_transport.close
    timer._run()
    await settle()
    assert pair.client_transport.aborted
    assert pair.client_owner.closed == [None]


@in_loop
async def test_nothing_can_be_opened_on_a_closing_connection() -> None:
    pair = await Pair().start()
    pair.client.close()
    with pytest.raises(NoFreeStream):
        pair.client.open(REQUEST, RecordingStream(), end_stream=True)


@in_loop
async def test_a_peer_that_breaks_the_protocol_gets_goaway_and_the_owner_the_reason() -> None:
    pair = await Pair().start()
    pair.server.data_received(b"\0\0\0\x05\0\0\0\0\1")
    await settle()
    (error,) = pair.server_owner.closed
    assert isinstance(error, RemoteProtocolError)
    assert frames(bytes(pair.server_transport.written))[-1][0] == GOAWAY


@in_loop
async def test_a_connection_that_fails_tells_the_peer_the_code() -> None:
    pair = await Pair().start()
    error = RemoteProtocolError("no", ErrorCode.ENHANCE_YOUR_CALM)
    pair.server.fail(error)
    await settle()
    assert pair.client_owner.goaways[0].code == ErrorCode.ENHANCE_YOUR_CALM
    assert pair.server_owner.closed == [error]


# -- leaving without losing ------------------------------------------------------------------------------------------


@in_loop
async def test_close_when_sent_waits_for_answers_that_wait_for_a_window() -> None:
    pair = await Pair().start()
    stream_id, ours, _ = await exchange(pair)
    pair.client.send_data(stream_id, b"", end_stream=True)
    pair.server.send_head(stream_id, RESPONSE, end_stream=False)
    pair.server.send_data(stream_id, b"x" * (500 * 1024), end_stream=True)
    pair.server.forget(stream_id)
    pair.server.close_when_sent()
    await settle()
    assert not pair.server_owner.closed
    pair.client.credit(stream_id, sum(event[2] for event in ours.events if event[0] == "data"))
    await settle()
    data = [event for event in ours.events if event[0] == "data"]
    assert sum(len(event[1]) for event in data) == 500 * 1024
    assert data[-1][3], "the end came"
    assert pair.server_owner.closed == [None]


@in_loop
async def test_close_when_sent_does_not_wait_for_streams_that_are_listened_to() -> None:
    pair = await Pair().start()
    _, ours, theirs = await exchange(pair)
    pair.server.close_when_sent(ErrorCode.NO_ERROR, b"leaving")
    await settle()
    assert pair.client_owner.goaways[0].debug == b"leaving"
    assert ours.names == theirs.names == ["reset"]


# -- bugs stay where they are ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("callback", ["head", "data", "trailers"])
def test_a_stream_that_fails_is_reset_and_the_others_go_on(callback: str) -> None:
    @in_loop
    async def test() -> None:
        pair = await Pair().start()
        bad_id, bad, _ = await exchange(pair, RecordingStream(fail=callback))
        good_id, good, _ = await exchange(pair)
        for stream_id in (bad_id, good_id):
            pair.server.send_head(stream_id, RESPONSE, end_stream=False)
            pair.server.send_data(stream_id, b"x", end_stream=False)
            pair.server.send_trailers(stream_id, [(b"x-end", b"1")])
        await settle()
        assert bad.names[-2:] == [callback, "reset"]
        assert good.names == ["head", "data", "trailers"]
        assert not pair.client.closed

    test()


@in_loop
async def test_an_owner_that_cannot_take_a_request_costs_that_request() -> None:
    def fail() -> RecordingStream:
        raise Bug("no stream")

    pair = await Pair(server_owner=RecordingOwner(fail)).start()
    ours = RecordingStream()
    pair.client.open(REQUEST, ours, end_stream=True)
    await settle()
    assert ours.events == [("reset", ErrorCode.INTERNAL_ERROR, True)]
    assert not pair.client.closed


@in_loop
async def test_a_stream_that_fails_at_the_end_does_not_keep_it_from_the_others() -> None:
    pair = await Pair().start()
    ends = [await exchange(pair, RecordingStream(fail=fail)) for fail in ("reset", "", "reset", "")]
    pair.client.abort()
    await settle()
    assert [ours.names for _, ours, _ in ends] == [["reset"]] * 4
    assert pair.client_owner.closed == [None]


@pytest.mark.parametrize("method", ["on_settings", "on_goaway"])
def test_an_owner_that_fails_loses_the_connection_and_hears_of_it(method: str) -> None:
    @in_loop
    async def test() -> None:
        owner = RecordingOwner()
        error = Bug("a bug")

        def fail(*args: object) -> None:
            raise error

        setattr(owner, method, fail)
        pair = await Pair(client_owner=owner).start()
        pair.server.close()
        await settle()
        assert owner.closed == [error]

    test()


@in_loop
async def test_a_failure_to_write_ends_the_connection() -> None:
    pair = await Pair().start()
    error = Bug("cannot write")

    pair.client.session = Mock(wraps=pair.client.session, pull=Mock(side_effect=error))
    pair.client.flush_soon()
    await settle()
    assert pair.client_owner.closed == [error]


# -- liveness --------------------------------------------------------------------------------------------------------


def quick(attempts: int = 2) -> Liveness:
    """Watch with times a test can wait for."""
    times = LivenessTimes(idle=0.02, timeout=0.02, attempts=attempts)
    return Liveness(times, now=asyncio.get_running_loop().time())


async def closed(owner: RecordingOwner) -> Exception | None:
    """Wait for the end of the owner's connection."""
    await until(lambda: owner.closed)
    return owner.closed[0]


@in_loop
async def test_a_silent_peer_is_asked_and_given_up() -> None:
    pair = Pair(client_liveness=quick())
    pair.client_transport.other = None
    pair.client.connection_made(pair.client_transport)
    error = await closed(pair.client_owner)
    assert isinstance(error, ConnectionLost)
    pings = [frame for frame in frames(bytes(pair.client_transport.written)) if frame[0] == PING]
    assert len(pings) == 2
    assert pair.client_transport.aborted
    assert live_timers() == []


@in_loop
async def test_a_peer_that_answers_stays() -> None:
    pair = await Pair(client_liveness=quick()).start()
    answer = frame_header(8, PING, 1, 0)
    await until(lambda: pair.server_transport.written.count(answer) >= 5)
    assert not pair.client.closed
    pair.client.close()
