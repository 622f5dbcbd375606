"""Contract of every engine: it gets on with the `h2` package's own connection, in either role."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from h2s.engine.session import (
    Data,
    Event,
    Fields,
    Goaway,
    Head,
    Informational,
    Limits,
    PingAck,
    Reset,
    Role,
    Session,
    Settings,
    Trailers,
)
from h2s.errors import ErrorCode

if TYPE_CHECKING:
    from .conftest import Engine

POST = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/x?y=z")]
GET = [(b":method", b"GET"), *POST[1:]]
OK = [(b":status", b"200"), (b"server", b"test")]
SIZES = [0, 1, 16_384, 65_535, 65_536, 1_000_000]


class Joined:
    """A session and an h2 connection opposite, and what each has heard of the other."""

    def __init__(self, engine: Engine, role: Role, limits: Limits | None = None) -> None:
        self.session: Session = engine.session(role, limits or Limits(connect_protocol=True))
        config = h2.config.H2Configuration(client_side=role is Role.SERVER, header_encoding=False)
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.events: list[Event] = []
        self.h2_events: list[h2.events.Event] = []
        self.bodies: defaultdict[int, bytes] = defaultdict(bytes)
        self.on_event: Callable[[Event], None] = lambda event: None
        self.pump()

    def pump(self) -> None:
        """Carry bytes until both are silent, reading every body."""
        while True:
            ours, theirs = self.session.pull(65_536), self.h2.data_to_send()
            if not ours and not theirs:
                return
            if ours:
                for event in self.h2.receive_data(ours):
                    self._take_h2(event)
            if theirs:
                for event in self.session.receive(theirs):
                    self._take(event)

    def _take(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Data):
            self.bodies[event.stream_id] += event.data
            self.session.credit(event.stream_id, event.flow)
        self.on_event(event)

    def _take_h2(self, event: h2.events.Event) -> None:
        self.h2_events.append(event)
        if isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def heard(self, kind: type) -> list[Event]:
        """Return what the session heard of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def h2_heard(self, kind: type) -> list[h2.events.Event]:
        """Return what h2 heard of a kind."""
        return [event for event in self.h2_events if isinstance(event, kind)]

    def h2_send(self, stream_id: int, body: bytes) -> None:
        """Send a body from h2 as fast as the windows allow, and leave the stream open."""
        while body:
            size = min(
                self.h2.local_flow_control_window(stream_id), self.h2.max_outbound_frame_size, len(body)
            )
            assert size, "the session gave no window back"
            self.h2.send_data(stream_id, body[:size])
            body = body[size:]
            self.pump()


def fields_of(event: h2.events.Event) -> Fields:
    """Return the fields that h2 read, as plain tuples."""
    return [(bytes(name), bytes(value)) for name, value in event.headers]


@pytest.mark.parametrize("size", SIZES)
def test_an_exchange_with_a_server_of_h2(engine: Engine, size: int) -> None:
    joined = Joined(engine, Role.CLIENT)
    body = bytes(size)
    stream_id = joined.session.open(POST, end_stream=False)
    joined.session.send_data(stream_id, body, end_stream=False)
    joined.session.send_trailers(stream_id, [(b"x-sum", b"1")])
    joined.pump()
    [request] = joined.h2_heard(h2.events.RequestReceived)
    [trailers] = joined.h2_heard(h2.events.TrailersReceived)
    assert fields_of(request) == POST
    assert fields_of(trailers) == [(b"x-sum", b"1")]
    assert joined.bodies.pop(stream_id, b"") == body
    joined.h2.send_headers(stream_id, [(b":status", b"103"), (b"link", b"</a>")])
    joined.h2.send_headers(stream_id, OK)
    joined.h2_send(stream_id, body)
    joined.h2.send_headers(stream_id, [(b"x-sum", b"2")], end_stream=True)
    joined.pump()
    assert joined.bodies[stream_id] == body
    assert joined.heard(Informational) == [
        Informational(stream_id, [(b":status", b"103"), (b"link", b"</a>")])
    ]
    assert joined.heard(Head) == [Head(stream_id, OK, False)]
    assert joined.heard(Trailers) == [Trailers(stream_id, [(b"x-sum", b"2")])]
    assert joined.session.open_streams == joined.h2.open_inbound_streams == 0


@pytest.mark.parametrize("size", SIZES)
def test_an_exchange_with_a_client_of_h2(engine: Engine, size: int) -> None:
    joined = Joined(engine, Role.SERVER)
    body = bytes(size)
    joined.h2.send_headers(1, POST)
    joined.h2_send(1, body)
    joined.h2.send_headers(1, [(b"x-sum", b"1")], end_stream=True)
    joined.pump()
    assert joined.heard(Head) == [Head(1, POST, False)]
    assert joined.heard(Trailers) == [Trailers(1, [(b"x-sum", b"1")])]
    assert joined.bodies.pop(1, b"") == body
    joined.session.send_informational(1, [(b":status", b"103")])
    joined.session.send_head(1, OK, end_stream=False)
    joined.session.send_data(1, body, end_stream=False)
    joined.session.send_trailers(1, [(b"x-sum", b"2")])
    joined.pump()
    assert [fields_of(event) for event in joined.h2_heard(h2.events.InformationalResponseReceived)] == [
        [(b":status", b"103")]
    ]
    assert [fields_of(event) for event in joined.h2_heard(h2.events.ResponseReceived)] == [OK]
    assert [fields_of(event) for event in joined.h2_heard(h2.events.TrailersReceived)] == [[(b"x-sum", b"2")]]
    assert joined.bodies[1] == body
    assert joined.session.open_streams == joined.h2.open_outbound_streams == 0


def test_many_streams_at_once_get_their_own_answers(engine: Engine) -> None:
    joined = Joined(engine, Role.SERVER)

    def answer(event: Event) -> None:
        if isinstance(event, Head):
            joined.session.send_head(event.stream_id, OK, end_stream=False)
            joined.session.send_data(event.stream_id, b"%d" % event.stream_id * 20_000, end_stream=True)

    joined.on_event = answer
    for stream_id in range(1, 200, 2):
        joined.h2.send_headers(stream_id, GET, end_stream=True)
    joined.pump()
    assert joined.bodies == {stream_id: b"%d" % stream_id * 20_000 for stream_id in range(1, 200, 2)}
    assert len(joined.h2_heard(h2.events.StreamEnded)) == 100


def test_resets_are_heard_both_ways(engine: Engine, role: Role) -> None:
    joined = Joined(engine, role)
    streams = []
    for _ in range(2):
        if role is Role.CLIENT:
            streams.append(joined.session.open(POST, end_stream=False))
        else:
            streams.append(joined.h2.get_next_available_stream_id())
            joined.h2.send_headers(streams[-1], POST)
    joined.pump()
    joined.session.reset(streams[0], ErrorCode.CANCEL)
    joined.h2.reset_stream(streams[1], ErrorCode.REFUSED_STREAM)
    joined.pump()
    assert joined.heard(Reset) == [Reset(streams[1], ErrorCode.REFUSED_STREAM, processed=False)]
    [reset] = joined.h2_heard(h2.events.StreamReset)
    assert (reset.stream_id, reset.error_code) == (streams[0], ErrorCode.CANCEL)


def test_pings_are_answered_both_ways(engine: Engine, role: Role) -> None:
    joined = Joined(engine, role)
    joined.session.ping(b"from-us.")
    joined.h2.ping(b"from-h2.")
    joined.pump()
    assert joined.heard(PingAck) == [PingAck(b"from-us.")]
    assert [event.ping_data for event in joined.h2_heard(h2.events.PingAckReceived)] == [b"from-h2."]


def test_settings_are_known_on_both_sides(engine: Engine, role: Role) -> None:
    joined = Joined(engine, role, Limits(max_concurrent_streams=7, stream_window=12_345))
    assert joined.h2.remote_settings.max_concurrent_streams == 7
    assert joined.h2.remote_settings.initial_window_size == 12_345
    assert joined.h2_heard(h2.events.SettingsAcknowledged)
    codes = h2.settings.SettingCodes
    joined.h2.update_settings({codes.HEADER_TABLE_SIZE: 100, codes.MAX_FRAME_SIZE: 20_000})
    joined.pump()
    assert joined.heard(Settings)[-1] == Settings(
        {codes.HEADER_TABLE_SIZE: 100, codes.MAX_FRAME_SIZE: 20_000}
    )
    assert len(joined.h2_heard(h2.events.SettingsAcknowledged)) == 2


def test_goaway_is_heard_both_ways(engine: Engine, role: Role) -> None:
    joined = Joined(engine, role)
    joined.h2.close_connection(error_code=ErrorCode.NO_ERROR, additional_data=b"bye")
    joined.pump()
    assert joined.heard(Goaway) == [Goaway(0, ErrorCode.NO_ERROR, b"bye")]
    other = Joined(engine, role)
    other.session.goaway(ErrorCode.ENHANCE_YOUR_CALM, debug=b"later")
    other.pump()
    [event] = other.h2_heard(h2.events.ConnectionTerminated)
    assert (event.error_code, event.additional_data) == (ErrorCode.ENHANCE_YOUR_CALM, b"later")
