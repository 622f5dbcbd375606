"""Contract of every engine: flow control to the byte, turns, queues and what overtakes what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hyperframe.frame import DataFrame, HeadersFrame, SettingsFrame, WindowUpdateFrame

from h2s.engine.session import Data, Head, Limits, Reset, Role, Session, Terminated
from h2s.errors import ErrorCode

if TYPE_CHECKING:
    from .conftest import Engine, Pair, Peer

POST = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/")]
OK = [(b":status", b"200")]
INITIAL_WINDOW = SettingsFrame.INITIAL_WINDOW_SIZE
BIG = 1 << 20


def sizes(frames: list[object]) -> list[int]:
    return [len(frame.data) for frame in frames if isinstance(frame, DataFrame)]


def increments(frames: list[object], stream_id: int) -> int:
    return sum(
        frame.window_increment
        for frame in frames
        if isinstance(frame, WindowUpdateFrame) and frame.stream_id == stream_id
    )


def sending(peer: Peer) -> tuple[Session, int]:
    """Bring the session under test to where it may send a body, and return it and the stream."""
    session = peer.session
    if session.role is Role.CLIENT:
        stream_id = session.open(POST, end_stream=False)
    else:
        stream_id = 1
        peer.send(peer.head(1, end_stream=True))
        session.send_head(1, OK, end_stream=False)
    peer.received()
    return session, stream_id


def receiving(peer: Peer) -> tuple[Session, int]:
    """Bring the session under test to where its peer may send a body, and return it and the stream."""
    session = peer.session
    if session.role is Role.CLIENT:
        stream_id = session.open(POST, end_stream=True)
        peer.received()
        peer.send(peer.head(stream_id, OK))
    else:
        stream_id = 1
        peer.send(peer.head(1))
    return session, stream_id


@pytest.mark.parametrize("window", [1, 100, 65_535, 200_000])
def test_no_byte_more_than_the_streams_window_is_sent(engine: Engine, role: Role, window: int) -> None:
    peer = engine.peer(role, settings={INITIAL_WINDOW: window})
    session, stream_id = sending(peer)
    peer.send(WindowUpdateFrame(0, window_increment=BIG))
    session.send_data(stream_id, b"x" * (window + 10), end_stream=True)
    assert sum(sizes(peer.received())) == window
    assert session.queued(stream_id) == 10
    peer.send(WindowUpdateFrame(stream_id, window_increment=9))
    assert sizes(peer.received()) == [9]
    peer.send(WindowUpdateFrame(stream_id, window_increment=9))
    [last] = peer.received()
    assert (len(last.data), "END_STREAM" in last.flags) == (1, True)


def test_no_byte_more_than_the_connections_window_is_sent(engine: Engine, role: Role) -> None:
    peer = engine.peer(role, settings={INITIAL_WINDOW: BIG})
    session, stream_id = sending(peer)
    session.send_data(stream_id, b"x" * 70_000, end_stream=True)
    assert sum(sizes(peer.received())) == 65_535
    peer.send(WindowUpdateFrame(0, window_increment=1))
    assert sizes(peer.received()) == [1]
    peer.send(WindowUpdateFrame(0, window_increment=BIG))
    assert sum(sizes(peer.received())) == 70_000 - 65_536


def test_a_window_shrunk_below_zero_must_be_filled_up_first(engine: Engine, role: Role) -> None:
    peer = engine.peer(role, settings={INITIAL_WINDOW: 1000})
    session, stream_id = sending(peer)
    session.send_data(stream_id, b"x" * 2000, end_stream=True)
    assert sizes(peer.received()) == [1000]
    peer.send(SettingsFrame(0, settings={INITIAL_WINDOW: 100}))
    peer.send(WindowUpdateFrame(stream_id, window_increment=900))
    assert sizes(peer.received()) == []
    peer.send(WindowUpdateFrame(stream_id, window_increment=1))
    assert sizes(peer.received()) == [1]
    peer.send(SettingsFrame(0, settings={INITIAL_WINDOW: 1099}))
    assert sizes(peer.received()) == [999]


def test_end_needs_no_window(engine: Engine, role: Role) -> None:
    peer = engine.peer(role, settings={INITIAL_WINDOW: 0})
    session, stream_id = sending(peer)
    session.send_data(stream_id, b"", end_stream=True)
    [frame] = peer.received()
    assert (frame.data, "END_STREAM" in frame.flags) == (b"", True)


def test_end_of_one_stream_passes_others_that_wait_for_the_connection(engine: Engine) -> None:
    peer = engine.peer(Role.CLIENT, settings={INITIAL_WINDOW: BIG})
    session = peer.session
    waiting = session.open(POST, end_stream=False)
    session.send_data(waiting, b"x" * 70_000, end_stream=True)
    peer.received()
    ending = session.open(POST, end_stream=False)
    session.send_data(ending, b"", end_stream=True)
    assert [frame.stream_id for frame in peer.received() if isinstance(frame, DataFrame)] == [ending]


@pytest.mark.parametrize("window", [1, 2, 3, 5, 1000, 65_535, 70_000])
def test_a_body_larger_than_the_window_gets_through_when_credited(
    engine: Engine, role: Role, window: int
) -> None:
    limits = Limits(stream_window=window, connection_window=65_535)
    pair = engine.pair(client=limits, server=limits)
    sender, receiver = pair.ends(role)
    stream_id = pair.request(POST, end_stream=role is Role.SERVER)
    if role is Role.SERVER:
        sender.send_head(stream_id, OK, end_stream=False)
        pair.pump()
    size = min(window * 5, 300_000)
    sender.send_data(stream_id, bytes(size), end_stream=True)
    received, ended = 0, False
    while not ended:
        events = pair.heard()
        assert events, "stalled"
        for event in events:
            assert isinstance(event, Data)
            received += len(event.data)
            ended = event.end_stream
            receiver.credit(stream_id, event.flow)
    assert received == size


def test_credit_is_given_back_in_large_steps(engine: Engine, role: Role) -> None:
    peer = engine.peer(role, Limits(stream_window=100_000))
    session, stream_id = receiving(peer)
    for _ in range(10):
        peer.send(peer.data(stream_id, b"x" * 5000))
        session.credit(stream_id, 5000)
    frames = [frame for frame in peer.received() if getattr(frame, "window_increment", 0)]
    assert increments(frames, stream_id) == 50_000
    assert len(frames) == 2


def test_connection_window_is_given_back_on_receipt(engine: Engine, role: Role) -> None:
    peer = engine.peer(role, Limits(connection_window=65_535, stream_window=BIG))
    _, stream_id = receiving(peer)
    for _ in range(20):
        events = peer.send(peer.data(stream_id, b"x" * 16_000))
        assert isinstance(events[0], Data)
    assert increments(peer.received(), 0) > 20 * 16_000 - 65_535


def test_data_on_a_stream_that_was_reset_returns_to_the_connection(engine: Engine, role: Role) -> None:
    peer = engine.peer(role, Limits(connection_window=65_535, stream_window=BIG))
    session, stream_id = receiving(peer)
    session.reset(stream_id, ErrorCode.CANCEL)
    for _ in range(20):
        assert peer.send(peer.data(stream_id, b"x" * 16_000)) == []
    assert increments(peer.received(), 0) > 20 * 16_000 - 65_535


def test_connection_window_is_announced_at_the_start(engine: Engine, role: Role) -> None:
    session = engine.session(role, Limits(connection_window=1_000_000))
    frames = engine.peer(role).parse(session.pull(65_536))
    assert isinstance(frames[0], SettingsFrame)
    assert increments(frames, 0) == 1_000_000 - 65_535


def test_widening_takes_effect_at_once_and_lasts(engine: Engine, role: Role) -> None:
    peer = engine.peer(role, Limits(stream_window=65_535))
    session, stream_id = receiving(peer)
    session.widen(stream_id, 100_000)
    assert increments(peer.received(), stream_id) == 100_000
    for _ in range(10):
        events = peer.send(peer.data(stream_id, b"x" * 16_384))
        assert isinstance(events[0], Data)


def test_a_window_cannot_be_widened_beyond_what_the_protocol_allows(engine: Engine, role: Role) -> None:
    peer = engine.peer(role, Limits(stream_window=65_535))
    session, stream_id = receiving(peer)
    session.widen(stream_id, 2**31 - 1)
    assert increments(peer.received(), stream_id) == 2**31 - 1 - 65_535


def test_padding_counts_as_flow(engine: Engine, role: Role) -> None:
    peer = engine.peer(role)
    _, stream_id = receiving(peer)
    frame = DataFrame(stream_id, b"abc", pad_length=10, flags=["PADDED"])
    assert peer.send(frame) == [Data(stream_id, b"abc", 14, False)]


def test_more_data_than_the_streams_window_ends_the_stream_or_the_connection(
    engine: Engine, role: Role
) -> None:
    peer = engine.peer(role, Limits(stream_window=1000))
    _, stream_id = receiving(peer)
    assert isinstance(peer.send(peer.data(stream_id, b"x" * 1000))[0], Data)
    [event] = peer.send(peer.data(stream_id, b"x"))
    assert isinstance(event, Reset | Terminated)
    assert event.code == ErrorCode.FLOW_CONTROL_ERROR


def test_more_data_than_the_connections_window_ends_the_connection(engine: Engine, role: Role) -> None:
    peer = engine.peer(role, Limits(connection_window=65_535, stream_window=BIG, max_frame_size=BIG))
    _, stream_id = receiving(peer)
    [event] = peer.send(peer.data(stream_id, b"x" * 65_536))
    assert isinstance(event, Terminated)
    assert event.code == ErrorCode.FLOW_CONTROL_ERROR


def test_a_small_window_binds_only_once_it_is_acknowledged(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER)
    peer.session = engine.session(Role.SERVER, Limits(stream_window=10))
    peer.greet()
    assert isinstance(peer.send(peer.head(1), peer.data(1, b"x" * 1000))[1], Data)
    peer.send(SettingsFrame(0, flags=["ACK"]))
    assert isinstance(peer.send(peer.data(1, b"x"))[0], Reset | Terminated)


@pytest.mark.parametrize("increment", [2**31 - 1])
def test_windows_do_not_overflow(engine: Engine, role: Role, increment: int) -> None:
    peer = engine.peer(role)
    _, stream_id = sending(peer)
    [event] = peer.send(WindowUpdateFrame(stream_id, window_increment=increment))
    assert event == Reset(stream_id, ErrorCode.FLOW_CONTROL_ERROR, processed=True, local=True)
    [event] = peer.send(WindowUpdateFrame(0, window_increment=increment))
    assert isinstance(event, Terminated)
    assert event.code == ErrorCode.FLOW_CONTROL_ERROR


def test_frames_are_no_larger_than_the_peer_takes(engine: Engine, role: Role) -> None:
    peer = engine.peer(role)
    session, stream_id = sending(peer)
    session.send_data(stream_id, b"x" * 40_000, end_stream=True)
    assert max(sizes(peer.received())) <= 16_384


def test_streams_take_turns(engine: Engine) -> None:
    peer = engine.peer(Role.CLIENT, settings={INITIAL_WINDOW: BIG})
    peer.send(WindowUpdateFrame(0, window_increment=BIG))
    ids = [peer.session.open(POST, end_stream=False) for _ in range(3)]
    for stream_id in ids:
        peer.session.send_data(stream_id, b"x" * 40_000, end_stream=True)
    order = [frame.stream_id for frame in peer.received() if isinstance(frame, DataFrame)]
    assert order[:6] == ids * 2


def test_urgent_streams_overtake(engine: Engine) -> None:
    peer = engine.peer(Role.CLIENT, settings={INITIAL_WINDOW: BIG})
    session = peer.session
    bulk = session.open(POST, end_stream=False)
    session.send_data(bulk, b"x" * 60_000, end_stream=False)
    peer.parse(session.pull(1))
    urgent = session.open(POST, end_stream=False, urgent=True)
    session.send_data(urgent, b"now", end_stream=False)
    frames = peer.received()
    assert isinstance(frames[0], HeadersFrame)
    assert next(frame.stream_id for frame in frames if isinstance(frame, DataFrame)) == urgent


def test_everything_else_goes_before_data(engine: Engine, role: Role) -> None:
    peer = engine.peer(role)
    session, stream_id = sending(peer)
    session.send_data(stream_id, b"x" * 1000, end_stream=False)
    session.ping(b"00000000")
    kinds = [type(frame) for frame in peer.received()]
    assert kinds[-1] is DataFrame
    assert len(kinds) == 2


def test_pull_gives_at_least_a_frame_and_little_more_than_asked(engine: Engine, role: Role) -> None:
    peer = engine.peer(role)
    session, stream_id = sending(peer)
    session.send_data(stream_id, b"x" * 60_000, end_stream=False)
    assert sizes(peer.parse(session.pull(1))) == [16_384]
    assert 20_000 <= len(session.pull(20_000)) <= 20_000 + 16_384 + 9


def test_a_queue_that_was_long_is_reported_once_when_it_is_short(engine: Engine, role: Role) -> None:
    limits = Limits(queue_high=10_000, queue_low=4000)
    peer = engine.peer(role, limits, settings={INITIAL_WINDOW: 0})
    session, stream_id = sending(peer)
    session.send_data(stream_id, b"x" * 10_000, end_stream=False)
    session.send_data(stream_id, b"x", end_stream=False)
    assert session.queued(stream_id) == 10_001
    peer.send(WindowUpdateFrame(stream_id, window_increment=6000))
    peer.received()
    assert session.drained() == []
    peer.send(WindowUpdateFrame(stream_id, window_increment=1))
    peer.received()
    assert session.queued(stream_id) == 4000
    assert session.drained() == [stream_id]
    peer.send(WindowUpdateFrame(stream_id, window_increment=100_000))
    peer.received()
    assert session.drained() == []


def test_a_queue_that_was_never_long_is_not_reported(engine: Engine, role: Role) -> None:
    peer = engine.peer(role, Limits(queue_high=10_000, queue_low=4000))
    session, stream_id = sending(peer)
    session.send_data(stream_id, b"x" * 10_000, end_stream=False)
    peer.received()
    assert session.drained() == []


def test_slow_streams_do_not_stall_others(pair: Pair) -> None:
    slow, quick = pair.request(POST, end_stream=True), pair.request(POST, end_stream=True)
    for stream_id in (slow, quick):
        pair.server.send_head(stream_id, OK, end_stream=False)
        pair.server.send_data(stream_id, bytes(3_000_000), end_stream=True)
    received = {slow: 0, quick: 0}
    while events := pair.pump()[0]:
        for event in events:
            if isinstance(event, Data):
                received[event.stream_id] += len(event.data)
                if event.stream_id == quick:
                    pair.client.credit(quick, event.flow)
            else:
                assert isinstance(event, Head)
    assert received == {slow: 256 * 1024, quick: 3_000_000}
