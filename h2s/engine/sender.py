"""The sending half of the portable engine: whose frame is next, and how large it may be.

Everything but DATA and trailers goes to `_control` at once, in the order in which it was compressed; `pull` empties
that first. A stream with something to send waits in a `_Line`, the urgent one or the other. If its turn comes while the
connection's window is used up, it is put aside and has its turn before the others when the window opens. A stream whose
own window is used up is in no line until its window opens.

Windows are given back to the peer in steps of a quarter: when all of a window has been passed on, three quarters of
it are free, so that batching never stops the peer, down to a window of one byte.
"""

from __future__ import annotations

from collections import deque

from h2.settings import SettingCodes
from h2.settings import Settings as PeerSettings
from hpack import Encoder

from ..errors import LocalProtocolError, NoFreeStream
from . import frames
from .conduct import Conduct
from .figures import (
    ASSUMED_PEER_STREAMS,
    CRUMB,
    DEFAULT_WINDOW,
    LATE_GRACE,
    MAX_ID,
    MAX_WINDOW,
    NEVER_INDEXED,
    PREFACE,
    REMEMBERED_RESETS,
    TURN,
)
from .session import Fields, Limits, Octets, Role, Session
from .stream import Stream

__all__ = ["Sender"]


class _Line:
    """Streams that wait for their turn: those that may have it, and those put aside for the connection's window."""

    __slots__ = ("aside", "ready")

    def __init__(self) -> None:
        self.ready: deque[Stream] = deque()
        self.aside: deque[Stream] = deque()

    def next(self, *, window_open: bool) -> Stream | None:
        """Return the next stream that has something it can send now, no longer in line."""
        ready, aside = self.ready, self.aside
        while line := (aside if aside and window_open else ready):
            stream = line.popleft()
            if stream.closed or not stream.sendable:
                stream.scheduled = False
            elif stream.queued and not window_open:
                aside.append(stream)
            else:
                stream.scheduled = False
                return stream
        return None


class Sender(Session):
    """What a session has to send, by stream. Whoever receives the peer's frames opens its windows."""

    def __init__(self, role: Role, limits: Limits) -> None:
        self.role = role
        self.limits = limits
        self._server = role is Role.SERVER
        self._control = bytearray()
        self._encoder = Encoder()
        self._streams: dict[int, Stream] = {}
        self._resets: deque[int] = deque(maxlen=REMEMBERED_RESETS)
        self._late = LATE_GRACE
        """Bytes of DATA that the peer may still send for streams that are gone."""
        self._last_opened = -1
        self._last_seen = 0
        self._last_accepted = MAX_ID
        self._peer = PeerSettings(client=self._server)
        self._peer_settings_seen = False
        self._peer_max_frame = self._peer.max_frame_size
        self._closed_to_new = False
        self._send_window = DEFAULT_WINDOW
        self._window = max(DEFAULT_WINDOW, limits.connection_window)
        self._stream_window = max(DEFAULT_WINDOW, limits.stream_window)
        self._urgent = _Line()
        self._ordinary = _Line()
        self._drained: list[int] = []
        self._conduct = Conduct(limits)
        self._moved = 0
        self._greet()

    def _greet(self) -> None:
        limits = self.limits
        values: dict[int, int] = {
            SettingCodes.MAX_CONCURRENT_STREAMS: limits.max_concurrent_streams,
            SettingCodes.INITIAL_WINDOW_SIZE: limits.stream_window,
            SettingCodes.MAX_FRAME_SIZE: limits.max_frame_size,
            SettingCodes.MAX_HEADER_LIST_SIZE: limits.max_header_list_size,
        }
        if not self._server:
            self._control += PREFACE
            values[SettingCodes.ENABLE_PUSH] = 0
        elif limits.connect_protocol:
            values[SettingCodes.ENABLE_CONNECT_PROTOCOL] = 1
        self._control += frames.settings({**values, **limits.extra_settings})
        if self._window > DEFAULT_WINDOW:
            self._control += frames.window_update(0, self._window - DEFAULT_WINDOW)

    # -- sending ---------------------------------------------------------------------------------------------------

    def pull(self, limit: int) -> bytes:
        """Return what is due, then DATA by turns until `limit` is reached."""
        parts: list[bytes | memoryview] = []
        size = 0
        if self._control:
            parts.append(bytes(self._control))
            size = len(self._control)
            self._control.clear()
            self._conduct.replies_left()
        while size < limit and (stream := self._next_turn()) is not None:
            size += self._turn(stream, parts)
        return b"".join(parts)

    @property
    def has_output(self) -> bool:
        """Whether `pull` may have something to return."""
        lines = self._urgent, self._ordinary
        window_open = self._send_window > 0
        return bool(self._control) or any(line.ready or (line.aside and window_open) for line in lines)

    def _next_turn(self) -> Stream | None:
        window_open = self._send_window > 0
        for line in (self._urgent, self._ordinary):
            if (line.ready or line.aside) and (stream := line.next(window_open=window_open)) is not None:
                return stream
        return None

    def _turn(self, stream: Stream, parts: list[bytes | memoryview]) -> int:
        """Add one frame of the stream to `parts` and return its size."""
        if stream.trailers is not None and not stream.queued:
            block = self._head(stream.stream_id, stream.trailers, end_stream=True)
            parts.append(block)
            self._end_local(stream)
            return len(block)
        size = min(stream.queued, stream.send_window, self._send_window, TURN) if stream.queued else 0
        end = stream.ending and size == stream.queued and stream.trailers is None
        parts.append(frames.data_header(stream.stream_id, size, end_stream=end))
        if size:
            if size >= CRUMB or size == stream.queued:
                self._conduct.useful()
            stream.take(size, parts)
            self._send_window -= size
            self._moved += size
        if stream.above_high and stream.queued <= self.limits.queue_low:
            stream.above_high = False
            self._drained.append(stream.stream_id)
        if end:
            self._end_local(stream)
        else:
            self._schedule(stream)
        return 9 + size

    def _schedule(self, stream: Stream) -> None:
        if not stream.scheduled and stream.sendable:
            stream.scheduled = True
            (self._urgent if stream.urgent else self._ordinary).ready.append(stream)

    def drained(self) -> list[int]:
        """Return the open streams whose queue has become short, once each."""
        if not self._drained:
            return []
        drained, self._drained = self._drained, []
        return [stream_id for stream_id in drained if stream_id in self._streams]

    def stalled(self, least: int) -> list[int]:
        """Return the streams that the peer does not read."""
        connection_stalls = self._moved < least
        self._moved = 0
        return [
            stream.stream_id
            for stream in self._streams.values()
            if stream.stalls(least, connection_stalls=connection_stalls)
        ]

    def open(self, fields: Fields, *, end_stream: bool, urgent: bool = False) -> int:
        """Open a stream with a request head; raises NoFreeStream, LocalProtocolError on a server."""
        if self._server:
            raise LocalProtocolError("a server opens no streams")
        if self.free_streams <= 0:
            raise NoFreeStream("no stream can be opened now")
        self._last_opened += 2
        self._conduct.useful()
        stream = self._new_stream(self._last_opened, urgent=urgent)
        method = next((value for name, value in fields if name == b":method"), b"")
        stream.bodyless = method == b"HEAD"
        stream.connect = method == b"CONNECT"
        self._send_head(stream, fields, end_stream=end_stream)
        return stream.stream_id

    def make_urgent(self, stream_id: int) -> None:
        """Put the stream ahead of others."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.urgent = True

    def send_informational(self, stream_id: int, fields: Fields) -> None:
        """Send a 1xx head."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if stream.head_sent or not self._server:
            raise LocalProtocolError("a 1xx head goes from the server, before the final head")
        self._control += self._head(stream_id, fields, end_stream=False)

    def send_head(self, stream_id: int, fields: Fields, *, end_stream: bool) -> None:
        """Send the final response head."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if stream.head_sent:
            raise LocalProtocolError("a stream has one final head")
        self._send_head(stream, fields, end_stream=end_stream)

    def _send_head(self, stream: Stream, fields: Fields, *, end_stream: bool) -> None:
        self._control += self._head(stream.stream_id, fields, end_stream=end_stream)
        stream.head_sent = True
        if end_stream:
            stream.ending = True
            self._end_local(stream)

    def _head(self, stream_id: int, fields: Fields, *, end_stream: bool) -> bytes:
        # Huffman coding would take hpack twice the time here and again at the peer, for a fifth fewer bytes.
        tagged = [(name, value, name in NEVER_INDEXED) for name, value in fields]
        block = self._encoder.encode(tagged, huffman=False)
        return frames.headers(stream_id, block, end_stream=end_stream, max_frame_size=self._peer_max_frame)

    def send_data(self, stream_id: int, data: Octets, *, end_stream: bool) -> None:
        """Queue a piece of a body."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        self._require_body(stream)
        if data:
            stream.pieces.append(bytes(data))
            stream.queued += len(data)
            if stream.queued > self.limits.queue_high:
                stream.above_high = True
        stream.ending = end_stream
        self._schedule(stream)

    def send_trailers(self, stream_id: int, fields: Fields) -> None:
        """Queue the trailer section; an empty one is only an end."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        self._require_body(stream)
        stream.trailers = fields or None
        stream.ending = True
        self._schedule(stream)

    def _require_body(self, stream: Stream) -> None:
        if not stream.head_sent or stream.ending:
            raise LocalProtocolError("a body comes after the head and before the end")

    def reset(self, stream_id: int, code: int) -> None:
        """End the stream at once."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._reset(stream, code)

    def _reset(self, stream: Stream, code: int) -> None:
        if not stream.remote_ended:
            self._late += max(0, stream.receive_window)
        self._drop(stream)
        self._refuse(stream.stream_id, code)

    def _refuse(self, stream_id: int, code: int) -> None:
        self._control += frames.rst_stream(stream_id, code)
        if self._server:
            self._resets.append(stream_id)

    def credit(self, stream_id: int, size: int) -> None:
        """Give back `size` bytes of the stream's window, in steps of a quarter."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.remote_ended:
            return
        stream.owed += size
        if stream.owed * 4 >= stream.window and stream.owed:
            self._enlarge(stream, stream.owed)
            stream.owed = 0

    def widen(self, stream_id: int, size: int) -> None:
        """Enlarge the stream's window, up to 2**31-1."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.remote_ended:
            return
        size = min(size, MAX_WINDOW - stream.window)
        if size > 0:
            stream.window += size
            self._enlarge(stream, size)

    def _enlarge(self, stream: Stream, size: int) -> None:
        stream.receive_window += size
        self._control += frames.window_update(stream.stream_id, size)

    def queued(self, stream_id: int) -> int:
        """Return how many bytes of body wait in the stream's queue."""
        stream = self._streams.get(stream_id)
        return 0 if stream is None else stream.queued

    def ping(self, payload: bytes) -> None:
        """Send a PING."""
        if len(payload) != 8:
            raise LocalProtocolError("a PING holds 8 bytes")
        self._control += frames.ping(payload, ack=False)

    def goaway(self, code: int, *, last_stream_id: int | None = None, debug: bytes = b"") -> None:
        """Send GOAWAY; the streams it names go on."""
        last = self._last_seen if last_stream_id is None else last_stream_id
        self._last_accepted = min(last, self._last_accepted)
        self._control += frames.goaway(self._last_accepted, code, debug)
        if self._server:
            for stream in [s for s in self._streams.values() if s.stream_id > self._last_accepted]:
                self._drop(stream)

    @property
    def open_streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    @property
    def free_streams(self) -> int:
        """How many streams may be opened now."""
        if self._server or self._closed_to_new or self._backlogged:
            return 0
        limit = self._peer.max_concurrent_streams if self._peer_settings_seen else ASSUMED_PEER_STREAMS
        return max(0, min(limit - len(self._streams), (MAX_ID - self._last_opened) // 2))

    @property
    def peer_connect_protocol(self) -> bool:
        """Whether the peer takes extended CONNECT."""
        return self._peer.enable_connect_protocol == 1

    # -- shared with the receiving half ----------------------------------------------------------------------------

    def _new_stream(self, stream_id: int, *, urgent: bool = False) -> Stream:
        stream = Stream(
            stream_id,
            send_window=self._peer.initial_window_size,
            receive_window=self._stream_window,
            window=self.limits.stream_window,
            urgent=urgent,
        )
        self._streams[stream_id] = stream
        return stream

    def _end_local(self, stream: Stream) -> None:
        stream.local_ended = True
        if stream.remote_ended:
            self._drop(stream)

    def _drop(self, stream: Stream) -> None:
        """Let go of a stream that is over."""
        del self._streams[stream.stream_id]
        stream.drop_queue()

    @property
    def _backlogged(self) -> bool:
        """So much waits for the peer to read that it gets no more streams."""
        return len(self._control) > self.limits.max_backlog

    def _resize_encoder(self, size: int) -> None:
        """Take another size of the compression table; of several, the next head names the least and the last."""
        encoder = self._encoder
        if size != encoder.header_table_size:
            encoder.header_table_size = size
            changes = encoder.table_size_changes
            if len(changes) > 2:
                encoder.table_size_changes = [min(changes), changes[-1]]
