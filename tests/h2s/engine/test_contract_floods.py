"""Contract of every engine: what a peer can waste is bounded, and beyond that its connection ends.

A flood is a generator of frames without end. What it costs is how many of them the session takes before it gives up,
and how much it then holds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from h2s.engine.figures import LATE_GRACE, LATE_UNIT
from h2s.engine.session import EARNED, Head, Informational, Limits, PingAck, Rate, Reset, Role, Terminated
from h2s.errors import ErrorCode

if TYPE_CHECKING:
    from .conftest import Engine, Peer

POST = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/")]
GET = [(b":method", b"GET"), *POST[1:]]
OK = [(b":status", b"200")]
BURST = 50
CALM = Limits(resets=Rate(BURST, 0.0), overhead=Rate(BURST, 0.0))
IDS = range(1, 2**31, 2)

Flood = Callable[["Peer"], Iterator[list[Frame]]]


def taken(peer: Peer, rounds: Iterator[list[Frame]], *, at_most: int, read: bool = True) -> int:
    """Return how many rounds a session takes before it ends the connection, which it must."""
    for count, frames in enumerate(itertools.islice(rounds, at_most + 1)):
        events = peer.send(*frames)
        if events and isinstance(events[-1], Terminated):
            assert events[-1].code == ErrorCode.ENHANCE_YOUR_CALM
            goaway = peer.received()[-1]
            assert isinstance(goaway, GoAwayFrame)
            assert goaway.error_code == ErrorCode.ENHANCE_YOUR_CALM
            assert peer.session.open_streams == 0
            return count
        if read:
            peer.received()
    raise AssertionError(f"the flood was not stopped after {at_most} rounds")


def held(peer: Peer) -> int:
    """Return how many bytes wait for the peer."""
    size = 0
    while piece := peer.session.pull(1 << 20):
        size += len(piece)
    return size


# -- streams that are opened in vain -----------------------------------------------------------------------------------


def cancelled(peer: Peer) -> Iterator[list[Frame]]:
    for stream_id in IDS:
        yield [peer.head(stream_id), RstStreamFrame(stream_id, ErrorCode.CANCEL)]


def malformed(peer: Peer) -> Iterator[list[Frame]]:
    for stream_id in IDS:
        yield [peer.head(stream_id, GET[1:])]


def overflowing_windows(peer: Peer) -> Iterator[list[Frame]]:
    for stream_id in IDS:
        yield [peer.head(stream_id), WindowUpdateFrame(stream_id, 2**31 - 1)]


def data_after_the_end(peer: Peer) -> Iterator[list[Frame]]:
    for stream_id in IDS:
        yield [peer.head(stream_id, end_stream=True), peer.data(stream_id, b"x")]


def head_after_the_end(peer: Peer) -> Iterator[list[Frame]]:
    for stream_id in IDS:
        yield [peer.head(stream_id, end_stream=True), peer.head(stream_id, [(b"x", b"y")], end_stream=True)]


def bodies_too_long(peer: Peer) -> Iterator[list[Frame]]:
    for stream_id in IDS:
        yield [peer.head(stream_id, [*POST, (b"content-length", b"1")]), peer.data(stream_id, b"xx")]


def streams_that_depend_on_themselves(peer: Peer) -> Iterator[list[Frame]]:
    for stream_id in IDS:
        head = peer.head(stream_id)
        head.flags.add("PRIORITY")
        head.depends_on = stream_id
        yield [head]


@pytest.mark.parametrize(
    "flood",
    [
        cancelled,
        malformed,
        overflowing_windows,
        data_after_the_end,
        head_after_the_end,
        bodies_too_long,
        streams_that_depend_on_themselves,
    ],
)
def test_streams_that_come_to_nothing_are_bounded(engine: Engine, flood: Flood) -> None:
    peer = engine.peer(Role.SERVER, CALM)
    assert taken(peer, flood(peer), at_most=2 * BURST) == BURST


def test_resets_are_borne_with_as_long_as_their_rate_is(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER, Limits(resets=Rate(10, 100.0)))
    for second, frames in enumerate(itertools.islice(cancelled(peer), 1000)):
        data = b"".join(frame.serialize() for frame in frames)
        head, reset = peer.session.receive(data, second / 100)
        assert isinstance(head, Head)
        assert isinstance(reset, Reset)
        peer.received()


def test_twenty_thousand_cancels_do_not_cost_a_tunnel(engine: Engine) -> None:
    tunnel = Limits(resets=None)
    pair = engine.pair(client=tunnel, server=tunnel)
    for count in range(20_000):
        stream_id = pair.client.open(POST, end_stream=bool(count % 2))
        if count % 3:
            pair.server.receive(pair.client.pull(65_536))
            pair.server.send_head(stream_id, OK, end_stream=count % 3 == 1)
            pair.server.send_data(stream_id, b"x" * 100, end_stream=True) if count % 3 == 2 else None
        pair.client.reset(stream_id, ErrorCode.CANCEL)
        client_events, server_events = pair.pump()
        assert not any(isinstance(event, Terminated) for event in client_events + server_events)
    assert pair.client.open_streams == pair.server.open_streams == 0


def test_streams_above_the_limit_are_bounded(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER, Limits(overhead=Rate(BURST, 0.0), max_concurrent_streams=1))
    assert taken(peer, ([peer.head(stream_id)] for stream_id in IDS), at_most=2 * BURST) == BURST + 1


# -- frames without use ------------------------------------------------------------------------------------------------


def extension(size: int) -> ExtensionFrame:
    frame = ExtensionFrame(0x42, 0, 0, b"x" * size)
    frame.body_len = size
    return frame


@pytest.mark.parametrize(
    "frame",
    [
        PingFrame(0, b"12345678"),
        PingFrame(0, b"12345678", flags=["ACK"]),
        SettingsFrame(0),
        SettingsFrame(0, flags=["ACK"]),
        SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 0}),
        PriorityFrame(1, depends_on=3),
        WindowUpdateFrame(0, 1),
        GoAwayFrame(0, 2**31 - 1),
        extension(0),
    ],
    ids=lambda frame: f"{type(frame).__name__}{sorted(frame.flags)}",
)
def test_frames_without_use_are_bounded(engine: Engine, role: Role, frame: Frame) -> None:
    peer = engine.peer(role, CALM)
    rounds = taken(peer, itertools.repeat([frame]), at_most=2 * BURST)
    assert BURST - 2 <= rounds <= BURST


def test_large_frames_without_use_are_bounded_by_their_size(engine: Engine, role: Role) -> None:
    peer = engine.peer(role, CALM)
    assert taken(peer, itertools.repeat([extension(2560)]), at_most=BURST) < BURST // 10


def on_a_stream(peer: Peer) -> int:
    """Return a stream on which the peer may send a body."""
    if peer.session.role is Role.SERVER:
        peer.send(peer.head(1))
        return 1
    stream_id = peer.session.open(POST, end_stream=False)
    peer.received()
    peer.send(peer.head(stream_id, OK))
    return stream_id


@pytest.mark.parametrize("padding", [0, 100])
def test_empty_data_is_bounded(engine: Engine, role: Role, padding: int) -> None:
    peer = engine.peer(role, CALM)
    frame = DataFrame(on_a_stream(peer), b"", pad_length=padding)
    if padding:
        frame.flags.add("PADDED")
    assert taken(peer, itertools.repeat([frame]), at_most=2 * BURST) <= BURST + EARNED


@pytest.mark.parametrize("kind", [WindowUpdateFrame, RstStreamFrame, PriorityFrame])
def test_frames_for_a_stream_that_is_gone_are_bounded(engine: Engine, role: Role, kind: type[Frame]) -> None:
    peer = engine.peer(role, CALM)
    stream_id = on_a_stream(peer)
    peer.session.reset(stream_id, ErrorCode.CANCEL)
    frame = kind(stream_id)
    if isinstance(frame, WindowUpdateFrame):
        frame.window_increment = 1
    assert taken(peer, itertools.repeat([frame]), at_most=2 * BURST) <= BURST + EARNED


def test_heads_for_a_stream_that_is_gone_are_bounded(engine: Engine, role: Role) -> None:
    peer = engine.peer(role, CALM)
    stream_id = on_a_stream(peer)
    peer.session.reset(stream_id, ErrorCode.CANCEL)
    assert taken(peer, iter(lambda: [peer.head(stream_id, OK)], None), at_most=2 * BURST) <= BURST + EARNED


def test_data_for_streams_that_have_ended_are_bounded(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER, CALM)
    ended = range(1, 4 * BURST, 2)
    for stream_id in ended:
        peer.send(peer.head(stream_id, end_stream=True))
        peer.session.send_head(stream_id, OK, end_stream=True)
    peer.received()
    assert taken(peer, ([peer.data(stream_id, b"x")] for stream_id in ended), at_most=2 * BURST) == BURST


@pytest.mark.parametrize("size", [1, 1000, 16_384])
@pytest.mark.parametrize("passed", [0, 60_000])
def test_data_for_a_stream_that_was_reset_is_borne_with_as_far_as_its_window_went(
    engine: Engine, role: Role, size: int, passed: int
) -> None:
    peer = engine.peer(role, Limits(stream_window=100_000))
    stream_id = on_a_stream(peer)
    for _ in range(passed // 10_000):
        peer.send(peer.data(stream_id, bytes(10_000)))
    peer.session.reset(stream_id, ErrorCode.CANCEL)
    peer.received()
    late = taken(peer, itertools.repeat([peer.data(stream_id, bytes(size))]), at_most=10_000)
    assert late == (100_000 - passed + LATE_GRACE) // max(size, LATE_UNIT)


def test_each_stream_that_is_reset_may_have_data_on_the_way(engine: Engine, role: Role) -> None:
    peer = engine.peer(role, Limits(stream_window=100_000, resets=None))
    for turn in range(1000):
        if role is Role.SERVER:
            stream_id = 2 * turn + 1
            peer.send(peer.head(stream_id))
        else:
            stream_id = peer.session.open(POST, end_stream=False)
            peer.received()
            peer.send(peer.head(stream_id, OK))
        peer.session.reset(stream_id, ErrorCode.CANCEL)
        for _ in range(6):
            assert peer.send(peer.data(stream_id, bytes(16_384))) == []
        peer.received()


def test_an_honest_reader_pays_nothing_for_its_window_updates(engine: Engine, role: Role) -> None:
    peer = engine.peer(role, CALM)
    stream_id = on_a_stream(peer)
    if role is Role.SERVER:
        peer.session.send_head(stream_id, OK, end_stream=False)
    for _ in range(10 * BURST):
        peer.session.send_data(stream_id, b"x" * 100, end_stream=False)
        size = held(peer)
        assert peer.send(WindowUpdateFrame(stream_id, size), WindowUpdateFrame(0, size)) == []


def test_windows_opened_by_crumbs_are_bounded(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER, CALM, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 0})
    peer.send(peer.head(1, GET, end_stream=True))
    peer.session.send_head(1, OK, end_stream=False)
    peer.session.send_data(1, b"x" * 100_000, end_stream=True)
    assert taken(peer, itertools.repeat([WindowUpdateFrame(1, 1)]), at_most=2 * BURST) <= BURST


def test_requests_pay_for_the_pings_between_them(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER, CALM)
    for stream_id in range(1, 2000, 2):
        pings = [PingFrame(0, b"12345678")] * EARNED
        assert peer.send(peer.head(stream_id, GET, end_stream=True), *pings) == [Head(stream_id, GET, True)]
        peer.session.send_head(stream_id, OK, end_stream=True)
        peer.received()


def test_an_hour_of_keepalive_is_borne_with(engine: Engine, role: Role) -> None:
    peer = engine.peer(role)
    for second in range(3600):
        assert peer.session.receive(PingFrame(0, b"12345678").serialize(), float(second)) == []
        peer.received()
        answer = PingFrame(0, b"12345678", flags=["ACK"]).serialize()
        assert peer.session.receive(answer, float(second)) == [PingAck(b"12345678")]


# -- what waits for a peer that does not read --------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [PingFrame(0, b"12345678"), SettingsFrame(0)])
def test_replies_that_are_not_read_are_bounded(engine: Engine, role: Role, frame: Frame) -> None:
    peer = engine.peer(role, Limits(overhead=None, max_replies=100))
    assert taken(peer, itertools.repeat([frame]), at_most=200, read=False) == 100


def test_replies_that_are_read_are_not(engine: Engine, role: Role) -> None:
    peer = engine.peer(role, Limits(overhead=None, max_replies=100))
    for _ in range(300):
        assert peer.send(PingFrame(0, b"12345678")) == []
        peer.received()


def test_answers_that_are_not_read_stop_more_streams_from_being_taken(engine: Engine) -> None:
    limits = Limits(max_backlog=10_000, overhead=Rate(BURST, 0.0))
    peer = engine.peer(Role.SERVER, limits)

    def answered() -> Iterator[list[Frame]]:
        for stream_id in IDS:
            yield [peer.head(stream_id, GET, end_stream=True)]
            peer.session.send_head(stream_id, [*OK, (b"set-cookie", b"\xe4" * 1000)], end_stream=True)

    assert taken(peer, answered(), at_most=2 * BURST, read=False) <= BURST + 11


def test_a_server_that_does_not_read_gets_no_more_requests(engine: Engine) -> None:
    limits = Limits(max_backlog=10_000)
    peer = engine.peer(Role.CLIENT, limits)
    opened = 0
    while peer.session.free_streams:
        stream_id = peer.session.open([*GET, (b"cookie", b"\xe4" * 1000)], end_stream=True)
        peer.session.reset(stream_id, ErrorCode.CANCEL)
        opened += 1
    assert opened <= 10
    assert held(peer) < 12_000
    assert peer.session.free_streams


# -- heads -------------------------------------------------------------------------------------------------------------


def parts(stream_id: int, piece: bytes) -> Iterator[list[Frame]]:
    """A head that never ends."""
    yield [HeadersFrame(stream_id, piece)]
    yield from itertools.repeat([ContinuationFrame(stream_id, piece)])


@pytest.mark.parametrize(("piece", "most"), [(b"", 32), (b"\x00\x01x\x00" * 4000, 16)])
def test_continuations_are_bounded(engine: Engine, role: Role, piece: bytes, most: int) -> None:
    peer = engine.peer(role)
    stream_id = 1 if role is Role.SERVER else peer.session.open(GET, end_stream=True)
    assert taken(peer, parts(stream_id, piece), at_most=100) <= most + 1


def test_oversized_heads_soon_end_the_connection(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER, CALM)
    bomb = [*GET, *([(b"x-bomb", b"y" * 3000)] * 40)]

    def bombs() -> Iterator[list[Frame]]:
        for stream_id in IDS:
            yield [peer.head(stream_id, bomb)]

    assert taken(peer, bombs(), at_most=BURST) < 3


def test_requests_of_very_many_fields_are_bounded(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER, CALM)
    fields = [*GET, *([(b"x", b"y")] * 300)]
    requests = ([peer.head(stream_id, fields, end_stream=True)] for stream_id in IDS)
    assert taken(peer, requests, at_most=BURST) < 3


def test_informational_heads_are_bounded_stream_by_stream(engine: Engine) -> None:
    peer = engine.peer(Role.CLIENT, Limits(max_informational=3, resets=None))
    noisy, quiet = (peer.session.open(GET, end_stream=True) for _ in range(2))
    interim = [(b":status", b"103")]
    events = peer.send(*(peer.head(noisy, interim) for _ in range(5)))
    assert events == [
        *[Informational(noisy, interim)] * 3,
        Reset(noisy, ErrorCode.ENHANCE_YOUR_CALM, processed=True, local=True),
    ]
    assert peer.send(peer.head(quiet, OK, end_stream=True)) == [Head(quiet, OK, True)]


def test_a_table_that_changes_size_again_and_again_leaves_a_short_head(engine: Engine) -> None:
    peer = engine.peer(Role.CLIENT)
    for size in [0, 4096, 100] * 100:
        peer.send(SettingsFrame(0, settings={SettingsFrame.HEADER_TABLE_SIZE: size}))
    peer.received()
    peer.session.open(GET, end_stream=True)
    head = peer.received()[-1]
    assert head.data.startswith(b"\x20\x3f\x45")
    assert len(head.data) < 100
    assert peer.decoder.decode(head.data, raw=True) == GET


# -- responses nobody reads --------------------------------------------------------------------------------------------


def asked(peer: Peer, *streams: int, size: int = 1000) -> None:
    """Open streams to the server under test, and queue a body on each."""
    for stream_id in streams:
        peer.send(peer.head(stream_id, GET, end_stream=True))
        peer.session.send_head(stream_id, OK, end_stream=False)
        peer.session.send_data(stream_id, b"x" * size, end_stream=True)
    peer.received()


def test_a_stream_whose_window_stays_shut_stalls(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 0})
    asked(peer, 1, 3)
    assert peer.session.stalled(100) == []
    peer.send(WindowUpdateFrame(3, 500))
    peer.received()
    assert peer.session.stalled(100) == [1]
    peer.session.reset(1, ErrorCode.CANCEL)
    peer.send(WindowUpdateFrame(3, 99))
    peer.received()
    assert peer.session.stalled(100) == [3]


def test_all_streams_stall_when_the_connection_does(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER)
    asked(peer, 1, size=65_535)
    asked(peer, 3, 5)
    assert peer.session.stalled(100) == []
    assert peer.session.stalled(100) == [3, 5]


def test_a_socket_that_takes_nothing_stalls_them_too(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER)
    peer.send(peer.head(1, GET, end_stream=True))
    peer.session.send_head(1, OK, end_stream=False)
    peer.session.send_data(1, b"x" * 1000, end_stream=True)
    assert peer.session.stalled(100) == []
    assert peer.session.stalled(100) == [1]


def test_a_stream_that_waits_for_its_turn_does_not_stall(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER)
    for stream_id in (1, 3):
        peer.send(peer.head(stream_id, GET, end_stream=True))
        peer.session.send_head(stream_id, OK, end_stream=False)
        peer.session.send_data(stream_id, b"x" * 20_000, end_stream=True)
    assert peer.session.stalled(100) == []
    peer.session.pull(1)
    peer.session.pull(1)
    assert peer.session.stalled(100) == []


def test_a_stream_with_little_to_say_does_not_stall(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER)
    peer.send(peer.head(1, GET, end_stream=True))
    peer.session.send_head(1, OK, end_stream=False)
    for _ in range(3):
        peer.session.send_data(1, b"tick", end_stream=False)
        assert peer.session.stalled(100) == []
        peer.received()


# -- a crowd before a closed window ------------------------------------------------------------------------------------


def test_streams_that_wait_for_the_connections_window_keep_their_turns(engine: Engine) -> None:
    peer = engine.peer(Role.SERVER)
    asked(peer, 1, size=65_535)
    asked(peer, 3, 5, 7, size=10)
    for stream_id in (3, 5, 7):
        peer.send(WindowUpdateFrame(0, 10))
        assert [frame.stream_id for frame in peer.received()] == [stream_id]
