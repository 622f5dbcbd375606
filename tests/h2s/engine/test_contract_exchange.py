"""Contract of every engine: what goes in at one end comes out at the other, and streams end."""

from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from h2s.engine.session import (
    Data,
    Head,
    Informational,
    Limits,
    PingAck,
    Reset,
    Role,
    Settings,
    Trailers,
)
from h2s.errors import ErrorCode, LocalProtocolError, NoFreeStream

if TYPE_CHECKING:
    from .conftest import Engine, Pair

POST = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/x?y=z")]
GET = [(b":method", b"GET"), *POST[1:]]
OK = [(b":status", b"200")]


def started(pair: Pair, sender: Role) -> int:
    """Open a stream on which `sender` may send its body."""
    stream_id = pair.request(POST, end_stream=sender is Role.SERVER)
    if sender is Role.SERVER:
        pair.server.send_head(stream_id, OK, end_stream=False)
        pair.pump()
    return stream_id


def body(events: list[object]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Data))


def test_request_and_response_arrive_byte_for_byte(pair: Pair) -> None:
    fields = [*GET, (b"x-odd", b"\xe4\xf6 \t\xff"), (b"cookie", b"a=b"), (b"cookie", b"c=d")]
    stream_id = pair.client.open(fields, end_stream=True)
    assert stream_id == 1
    assert pair.pump() == ([], [Head(1, fields, True)])
    answer = [*OK, (b"x-empty", b""), (b"set-cookie", b"k=v")]
    pair.server.send_head(1, answer, end_stream=False)
    pair.server.send_data(1, b"hello", end_stream=True)
    assert pair.pump() == ([Head(1, answer, False), Data(1, b"hello", 5, True)], [])
    assert pair.client.open_streams == pair.server.open_streams == 0


def test_end_rides_on_the_last_data_frame(engine: Engine, pair: Pair, role: Role) -> None:
    sender, _ = pair.ends(role)
    stream_id = started(pair, role)
    sender.send_data(stream_id, b"abc", end_stream=False)
    sender.send_data(stream_id, b"", end_stream=True)
    frames = engine.peer(Role.SERVER).parse(sender.pull(65_536))
    assert [(frame.data, "END_STREAM" in frame.flags) for frame in frames] == [(b"abc", True)]


def test_end_alone_is_an_empty_data_frame(engine: Engine, pair: Pair, role: Role) -> None:
    sender, _ = pair.ends(role)
    stream_id = started(pair, role)
    sender.send_data(stream_id, b"abc", end_stream=False)
    pair.pump()
    sender.send_data(stream_id, b"", end_stream=True)
    client_events, server_events = pair.pump()
    assert client_events + server_events == [Data(stream_id, b"", 0, True)]


def test_trailers_wait_behind_the_body(pair: Pair, role: Role) -> None:
    sender, receiver = pair.ends(role)
    stream_id = started(pair, role)
    sender.send_data(stream_id, b"x" * 300_000, end_stream=False)
    sender.send_trailers(stream_id, [(b"grpc-status", b"0")])
    events = pair.heard()
    received = len(body(events))
    assert received == 256 * 1024
    assert not [event for event in events if isinstance(event, Trailers)]
    receiver.credit(stream_id, received)
    events = pair.heard()
    assert len(body(events)) == 300_000 - received
    assert events[-1] == Trailers(stream_id, [(b"grpc-status", b"0")])


def test_trailers_without_a_body_end_the_stream(pair: Pair) -> None:
    stream_id = started(pair, Role.SERVER)
    pair.server.send_trailers(stream_id, [(b"grpc-status", b"5")])
    assert pair.pump()[0] == [Trailers(stream_id, [(b"grpc-status", b"5")])]
    assert pair.client.open_streams == 0


def test_empty_trailers_are_only_an_end(pair: Pair, role: Role) -> None:
    sender, _ = pair.ends(role)
    stream_id = started(pair, role)
    sender.send_trailers(stream_id, [])
    assert pair.heard() == [Data(stream_id, b"", 0, True)]


def test_informational_heads_come_before_the_final_one(pair: Pair) -> None:
    stream_id = pair.request(POST)
    early = [(b":status", b"103"), (b"link", b"</s.css>")]
    pair.server.send_informational(stream_id, [(b":status", b"100")])
    pair.server.send_informational(stream_id, early)
    pair.server.send_head(stream_id, OK, end_stream=False)
    assert pair.pump()[0] == [
        Informational(stream_id, [(b":status", b"100")]),
        Informational(stream_id, early),
        Head(stream_id, OK, False),
    ]


def test_answer_to_head_has_a_length_and_no_body(pair: Pair) -> None:
    stream_id = pair.request([(b":method", b"HEAD"), *POST[1:]], end_stream=True)
    answer = [*OK, (b"content-length", b"1000")]
    pair.server.send_head(stream_id, answer, end_stream=True)
    assert pair.pump()[0] == [Head(stream_id, answer, True)]


def test_host_means_nothing_in_a_response(pair: Pair) -> None:
    hosts = [(b"host", b"a"), (b"host", b"b")]
    stream_id = pair.request(GET, end_stream=True)
    pair.server.send_head(stream_id, [*OK, *hosts], end_stream=False)
    pair.server.send_trailers(stream_id, hosts)
    assert pair.pump()[0] == [Head(stream_id, [*OK, *hosts], False), Trailers(stream_id, hosts)]


@pytest.mark.parametrize("fields", [GET, [field for field in GET if field[0] != b":authority"]])
def test_a_request_names_one_host(pair: Pair, fields: list[tuple[bytes, bytes]]) -> None:
    pair.client.open([*fields, (b"host", b"a.example"), (b"host", b"a.example")], end_stream=True)
    [reset] = pair.pump()[0]
    assert isinstance(reset, Reset)
    assert reset.code == ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize("status", [b"204", b"304"])
@pytest.mark.parametrize("end_in_head", [True, False])
def test_statuses_without_content_may_name_a_length(pair: Pair, status: bytes, end_in_head: bool) -> None:
    stream_id = pair.request(GET, end_stream=True)
    answer = [(b":status", status), (b"content-length", b"10")]
    pair.server.send_head(stream_id, answer, end_stream=end_in_head)
    if not end_in_head:
        pair.server.send_data(stream_id, b"", end_stream=True)
    events = pair.pump()[0]
    assert events[0] == Head(stream_id, answer, end_in_head)
    assert not [event for event in events if isinstance(event, Reset)]


def test_extended_connect_carries_bytes_both_ways(pair: Pair) -> None:
    assert pair.client.peer_connect_protocol
    assert not pair.server.peer_connect_protocol
    fields = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *POST[1:]]
    stream_id = pair.request(fields)
    pair.server.send_head(stream_id, OK, end_stream=False)
    pair.server.send_data(stream_id, b"down", end_stream=False)
    pair.client.send_data(stream_id, b"up", end_stream=False)
    client_events, server_events = pair.pump()
    assert client_events == [Head(stream_id, OK, False), Data(stream_id, b"down", 4, False)]
    assert server_events == [Data(stream_id, b"up", 2, False)]


def test_extended_connect_that_was_not_offered_is_malformed(engine: Engine) -> None:
    pair = engine.pair(server=Limits(connect_protocol=False))
    assert not pair.client.peer_connect_protocol
    stream_id = pair.client.open(
        [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *POST[1:]], end_stream=False
    )
    client_events, server_events = pair.pump()
    assert client_events == [Reset(stream_id, ErrorCode.PROTOCOL_ERROR, processed=True)]
    assert not [event for event in server_events if isinstance(event, Head)]


def test_peer_reset_is_reported_once(pair: Pair, role: Role) -> None:
    resetting, other = pair.ends(role)
    stream_id = pair.request(POST)
    resetting.reset(stream_id, ErrorCode.CANCEL)
    resetting.reset(stream_id, ErrorCode.CANCEL)
    assert pair.heard() == [Reset(stream_id, ErrorCode.CANCEL, processed=True)]
    assert resetting.open_streams == other.open_streams == 0


def test_refused_stream_was_not_processed(pair: Pair) -> None:
    stream_id = pair.request(POST)
    pair.server.reset(stream_id, ErrorCode.REFUSED_STREAM)
    assert pair.pump()[0] == [Reset(stream_id, ErrorCode.REFUSED_STREAM, processed=False)]


def test_reset_drops_what_was_queued(pair: Pair, role: Role) -> None:
    sender, _ = pair.ends(role)
    stream_id = started(pair, role)
    sender.send_data(stream_id, b"x" * 1000, end_stream=False)
    sender.reset(stream_id, ErrorCode.CANCEL)
    assert sender.queued(stream_id) == 0
    assert pair.heard() == [Reset(stream_id, ErrorCode.CANCEL, processed=True)]


def test_whatever_is_asked_of_a_stream_that_is_gone_is_ignored(pair: Pair, role: Role) -> None:
    resetting, other = pair.ends(role)
    stream_id = pair.request(POST)
    resetting.reset(stream_id, ErrorCode.CANCEL)
    pair.pump()
    for session in (other, resetting):
        session.send_informational(stream_id, [(b":status", b"100")])
        session.send_head(stream_id, OK, end_stream=True)
        session.send_data(stream_id, b"x", end_stream=True)
        session.send_trailers(stream_id, [(b"a", b"b")])
        session.credit(stream_id, 10)
        session.widen(stream_id, 10)
        session.reset(stream_id, ErrorCode.CANCEL)
        assert session.queued(stream_id) == 0
        assert session.pull(1000) == b""


def test_frames_that_crossed_a_reset_are_ignored(pair: Pair, role: Role) -> None:
    sender, resetting = pair.ends(role)
    stream_id = started(pair, role)
    sender.send_data(stream_id, b"x" * 1000, end_stream=False)
    sender.send_trailers(stream_id, [(b"a", b"b")])
    late = sender.pull(65_536)
    resetting.reset(stream_id, ErrorCode.CANCEL)
    assert resetting.receive(late) == []
    assert all(isinstance(event, Reset) for event in pair.heard())
    assert pair.request(GET, end_stream=True) == stream_id + 2


def test_buffers_may_be_used_again_at_once(pair: Pair) -> None:
    stream_id = pair.client.open(POST, end_stream=False)
    buffer = bytearray(b"first")
    pair.client.send_data(stream_id, memoryview(buffer)[1:], end_stream=False)
    buffer[:] = b"other"
    pair.client.send_data(stream_id, buffer, end_stream=True)
    wire = bytearray(pair.client.pull(65_536))
    cut = len(wire) - 20
    events = pair.server.receive(memoryview(wire)[:cut])
    wire[:cut] = bytes(cut)
    events += pair.server.receive(wire[cut:])
    wire[:] = bytes(len(wire))
    assert events == [Head(stream_id, POST, False), Data(stream_id, b"irstother", 9, True)]


def test_ping_is_answered_with_its_payload(pair: Pair, role: Role) -> None:
    asking, _ = pair.ends(role)
    asking.ping(b"12345678")
    assert pair.heard() == [PingAck(b"12345678")]


def test_extra_settings_arrive(engine: Engine, role: Role) -> None:
    limits = Limits(extra_settings={0xF5C1: 0x0001_0003})
    pair = engine.pair(client=limits, server=limits)
    receiver, sender = engine.session(role, Limits()), pair.ends(role)[1]
    fresh = engine.session(sender.role, limits)
    [settings] = receiver.receive(fresh.pull(65_536))
    assert isinstance(settings, Settings)
    assert settings.values[0xF5C1] == 0x0001_0003


def test_streams_are_counted_against_the_peers_limit(engine: Engine) -> None:
    pair = engine.pair(server=Limits(max_concurrent_streams=2))
    assert pair.client.free_streams == 2
    first = pair.request(GET, end_stream=True)
    pair.request(GET, end_stream=True)
    assert (pair.client.free_streams, pair.client.open_streams, pair.server.open_streams) == (0, 2, 2)
    with pytest.raises(NoFreeStream):
        pair.client.open(GET, end_stream=True)
    pair.server.send_head(first, OK, end_stream=True)
    pair.pump()
    assert pair.client.free_streams == 1


def test_servers_open_no_streams(pair: Pair) -> None:
    assert pair.server.free_streams == 0
    with pytest.raises(LocalProtocolError):
        pair.server.open(GET, end_stream=True)


def test_hundred_streams_may_be_opened_before_the_settings_come(engine: Engine) -> None:
    assert engine.session(Role.CLIENT, Limits()).free_streams == 100


@pytest.mark.parametrize(
    "misuse",
    [
        lambda pair, i: pair.server.send_data(i, b"x", end_stream=False),
        lambda pair, i: pair.server.send_trailers(i, [(b"a", b"b")]),
        lambda pair, i: pair.client.send_informational(i, [(b":status", b"100")]),
        lambda pair, i: [pair.server.send_head(i, OK, end_stream=False) for _ in range(2)],
        lambda pair, i: [pair.client.send_data(i, b"x", end_stream=True) for _ in range(2)],
        lambda pair, i: pair.client.ping(b"short"),
    ],
)
def test_misuse_is_a_local_error(pair: Pair, misuse) -> None:
    stream_id = pair.request(POST)
    with pytest.raises(LocalProtocolError):
        misuse(pair, stream_id)


def test_large_heads_are_split_into_continuations(pair: Pair) -> None:
    fields = [*GET, (b"x-large", b"v" * 50_000)]
    stream_id = pair.client.open(fields, end_stream=True)
    assert pair.pump()[1] == [Head(stream_id, fields, True)]


def test_streams_that_are_over_leave_nothing_behind(engine: Engine) -> None:
    pair = engine.pair(client=Limits(resets=None))

    def exchange(count: int) -> int:
        for number in range(count):
            stream_id = pair.client.open(GET, end_stream=False)
            pair.server.receive(pair.client.pull(65_536))
            if number % 8:
                pair.server.reset(stream_id, ErrorCode.CANCEL)
            else:
                pair.client.send_data(stream_id, b"", end_stream=True)
                pair.server.send_head(stream_id, OK, end_stream=True)
            pair.pump()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        settled = exchange(2_000)
        assert exchange(4_000) - settled < 80_000
    finally:
        tracemalloc.stop()
    assert pair.client.open_streams == pair.server.open_streams == 0
