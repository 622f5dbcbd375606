"""Contract of every engine: the bytes on the wire, and what a peer that errs or misbehaves gets for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hyperframe.frame import (
    AltSvcFrame,
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from h2s.engine.session import Data, Goaway, Head, Limits, Reset, Role, Settings, Terminated, Trailers
from h2s.errors import ErrorCode, NoFreeStream

if TYPE_CHECKING:
    from .conftest import Engine, Pair, Peer

POST = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/")]
GET = [(b":method", b"GET"), *POST[1:]]
OK = [(b":status", b"200")]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def extension(kind: int, stream_id: int, body: bytes) -> ExtensionFrame:
    """Return a frame of unknown type; hyperframe leaves its length to the caller."""
    frame = ExtensionFrame(kind, stream_id, 0xFF, body)
    frame.body_len = len(body)
    return frame


def answered(peer: Peer, fields: list[tuple[bytes, bytes]] = POST, *, end_stream: bool = True) -> int:
    """Open a stream from the client under test."""
    stream_id = peer.session.open(fields, end_stream=end_stream)
    peer.received()
    return stream_id


def refused_connection(peer: Peer, events: list[object], code: int) -> None:
    """Check that the connection is over, that GOAWAY says why, and that nothing more is heard."""
    assert isinstance(events[-1], Terminated)
    assert events[-1].code == code
    frames = peer.received()
    assert isinstance(frames[-1], GoAwayFrame)
    assert frames[-1].error_code == code
    assert peer.send(PingFrame(0, b"12345678")) == []
    assert peer.session.open_streams == 0


# -- the start -----------------------------------------------------------------------------------------------------


def test_first_bytes_are_preface_and_settings(engine: Engine, role: Role) -> None:
    limits = Limits(connect_protocol=True, max_frame_size=20_000, extra_settings={0xF5C1: 0x0003_0001})
    data = engine.session(role, limits).pull(65_536)
    assert data.startswith(PREFACE) == (role is Role.CLIENT)
    settings = engine.peer(role).parse(data)[0]
    assert isinstance(settings, SettingsFrame)
    values = dict(settings.settings)
    assert values.pop(0xF5C1) == 0x0003_0001
    assert values.pop(SettingsFrame.ENABLE_PUSH, 0) == 0
    assert values.pop(SettingsFrame.ENABLE_CONNECT_PROTOCOL, 0) == (role is Role.SERVER)
    assert values == {
        SettingsFrame.MAX_CONCURRENT_STREAMS: 128,
        SettingsFrame.INITIAL_WINDOW_SIZE: 256 * 1024,
        SettingsFrame.MAX_FRAME_SIZE: 20_000,
        SettingsFrame.MAX_HEADER_LIST_SIZE: 64 * 1024,
    }


def test_push_is_disabled_by_clients(engine: Engine) -> None:
    data = engine.session(Role.CLIENT, Limits()).pull(65_536)
    settings = engine.peer(Role.CLIENT).parse(data)[0]
    assert settings.settings[SettingsFrame.ENABLE_PUSH] == 0


def test_extra_settings_keep_all_bits_of_their_id(engine: Engine, role: Role) -> None:
    session = engine.session(role, Limits(extra_settings={0xF5C1: 0x0102_0304, 0xFFFF: 2**32 - 1}))
    assert b"\xf5\xc1\x01\x02\x03\x04\xff\xff\xff\xff\xff\xff" in session.pull(65_536)


def test_settings_are_reported_whole_and_acknowledged(engine: Engine, role: Role) -> None:
    peer = engine.peer(role)
    payload = b"\xf5\xc1\x00\x00\x00\x07\x00\x04\x00\x00\x10\x00"
    events = peer.session.receive(b"\x00\x00\x0c\x04\x00\x00\x00\x00\x00" + payload)
    assert events == [Settings({0xF5C1: 7, 4: 4096})]
    [ack] = peer.received()
    assert isinstance(ack, SettingsFrame)
    assert "ACK" in ack.flags


def test_a_smaller_compression_table_is_respected(engine: Engine) -> None:
    peer = engine.peer(Role.CLIENT)
    peer.session.open([*GET, (b"x", b"indexed")], end_stream=True)
    peer.decoder.decode(peer.received()[0].data, raw=True)
    peer.decoder.max_allowed_table_size = 0
    peer.send(SettingsFrame(0, settings={SettingsFrame.HEADER_TABLE_SIZE: 0}))
    fields = [*GET, (b"x", b"indexed")]
    for _ in range(2):
        peer.session.open(fields, end_stream=True)
        head = peer.received()[-1]
        assert [tuple(field) for field in peer.decoder.decode(head.data, raw=True)] == fields


def test_secrets_stay_out_of_the_compression_table(engine: Engine) -> None:
    peer = engine.peer(Role.CLIENT)
    secrets = [(b"authorization", b"Bearer x"), (b"cookie", b"a=b"), (b"h2s-control", b"nonce")]
    peer.session.open([*GET, *secrets], end_stream=True)
    fields = peer.decoder.decode(peer.received()[0].data, raw=True)
    assert [field.indexable for field in fields[-3:]] == [False] * 3


def test_a_wrong_preface_ends_the_connection(engine: Engine) -> None:
    session = engine.session(Role.SERVER, Limits())
    [event] = session.receive(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert isinstance(event, Terminated)


@pytest.mark.parametrize("first", [PingFrame(0, b"12345678"), HeadersFrame(1, b"\x82")])
def test_settings_must_come_first(engine: Engine, role: Role, first: Frame) -> None:
    session = engine.session(role, Limits())
    preface = PREFACE if role is Role.SERVER else b""
    [event] = session.receive(preface + first.serialize())
    assert isinstance(event, Terminated)
    assert event.code == ErrorCode.PROTOCOL_ERROR


# -- frames to ignore ------------------------------------------------------------------------------------------------


def test_frames_that_mean_nothing_to_us_are_ignored(engine: Engine, role: Role) -> None:
    peer = engine.peer(role)
    assert (
        peer.send(
            extension(0xF5, 0, b"x" * 100),
            extension(0x42, 77, b""),
            PriorityFrame(9, depends_on=3),
            AltSvcFrame(0, b"a.example", b'h2=":443"'),
            extension(0xA, 1, b"not as RFC 7838 has it"),
        )
        == []
    )
    assert peer.received() == []


def test_padding_and_priority_of_heads_are_ignored(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER)
    frame = peer.head(1, GET, end_stream=True)
    frame.flags |= {"PADDED", "PRIORITY"}
    frame.pad_length = 20
    assert peer.send(frame) == [Head(1, GET, True)]


def test_heads_in_continuations_are_joined(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER)
    block = peer.encoder.encode([*GET, (b"x-long", b"y" * 1000)])
    frames = [
        HeadersFrame(1, block[:10], flags=["END_STREAM"]),
        ContinuationFrame(1, block[10:500]),
        ContinuationFrame(1, block[500:], flags=["END_HEADERS"]),
    ]
    assert peer.send(*frames) == [Head(1, [*GET, (b"x-long", b"y" * 1000)], True)]


def test_empty_data_is_not_reported_unless_it_ends(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER)
    peer.send(peer.head(1))
    assert peer.send(peer.data(1), peer.data(1), peer.data(1, end_stream=True)) == [Data(1, b"", 0, True)]


# -- a bad connection ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (DataFrame(99, b"x"), ErrorCode.PROTOCOL_ERROR),
        (RstStreamFrame(99, 8), ErrorCode.PROTOCOL_ERROR),
        (WindowUpdateFrame(99, window_increment=1), ErrorCode.PROTOCOL_ERROR),
        (HeadersFrame(2, b"\x88", flags=["END_HEADERS"]), ErrorCode.PROTOCOL_ERROR),
        (ContinuationFrame(1, b"", flags=["END_HEADERS"]), ErrorCode.PROTOCOL_ERROR),
        (PushPromiseFrame(1, 2, b"\x82", flags=["END_HEADERS"]), ErrorCode.PROTOCOL_ERROR),
        (PushPromiseFrame(1, 2, b"\x82"), ErrorCode.PROTOCOL_ERROR),
        (SettingsFrame(0, settings={4: 2**31}), ErrorCode.FLOW_CONTROL_ERROR),
        (SettingsFrame(0, settings={5: 100}), ErrorCode.PROTOCOL_ERROR),
        (SettingsFrame(0, settings={2: 2}), ErrorCode.PROTOCOL_ERROR),
        (WindowUpdateFrame(0, window_increment=0), ErrorCode.PROTOCOL_ERROR),
        (extension(0x42, 0, b"x" * 16_385), ErrorCode.FRAME_SIZE_ERROR),
    ],
)
def test_what_no_stream_can_be_blamed_for_ends_the_connection(
    engine: Engine, role: Role, frame: Frame, code: int
) -> None:
    peer = engine.peer(role)
    refused_connection(peer, peer.send(frame), code)


def test_a_compression_bomb_ends_the_connection(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER, Limits(max_header_list_size=8000))
    bomb = [*GET, *([(b"x-bomb", b"y" * 3000)] * 1000)]
    refused_connection(peer, peer.send(peer.head(1, bomb)), ErrorCode.ENHANCE_YOUR_CALM)


def test_a_head_that_does_not_decompress_ends_the_connection(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER)
    frame = HeadersFrame(1, b"\xff\xff\xff", flags=["END_HEADERS"])
    refused_connection(peer, peer.send(frame), ErrorCode.COMPRESSION_ERROR)


def test_what_came_before_the_error_is_still_heard(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER)
    events = peer.send(peer.head(1, GET, end_stream=True), DataFrame(99, b"x"))
    assert events[0] == Head(1, GET, True)
    refused_connection(peer, events, ErrorCode.PROTOCOL_ERROR)


def test_an_overlong_frame_is_refused_before_it_has_come(engine: Engine, role: Role) -> None:
    peer = engine.peer(role)
    [event] = peer.session.receive(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01")
    assert isinstance(event, Terminated)
    assert event.code == ErrorCode.FRAME_SIZE_ERROR


def test_a_stream_id_is_not_used_twice(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER)
    peer.send(peer.head(5, GET, end_stream=True))
    peer.session.send_head(5, OK, end_stream=True)
    [event] = peer.send(peer.head(3, GET, end_stream=True))
    assert isinstance(event, Terminated)


# -- going away ------------------------------------------------------------------------------------------------------


def test_received_goaway_leaves_lower_streams_running(engine: Engine) -> None:
    peer = engine.peer(Role.CLIENT)
    low, high = answered(peer, end_stream=False), answered(peer)
    events = peer.send(GoAwayFrame(0, low, ErrorCode.NO_ERROR, b"bye"))
    assert events == [
        Goaway(low, ErrorCode.NO_ERROR, b"bye"),
        Reset(high, ErrorCode.REFUSED_STREAM, processed=False),
    ]
    assert (peer.session.free_streams, peer.session.open_streams) == (0, 1)
    with pytest.raises(NoFreeStream):
        peer.session.open(GET, end_stream=True)
    peer.session.send_data(low, b"rest", end_stream=True)
    assert [frame.data for frame in peer.received() if isinstance(frame, DataFrame)] == [b"rest"]
    trailers = [(b"x", b"y")]
    assert peer.send(peer.head(low, OK), peer.head(low, trailers, end_stream=True)) == [
        Head(low, OK, False),
        Trailers(low, trailers),
    ]


def test_goaway_does_not_drop_what_was_not_sent_yet(engine: Engine) -> None:
    peer = engine.peer(Role.CLIENT)
    stream_id = answered(peer, end_stream=False)
    peer.session.send_data(stream_id, b"queued", end_stream=False)
    peer.session.ping(b"12345678")
    peer.send(GoAwayFrame(0, 2**31 - 1))
    assert [type(frame) for frame in peer.received()] == [PingFrame, DataFrame]


def test_goaway_in_two_steps_loses_no_stream(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER)
    peer.send(peer.head(1, GET, end_stream=True))
    peer.session.goaway(ErrorCode.NO_ERROR, last_stream_id=2**31 - 1)
    assert peer.send(peer.head(3, GET, end_stream=True)) == [Head(3, GET, True)]
    peer.session.goaway(ErrorCode.NO_ERROR, debug=b"bye")
    late = [*GET, (b"x-late", b"kept in the compression table")]
    assert peer.send(peer.head(5, late), peer.data(5, b"x"), RstStreamFrame(5, 8)) == []
    peer.session.send_head(3, OK, end_stream=True)
    frames = peer.received()
    goaways = [frame for frame in frames if isinstance(frame, GoAwayFrame)]
    assert [frame.last_stream_id for frame in goaways] == [2**31 - 1, 3]
    assert goaways[1].additional_data == b"bye"
    assert [frame.stream_id for frame in frames if isinstance(frame, HeadersFrame)] == [3]
    assert peer.session.open_streams == 1


def test_goaway_never_takes_a_stream_back_in(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER)
    peer.send(peer.head(1, GET, end_stream=True), peer.head(3, GET, end_stream=True))
    peer.session.goaway(ErrorCode.NO_ERROR, last_stream_id=1)
    assert peer.session.open_streams == 1
    peer.session.goaway(ErrorCode.NO_ERROR)
    peer.session.send_head(3, OK, end_stream=True)
    frames = peer.received()
    assert [frame.last_stream_id for frame in frames if isinstance(frame, GoAwayFrame)] == [1, 1]
    assert not [frame for frame in frames if isinstance(frame, HeadersFrame)]


def test_goaway_between_two_sessions(pair: Pair) -> None:
    running = pair.request(GET, end_stream=True)
    pair.server.goaway(ErrorCode.NO_ERROR, last_stream_id=2**31 - 1)
    assert pair.pump()[0] == [Goaway(2**31 - 1, ErrorCode.NO_ERROR, b"")]
    pair.server.send_head(running, OK, end_stream=True)
    pair.server.goaway(ErrorCode.NO_ERROR)
    assert pair.pump()[0] == [Head(running, OK, True), Goaway(running, ErrorCode.NO_ERROR, b"")]


def test_a_server_serves_on_after_a_clients_goaway(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER)
    peer.send(peer.head(1))
    peer.send(GoAwayFrame(0, 0))
    assert peer.send(peer.data(1, b"x", end_stream=True)) == [Data(1, b"x", 1, True)]
    peer.session.send_head(1, OK, end_stream=True)
    assert [type(frame) for frame in peer.received()] == [HeadersFrame]
