"""Contract of every engine: what is wrong with one stream ends that stream, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hyperframe.frame import RstStreamFrame

from h2s.engine.session import Data, Head, Limits, Reset, Role, Terminated
from h2s.errors import ErrorCode

if TYPE_CHECKING:
    from .conftest import Engine, Peer

POST = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/")]
GET = [(b":method", b"GET"), *POST[1:]]
OK = [(b":status", b"200")]


def malformed(stream_id: int, code: int = ErrorCode.PROTOCOL_ERROR) -> Reset:
    return Reset(stream_id, code, processed=True, local=True)


def resets(peer: Peer) -> list[tuple[int, int]]:
    return [(f.stream_id, f.error_code) for f in peer.received() if isinstance(f, RstStreamFrame)]


def answered(peer: Peer, fields: list[tuple[bytes, bytes]] = POST, *, end_stream: bool = True) -> int:
    """Open a stream from the client under test."""
    stream_id = peer.session.open(fields, end_stream=end_stream)
    peer.received()
    return stream_id


@pytest.mark.parametrize(
    "fields",
    [
        [],
        GET[1:],
        [*GET, (b"connection", b"close")],
        [*GET, (b"X-Upper", b"1")],
        [*GET, (b"x", b"a\r\nb: c")],
        [*GET, (b":path", b"/again")],
        [*GET, (b"te", b"gzip")],
        [*GET, (b"content-length", b"x")],
        [*GET, (b"content-length", b"1"), (b"content-length", b"2")],
        [(b"x", b"y"), *GET],
    ],
)
def test_a_malformed_request_ends_its_stream_only(engine: Engine, fields: list[tuple[bytes, bytes]]) -> None:
    peer = engine.peer(Role.SERVER)
    peer.send(peer.head(1))
    assert peer.send(peer.head(3, fields), peer.data(3, b"late")) == [malformed(3)]
    assert resets(peer) == [(3, ErrorCode.PROTOCOL_ERROR)]
    assert peer.send(peer.data(1, b"x"), peer.head(5, GET, end_stream=True)) == [
        Data(1, b"x", 1, False),
        Head(5, GET, True),
    ]


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [(b"x", b"y")],
        [(b":status", b"20")],
        [(b":status", b"101")],
        [*OK, (b":path", b"/")],
        [*OK, (b"transfer-encoding", b"chunked")],
        [*OK, (b"x", b"a\x00b")],
    ],
)
def test_a_malformed_response_ends_its_stream_only(engine: Engine, fields: list[tuple[bytes, bytes]]) -> None:
    peer = engine.peer(Role.CLIENT)
    bad, good = answered(peer), answered(peer)
    assert peer.send(peer.head(bad, fields), peer.data(bad, b"late")) == [malformed(bad)]
    assert resets(peer) == [(bad, ErrorCode.PROTOCOL_ERROR)]
    assert peer.send(peer.head(good, OK, end_stream=True)) == [Head(good, OK, True)]


def test_duplicate_equal_lengths_are_one(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER)
    fields = [*POST, (b"content-length", b"1"), (b"content-length", b"1")]
    events = peer.send(peer.head(1, fields), peer.data(1, b"x", end_stream=True))
    assert events == [Head(1, fields, False), Data(1, b"x", 1, True)]


@pytest.mark.parametrize("trailers", [[(b":status", b"200")], [(b"Upper", b"x")], [(b"connection", b"x")]])
def test_malformed_trailers_end_the_stream(engine: Engine, trailers: list[tuple[bytes, bytes]]) -> None:
    peer = engine.peer(Role.SERVER)
    peer.send(peer.head(1))
    assert peer.send(peer.head(1, trailers, end_stream=True)) == [malformed(1)]


def test_a_second_head_that_does_not_end_is_malformed(engine: Engine, role: Role) -> None:
    peer = engine.peer(role)
    fields = POST
    stream_id = 1
    if role is Role.CLIENT:
        fields, stream_id = OK, answered(peer)
    peer.send(peer.head(stream_id, fields))
    assert peer.send(peer.head(stream_id, [(b"x", b"y")])) == [malformed(stream_id)]


def test_informational_heads_that_end_the_stream_are_malformed(engine: Engine) -> None:
    peer = engine.peer(Role.CLIENT)
    stream_id = answered(peer)
    assert peer.send(peer.head(stream_id, [(b":status", b"103")], end_stream=True)) == [malformed(stream_id)]


def test_data_before_the_head_is_malformed(engine: Engine) -> None:
    peer = engine.peer(Role.CLIENT)
    stream_id = answered(peer)
    assert peer.send(peer.data(stream_id, b"x")) == [malformed(stream_id)]


@pytest.mark.parametrize(
    ("length", "pieces"),
    [(5, [b"123"]), (5, [b"123", b""]), (5, [b"123456"]), (5, [b"123", b"456"]), (1, [])],
)
def test_a_body_that_contradicts_its_length_never_ends_well(
    engine: Engine, role: Role, length: int, pieces: list[bytes]
) -> None:
    peer = engine.peer(role)
    stream_id = 1 if role is Role.SERVER else answered(peer)
    other = 3 if role is Role.SERVER else answered(peer)
    head = [*(POST if role is Role.SERVER else OK), (b"content-length", b"%d" % length)]
    frames = [peer.head(stream_id, head, end_stream=not pieces)]
    frames += [peer.data(stream_id, piece) for piece in pieces]
    frames[-1].flags.add("END_STREAM")
    events = peer.send(*frames)
    assert events[-1] == malformed(stream_id)
    assert not any(event.end_stream for event in events[:-1])
    good = POST if role is Role.SERVER else OK
    assert peer.send(peer.head(other, good, end_stream=True)) == [Head(other, good, True)]


def test_trailers_after_a_short_body_are_malformed(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER)
    peer.send(peer.head(1, [*POST, (b"content-length", b"5")]), peer.data(1, b"123"))
    assert peer.send(peer.head(1, [(b"x", b"y")], end_stream=True)) == [malformed(1)]


@pytest.mark.parametrize("status", [b"200", b"204", b"304"])
def test_a_body_where_none_may_be_is_malformed(engine: Engine, status: bytes) -> None:
    peer = engine.peer(Role.CLIENT)
    stream_id = answered(peer, [(b":method", b"HEAD" if status == b"200" else b"GET"), *POST[1:]])
    peer.send(peer.head(stream_id, [(b":status", status)]))
    assert peer.send(peer.data(stream_id, b"x", end_stream=True)) == [malformed(stream_id)]


def test_length_means_nothing_in_the_answer_to_connect(engine: Engine) -> None:
    peer = engine.peer(Role.CLIENT, settings={8: 1})
    connect = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *POST[1:]]
    stream_id = answered(peer, connect, end_stream=False)
    peer.send(peer.head(stream_id, [*OK, (b"content-length", b"0")]))
    assert peer.send(peer.data(stream_id, b"x")) == [Data(stream_id, b"x", 1, False)]


def test_data_after_the_end_ends_the_stream_with_stream_closed(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER)
    peer.send(peer.head(1, end_stream=True))
    assert peer.send(peer.data(1, b"x")) == [malformed(1, ErrorCode.STREAM_CLOSED)]


def test_streams_above_the_limit_are_refused_singly(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER, Limits(max_concurrent_streams=2))
    frames = [peer.head(stream_id) for stream_id in (1, 3, 5)]
    assert peer.send(*frames, peer.data(5, b"late")) == [Head(1, POST, False), Head(3, POST, False)]
    assert resets(peer) == [(5, ErrorCode.REFUSED_STREAM)]
    peer.session.reset(1, ErrorCode.CANCEL)
    fields = [*GET, (b"x-new", b"still in step with the compression")]
    assert peer.send(peer.head(7, fields)) == [Head(7, fields, False)]


def test_a_peer_that_never_heeds_the_limit_is_cut_off(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER, Limits(max_concurrent_streams=1))
    events = peer.send(*(peer.head(stream_id) for stream_id in range(1, 2101, 2)))
    assert isinstance(events[-1], Terminated)
    assert events[-1].code == ErrorCode.ENHANCE_YOUR_CALM


def test_a_peer_that_oversteps_now_and_then_is_borne_with(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER, Limits(max_concurrent_streams=1))
    for stream_id in range(1, 5001, 4):
        assert peer.send(peer.head(stream_id), peer.head(stream_id + 2)) == [Head(stream_id, POST, False)]
        peer.session.reset(stream_id, ErrorCode.CANCEL)
        peer.received()


def test_a_head_above_the_limit_ends_its_stream_and_compression_goes_on(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER, Limits(max_header_list_size=2000))
    fields = [*GET, (b"x-fit", b"y" * 1500)]
    assert peer.send(peer.head(1, fields)) == [Head(1, fields, False)]
    [event] = peer.send(peer.head(3, [*GET, *((b"x-%d" % n, b"y" * 20) for n in range(50))]))
    assert isinstance(event, Reset)
    assert (event.stream_id, event.local) == (3, True)
    assert peer.send(peer.head(5, fields)) == [Head(5, fields, False)]
