"""The engine that runs everywhere: HTTP/2 on the solid parts of the `h2` package.

From h2 and its two libraries come the reading of frames (`InboundBuffer`, hyperframe), SETTINGS and their rules
(`h2.settings`), and header compression (hpack). The state of connection and streams is kept here and in `sender`,
because h2's own does what a tunnel cannot live with: GOAWAY in either direction kills the streams in flight, and a
body that contradicts its content-length, a malformed head or one stream too many kills the connection.

Errors. What is wrong with one stream ends that stream: RST_STREAM for the peer, `Reset(local=True)` for the caller.
What leaves the two ends with different ideas of the connection (framing, compression, ids, its window) ends the
connection: GOAWAY, then `Terminated`.

Late frames. After this side has reset a stream, frames that crossed the reset on the wire still arrive. A client has
opened every stream itself, so it ignores whatever comes for one that is gone. A server must tell a late frame from a
second use of an old id, and remembers the last `REMEMBERED_RESETS` streams it has reset. Late DATA count towards the
connection's window like any other.

What is of no use, makes this side write or resets streams is counted (`conduct`), which may end the connection too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hpack import Decoder, HPACKError, OversizedHeaderListError
from hyperframe.exceptions import HyperframeError
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
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

from ..errors import ErrorCode, RemoteProtocolError
from ..fields import content_length, request_error, response_error, trailer_error
from . import frames
from .figures import (
    ENCODER_TABLE,
    HARD_HEAD_FACTOR,
    LATE_UNIT,
    MANY_FIELDS,
    MAX_ID,
    MAX_WINDOW,
    OVERSIZE_UNIT,
)
from .sender import Sender
from .session import (
    Data,
    Event,
    Fields,
    Goaway,
    Head,
    Informational,
    Limits,
    Octets,
    PingAck,
    Reset,
    Role,
    Settings,
    Terminated,
    Trailers,
)
from .stream import Stream

__all__ = ["PortableSession"]

KNOWN_SETTINGS = frozenset(SettingCodes)


class PortableSession(Sender):
    """One end of an HTTP/2 connection on h2's parts. See `Session` for the contract."""

    def __init__(self, role: Role, limits: Limits) -> None:
        super().__init__(role, limits)
        hard_limit = limits.max_header_list_size * HARD_HEAD_FACTOR
        self._buffer = frames.InboundBuffer(
            server=self._server,
            max_frame_size=limits.max_frame_size,
            max_continuations=limits.max_continuations,
            max_head=hard_limit,
        )
        self._decoder = Decoder(hard_limit)
        self._receive_window = self._window
        self._owed = 0
        self._settings_acked = False
        self._terminated = False

    def receive(self, data: Octets, now: float = 0.0) -> list[Event]:
        """Take bytes from the peer and return what they mean."""
        events: list[Event] = []
        if self._terminated:
            return events
        self._conduct.now = now
        try:
            self._buffer.add_data(data)
            for frame in self._buffer:
                HANDLERS.get(type(frame), PortableSession._on_other)(self, frame, events)
        except RemoteProtocolError as error:
            self._terminate(error.code, str(error), events)
        except ProtocolError as error:
            self._terminate(error.error_code, str(error), events)
        except HyperframeError as error:
            self._terminate(ErrorCode.PROTOCOL_ERROR, str(error), events)
        return events

    def _terminate(self, code: int, reason: str, events: list[Event]) -> None:
        self._terminated = self._closed_to_new = True
        for stream in self._streams.values():
            stream.drop_queue()
        self._streams.clear()
        self._control += frames.goaway(min(self._last_seen, self._last_accepted), code, b"")
        events.append(Terminated(int(code), reason))

    def _on_headers(self, frame: HeadersFrame, events: list[Event]) -> None:
        fields = self._decode(frame.data)
        size = sum(len(name) + len(value) + 32 for name, value in fields)
        stream = self._streams.get(frame.stream_id)
        if stream is None:
            if not self._admits(frame.stream_id):
                return self._conduct.overhead(len(frame.data))
            if len(fields) <= MANY_FIELDS:
                self._conduct.useful()
            else:
                self._conduct.overhead(size)
            stream = self._new_stream(frame.stream_id)
        end_stream = "END_STREAM" in frame.flags
        if size > self.limits.max_header_list_size:
            self._fail(stream, ErrorCode.ENHANCE_YOUR_CALM, events, cost=1 + size // OVERSIZE_UNIT)
        elif frame.depends_on == stream.stream_id:
            self._fail(stream, ErrorCode.PROTOCOL_ERROR, events)
        elif stream.remote_ended:
            self._fail(stream, ErrorCode.STREAM_CLOSED, events)
        elif stream.head_received:
            self._on_trailers(stream, fields, end_stream, events)
        elif self._server:
            self._on_request(stream, fields, end_stream, events)
        else:
            self._on_response(stream, fields, end_stream, events)
        return None

    def _decode(self, block: bytes) -> Fields:
        """Decompress a head: every one that comes, wanted or not, since the next depends on it."""
        try:
            return cast(Fields, self._decoder.decode(block, raw=True))
        except OversizedHeaderListError as error:
            raise RemoteProtocolError("a head is far too large", ErrorCode.ENHANCE_YOUR_CALM) from error
        except HPACKError as error:
            raise RemoteProtocolError("a head does not decompress", ErrorCode.COMPRESSION_ERROR) from error

    def _admits(self, stream_id: int) -> bool:
        """Say whether a head on a stream that is not open opens it."""
        if not self._server:
            self._require_used(stream_id)
            return False
        if stream_id > self._last_accepted:
            return False
        if stream_id % 2 == 0 or stream_id <= self._last_seen:
            if stream_id in self._resets:
                return False
            raise RemoteProtocolError("a head on a stream that cannot be opened")
        self._last_seen = stream_id
        if len(self._streams) < self.limits.max_concurrent_streams and not self._backlogged:
            return True
        self._refuse(stream_id, ErrorCode.REFUSED_STREAM)
        self._conduct.reply()
        return False

    def _require_used(self, stream_id: int) -> None:
        """Raise if the stream has never been opened."""
        highest = self._last_seen if self._server else self._last_opened
        if stream_id % 2 == 0 or stream_id > highest:
            raise RemoteProtocolError("a frame on a stream that was never opened")

    def _on_request(self, stream: Stream, fields: Fields, end_stream: bool, events: list[Event]) -> None:
        stream.head_received = True
        if request_error(fields) is not None:
            return self._fail(stream, ErrorCode.PROTOCOL_ERROR, events)
        names = [name for name, _ in fields]
        if b":protocol" in names and not self.limits.connect_protocol:
            return self._fail(stream, ErrorCode.PROTOCOL_ERROR, events)
        if b"content-length" in names and (b":method", b"CONNECT") not in fields:
            stream.remaining = content_length(fields)
        return self._on_final_head(stream, fields, end_stream, events)

    def _on_response(self, stream: Stream, fields: Fields, end_stream: bool, events: list[Event]) -> None:
        if response_error(fields) is not None:
            return self._fail(stream, ErrorCode.PROTOCOL_ERROR, events)
        status = fields[0][1]
        if status[:1] == b"1":
            if end_stream:
                return self._fail(stream, ErrorCode.PROTOCOL_ERROR, events)
            stream.informational += 1
            if stream.informational > self.limits.max_informational:
                return self._fail(stream, ErrorCode.ENHANCE_YOUR_CALM, events)
            events.append(Informational(stream.stream_id, fields))
            return None
        stream.head_received = True
        if stream.bodyless or status in (b"204", b"304"):
            stream.remaining = 0
        elif not (stream.connect and status[:1] == b"2"):
            stream.remaining = content_length(fields)
        return self._on_final_head(stream, fields, end_stream, events)

    def _on_final_head(self, stream: Stream, fields: Fields, end_stream: bool, events: list[Event]) -> None:
        if not stream.count(0, end_stream=end_stream):
            return self._fail(stream, ErrorCode.PROTOCOL_ERROR, events)
        events.append(Head(stream.stream_id, fields, end_stream))
        if end_stream:
            self._end_remote(stream)
        return None

    def _on_trailers(self, stream: Stream, fields: Fields, end_stream: bool, events: list[Event]) -> None:
        if not end_stream or trailer_error(fields) is not None or not stream.count(0, end_stream=True):
            return self._fail(stream, ErrorCode.PROTOCOL_ERROR, events)
        events.append(Trailers(stream.stream_id, fields))
        self._end_remote(stream)
        return None

    def _on_data(self, frame: DataFrame, events: list[Event]) -> None:
        flow = frame.flow_controlled_length
        self._take_connection_window(flow)
        stream_id = frame.stream_id
        stream = self._streams.get(stream_id)
        data = frame.data
        end_stream = "END_STREAM" in frame.flags
        if not data and not end_stream:
            self._conduct.overhead(flow)
        if stream is None:
            return self._on_late_data(stream_id, flow)
        if stream.remote_ended:
            return self._fail(stream, ErrorCode.STREAM_CLOSED, events)
        stream.receive_window -= flow
        if stream.receive_window < 0 and flow:
            return self._fail(stream, ErrorCode.FLOW_CONTROL_ERROR, events)
        if not stream.head_received or not stream.count(len(data), end_stream=end_stream):
            return self._fail(stream, ErrorCode.PROTOCOL_ERROR, events)
        if flow or end_stream:
            events.append(Data(stream_id, data, flow, end_stream))
        if end_stream:
            self._end_remote(stream)
        return None

    def _take_connection_window(self, flow: int) -> None:
        """Count DATA against the connection's window, and give it back in steps of a quarter."""
        if flow > self._receive_window:
            raise RemoteProtocolError("more DATA than the connection's window", ErrorCode.FLOW_CONTROL_ERROR)
        self._receive_window -= flow
        self._owed += flow
        if self._owed * 4 >= self._window:
            self._control += frames.window_update(0, self._owed)
            self._receive_window += self._owed
            self._owed = 0

    def _on_late_data(self, stream_id: int, flow: int) -> None:
        if stream_id > self._last_accepted and self._server:
            return
        self._require_used(stream_id)
        if self._server and stream_id not in self._resets:
            self._refuse(stream_id, ErrorCode.STREAM_CLOSED)
            self._conduct.reply()
            self._conduct.overhead()
            return
        self._late -= max(flow, LATE_UNIT)
        if self._late < 0:
            raise RemoteProtocolError("too much DATA for streams that are gone", ErrorCode.ENHANCE_YOUR_CALM)

    def _on_rst_stream(self, frame: RstStreamFrame, events: list[Event]) -> None:
        stream = self._streams.get(frame.stream_id)
        if stream is not None:
            self._drop(stream)
            code = frame.error_code
            events.append(Reset(stream.stream_id, code, processed=code != ErrorCode.REFUSED_STREAM))
            self._conduct.reset()
            return
        self._conduct.overhead()
        if not (self._server and frame.stream_id > self._last_accepted):
            self._require_used(frame.stream_id)

    def _on_window_update(self, frame: WindowUpdateFrame, events: list[Event]) -> None:
        self._conduct.overhead()
        increment = frame.window_increment
        stream_id = frame.stream_id
        if not stream_id:
            if self._send_window + increment > MAX_WINDOW:
                raise RemoteProtocolError("the connection's window overflows", ErrorCode.FLOW_CONTROL_ERROR)
            self._send_window += increment
        elif (stream := self._streams.get(stream_id)) is not None:
            if stream.send_window + increment > MAX_WINDOW:
                return self._fail(stream, ErrorCode.FLOW_CONTROL_ERROR, events)
            stream.send_window += increment
            self._schedule(stream)
        elif not (self._server and stream_id > self._last_accepted):
            self._require_used(stream_id)
        return None

    def _on_settings(self, frame: SettingsFrame, events: list[Event]) -> None:
        self._conduct.overhead(frame.body_len)
        if "ACK" in frame.flags:
            return self._on_settings_ack()
        values = dict(frame.settings)
        peer = self._peer
        for code, value in values.items():
            peer.validate_received_setting(code, value)
        old_window = peer.initial_window_size
        peer.update({code: value for code, value in values.items() if code in KNOWN_SETTINGS})
        peer.acknowledge()
        self._peer_settings_seen = True
        self._peer_max_frame = peer.max_frame_size
        self._resize_encoder(min(peer.header_table_size, ENCODER_TABLE))
        self._control += frames.SETTINGS_ACK
        self._conduct.reply()
        if peer.initial_window_size != old_window:
            self._shift_send_windows(peer.initial_window_size - old_window)
        events.append(Settings(values))
        return None

    def _shift_send_windows(self, delta: int) -> None:
        """Apply a change of the peer's SETTINGS_INITIAL_WINDOW_SIZE to the open streams (RFC 9113 §6.9.2)."""
        for stream in self._streams.values():
            stream.send_window += delta
            if stream.send_window > MAX_WINDOW:
                raise RemoteProtocolError("a stream's window overflows", ErrorCode.FLOW_CONTROL_ERROR)
            self._schedule(stream)

    def _on_settings_ack(self) -> None:
        """The peer knows our windows now: a smaller one than the default is binding from here on."""
        if not self._settings_acked:
            self._settings_acked = True
            delta = self.limits.stream_window - self._stream_window
            self._stream_window += delta
            for stream in self._streams.values():
                stream.receive_window += delta

    def _on_ping(self, frame: PingFrame, events: list[Event]) -> None:
        self._conduct.overhead()
        if "ACK" in frame.flags:
            events.append(PingAck(frame.opaque_data))
        else:
            self._control += frames.ping(frame.opaque_data, ack=True)
            self._conduct.reply()

    def _on_goaway(self, frame: GoAwayFrame, events: list[Event]) -> None:
        self._conduct.overhead(frame.body_len)
        last = frame.last_stream_id & MAX_ID
        self._closed_to_new = True
        events.append(Goaway(last, frame.error_code, frame.additional_data))
        if self._server:
            return
        for stream in [stream for stream in self._streams.values() if stream.stream_id > last]:
            self._drop(stream)
            events.append(Reset(stream.stream_id, ErrorCode.REFUSED_STREAM, processed=False))

    def _on_forbidden(self, frame: Frame, events: list[Event]) -> None:
        """PUSH_PROMISE, which we have disabled, or a CONTINUATION that continues nothing."""
        raise RemoteProtocolError(f"an unexpected {type(frame).__name__}")

    def _on_priority(self, frame: PriorityFrame, events: list[Event]) -> None:
        self._conduct.overhead()
        if frame.depends_on == frame.stream_id:
            raise RemoteProtocolError("a stream depends on itself")

    def _on_other(self, frame: Frame, events: list[Event]) -> None:
        """A frame that means nothing to us (RFC 9113 §5.5)."""
        self._conduct.overhead(frame.body_len)

    def _fail(self, stream: Stream, code: int, events: list[Event], *, cost: int = 1) -> None:
        """End a stream because of what the peer sent on it."""
        self._reset(stream, code)
        events.append(Reset(stream.stream_id, code, processed=True, local=True))
        self._conduct.reply()
        self._conduct.reset(cost)

    def _end_remote(self, stream: Stream) -> None:
        stream.remote_ended = True
        if stream.local_ended:
            self._drop(stream)


HANDLERS: dict[type[Frame], Callable[[PortableSession, Any, list[Event]], None]] = {
    HeadersFrame: PortableSession._on_headers,
    DataFrame: PortableSession._on_data,
    RstStreamFrame: PortableSession._on_rst_stream,
    WindowUpdateFrame: PortableSession._on_window_update,
    SettingsFrame: PortableSession._on_settings,
    PingFrame: PortableSession._on_ping,
    GoAwayFrame: PortableSession._on_goaway,
    PriorityFrame: PortableSession._on_priority,
    PushPromiseFrame: PortableSession._on_forbidden,
    ContinuationFrame: PortableSession._on_forbidden,
}
"""What to do with a frame; ALTSVC and unknown ones are `_on_other`."""
