"""The asyncio driver of an HTTP/2 session: bytes in, events to their streams, bytes out.

One `Connection` stands between one transport and one `Session`. It is used on both sides of a tunnel and for public
HTTP/2 clients. It adds no decisions, only these mechanics:

* Each event goes to the `Stream` registered for its id; a head of an unknown id is a new request and goes to the
  `Owner`, which answers with the stream that will take the rest.
* Whatever is sent is written once per turn of the event loop (`_flush`), in pieces of `WRITE_SIZE`, and only while the
  transport takes it: behind a slow socket the frames stay unmade in the session, where urgent streams overtake.
* Any byte from the peer is life; `Liveness` says when to PING and when to give up.
* When the connection ends, each stream still registered hears `on_reset` exactly once, and then the owner `on_closed`.
* A stream that fails in a callback, which is a bug, is reset and hears `on_reset`; the other streams go on. Without a
  stream to blame the connection is aborted, so that it cannot stand half dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from .ahead import Ahead
from .engine.session import (
    Data,
    Event,
    Fields,
    Goaway,
    Head,
    Informational,
    Octets,
    PingAck,
    Reset,
    Session,
    Settings,
    Terminated,
    Trailers,
)
from .errors import ConnectionLost, ErrorCode, H2SError, NoFreeStream, RemoteProtocolError
from .gather import gather_data
from .liveness import Liveness, Verdict
from .reading import PieceProtocol

__all__ = ["Connection", "Owner", "Stream"]

WRITE_SIZE = 64 * 1024
"""Bytes handed to the transport at a time."""
MOMENT = 0.05
"""Seconds to which the times of `Liveness` are rounded up, so that many connections wake the process together."""
CLOSE_TIMEOUT = 5.0
"""Seconds that a closing transport has to write what is left."""


class Stream(Protocol):
    """Takes what happens on one stream. Calls come in wire order; after `on_reset` none follows."""

    def on_informational(self, fields: Fields) -> None:
        """A 1xx head came (client side)."""

    def on_head(self, fields: Fields, end_stream: bool) -> None:
        """The response's head came (client side; a request's head goes to `Owner.on_stream`)."""

    def on_data(self, data: bytes, flow: int, end_stream: bool) -> None:
        """A piece of the body came; the stream's window is owed `flow` bytes (`Connection.credit`)."""

    def on_trailers(self, fields: Fields) -> None:
        """The trailer section came, and with it the end."""

    def on_reset(self, code: int, processed: bool) -> None:
        """The stream is over before its time; `processed` False: the peer has surely not acted on it."""

    def on_drained(self) -> None:
        """The queue of this stream is low again: a paused source can go on."""


class Owner(Protocol):
    """Takes what happens on a connection as a whole."""

    def on_stream(
        self, connection: Connection, stream_id: int, fields: Fields, end_stream: bool
    ) -> Stream | None:
        """A request came in. Return who takes the rest of it; None if it is answered or reset already."""

    def on_settings(self, connection: Connection, values: dict[int, int]) -> None:
        """The peer's SETTINGS came."""

    def on_goaway(self, connection: Connection, event: Goaway) -> None:
        """The peer will take no more streams."""

    def on_closed(self, connection: Connection, error: Exception | None) -> None:
        """The connection is gone; `error` is None when this side closed it."""


class Connection(PieceProtocol):
    """One HTTP/2 connection. Made with a session, then given to a transport as its protocol."""

    def __init__(
        self, session: Session, owner: Owner, *, liveness: Liveness | None = None, brief: bool = False
    ) -> None:
        """`brief`: little is written ahead of the socket, so that urgent streams wait little (`h2s.ahead`)."""
        self.session = session
        self.owner = owner
        self.streams: dict[int, Stream] = {}
        self.transport: asyncio.Transport | None = None
        self.closed = False
        self._loop = asyncio.get_running_loop()
        self._liveness = liveness
        self._liveness_timer: asyncio.TimerHandle | None = None
        self._last_heard = 0.0
        self._flush_scheduled = False
        self._writable = True
        self._brief = brief
        self._ahead: Ahead | None = None
        self._closing = False
        self._close_timer: asyncio.TimerHandle | None = None
        self._leaving: tuple[int, bytes] | None = None
        self._error: Exception | None = None
        self._ending: dict[int, int] = {}

    # -- transport callbacks --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start on a transport: the first SETTINGS go out."""
        self.transport = cast(asyncio.Transport, transport)
        if self._brief:
            self._ahead = Ahead.of(self.transport, self.flush_soon)
        self._last_heard = self._loop.time()
        if self._liveness is not None:
            self._liveness.heard(self._last_heard)
            self._arm()
        self.flush_soon()

    def buffer_updated(self, nbytes: int) -> None:
        """Take the bytes where they lie: no event refers to them."""
        self.data_received(self.get_buffer(nbytes)[:nbytes])

    def data_received(self, data: Octets) -> None:
        """Feed the session and hand each event on."""
        self._last_heard = self._loop.time()
        if self._closing:
            return
        for event in gather_data(self.session.receive(data, self._last_heard)):
            try:
                self._dispatch(event)
            except Exception as error:
                self._on_bug(error, getattr(event, "stream_id", None))
        if self.session.has_output or self._leaving is not None or self._ending:
            self.flush_soon()

    def eof_received(self) -> bool:
        """Treat the peer's end of the connection as its end for both."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """End every stream, then tell the owner."""
        if self.closed:
            return
        self.closed = True
        for timer in (self._liveness_timer, self._close_timer):
            if timer is not None:
                timer.cancel()
        error: Exception | None = self._error or exc
        if error is None and not self._closing:
            error = ConnectionLost("the peer closed the connection")
        if self._ahead is not None:
            self._ahead.close()
        # It refers back here: left to the garbage collector, its buffers would live on for minutes.
        self.transport = None
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            self._end(stream, ErrorCode.CANCEL)
        self.owner.on_closed(self, error)

    def pause_writing(self) -> None:
        """Stop making frames: the transport's buffer is full."""
        self._writable = False

    def resume_writing(self) -> None:
        """Go on making frames."""
        self._writable = True
        self.flush_soon()

    # -- what the owner and the streams use ------------------------------------------------------------------------

    @property
    def free_streams(self) -> int:
        """How many streams may be opened now; 0 once the connection is on its way to its end."""
        return 0 if self._closing or self.closed else self.session.free_streams

    def open(self, fields: Fields, stream: Stream, *, end_stream: bool, urgent: bool = False) -> int:
        """Open a stream towards the peer (client role) and return its id. Raises NoFreeStream."""
        if self._closing or self.closed:
            raise NoFreeStream("the connection is closing")
        stream_id = self.session.open(fields, end_stream=end_stream, urgent=urgent)
        self.streams[stream_id] = stream
        self.flush_soon()
        return stream_id

    def send_informational(self, stream_id: int, fields: Fields) -> None:
        """Send a 1xx head."""
        self.session.send_informational(stream_id, fields)
        self.flush_soon()

    def send_head(self, stream_id: int, fields: Fields, *, end_stream: bool) -> None:
        """Send the response's head."""
        self.session.send_head(stream_id, fields, end_stream=end_stream)
        self.flush_soon()

    def send_data(self, stream_id: int, data: bytes, *, end_stream: bool) -> bool:
        """Queue a piece of a body. False: pause the source until `Stream.on_drained`."""
        session = self.session
        session.send_data(stream_id, data, end_stream=end_stream)
        self.flush_soon()
        high = session.limits.queue_high
        if session.queued(stream_id) <= high:
            return True
        # More than waits for the end of the turn: what the transport takes at once is no reason to pause the source.
        self._write()
        return session.queued(stream_id) <= high

    def send_trailers(self, stream_id: int, fields: Fields) -> None:
        """Queue the trailer section; it ends this side."""
        self.session.send_trailers(stream_id, fields)
        self.flush_soon()

    def credit(self, stream_id: int, size: int) -> None:
        """Give back `size` bytes of the stream's window: they have been passed on."""
        self.session.credit(stream_id, size)
        self.flush_soon()

    def reset(self, stream_id: int, code: int) -> None:
        """End a stream now; its `Stream` hears nothing more."""
        self.streams.pop(stream_id, None)
        self.session.reset(stream_id, code)
        self.flush_soon()

    def reset_when_sent(self, stream_id: int, code: int) -> None:
        """End a stream once all that was queued for it is sent; its `Stream` hears nothing more (RFC 9113 §8.1)."""
        self.streams.pop(stream_id, None)
        self._ending[stream_id] = code
        self.flush_soon()

    def time(self) -> float:
        """Return the time of the loop's clock in seconds, for streams that know no loop."""
        return self._loop.time()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Have `callback` called after this time; whoever asks for it cancels it when the stream has ended."""
        return self._loop.call_later(seconds, callback)

    def forget(self, stream_id: int) -> None:
        """Stop routing events of a stream that has ended on both sides."""
        self.streams.pop(stream_id, None)

    def close(self, code: int = ErrorCode.NO_ERROR, debug: bytes = b"") -> None:
        """Send GOAWAY and what is queued as far as the transport takes it, then close. Streams hear `on_reset`."""
        if self._closing or self.closed:
            return
        self.session.goaway(code, debug=debug)
        self._finish()

    def close_when_sent(self, code: int = ErrorCode.NO_ERROR, debug: bytes = b"") -> None:
        """Close as soon as all is sent that was queued for streams which nobody listens to any more.

        Streams that still have a `Stream`, such as a control call, are not waited for. The caller bounds the time.
        """
        self._leaving = code, debug
        self.flush_soon()

    def fail(self, error: H2SError) -> None:
        """Close because of `error`, which `Owner.on_closed` is told."""
        if self._error is None:
            self._error = error
        if isinstance(error, RemoteProtocolError):
            self.close(error.code, str(error).encode("utf-8", "replace")[:128])
        else:
            self.abort()

    def abort(self) -> None:
        """Close at once, dropping what was not written."""
        self._closing = True
        if self.transport is not None:
            self.transport.abort()

    def flush_soon(self) -> None:
        """Write what is due at the end of this turn of the loop."""
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _dispatch(self, event: Event) -> None:
        kind = type(event)
        if kind is Data:
            data = cast(Data, event)
            stream = self.streams.get(data.stream_id)
            if stream is not None:
                stream.on_data(data.data, data.flow, data.end_stream)
        elif kind is Head:
            head = cast(Head, event)
            stream = self.streams.get(head.stream_id)
            if stream is not None:
                stream.on_head(head.fields, head.end_stream)
            else:
                new = self.owner.on_stream(self, head.stream_id, head.fields, head.end_stream)
                if new is not None:
                    self.streams[head.stream_id] = new
        elif kind is Reset:
            reset = cast(Reset, event)
            stream = self.streams.pop(reset.stream_id, None)
            if stream is not None:
                stream.on_reset(reset.code, reset.processed)
        elif kind is Trailers:
            trailers = cast(Trailers, event)
            stream = self.streams.get(trailers.stream_id)
            if stream is not None:
                stream.on_trailers(trailers.fields)
        elif kind is Informational:
            informational = cast(Informational, event)
            stream = self.streams.get(informational.stream_id)
            if stream is not None:
                stream.on_informational(informational.fields)
        elif kind is PingAck:
            if self._liveness is not None:
                self._liveness.acked(cast(PingAck, event).payload, self._loop.time())
        elif kind is Settings:
            self.owner.on_settings(self, cast(Settings, event).values)
        elif kind is Goaway:
            self.owner.on_goaway(self, cast(Goaway, event))
        else:
            terminated = cast(Terminated, event)
            if self._error is None:
                self._error = RemoteProtocolError(terminated.reason, terminated.code)
            self._finish()

    def _flush(self) -> None:
        self._flush_scheduled = False
        if self.transport is None or self._closing or self.closed:
            return
        try:
            self._write_due()
        except Exception as error:
            self._on_bug(error, None)

    def _write(self) -> None:
        """Write what there is, as far as the transport takes it."""
        transport = self.transport
        if transport is None or self._closing or self.closed:
            return
        ahead = self._ahead
        size = WRITE_SIZE if ahead is None else ahead.piece
        while self._writable and (ahead is None or not ahead.full()):
            data = self.session.pull(size)
            if not data:
                break
            transport.write(data)
            if ahead is not None:
                ahead.wrote(len(data))

    def _write_due(self) -> None:
        session = self.session
        self._write()
        writable = self._writable and (self._ahead is None or not self._ahead.waiting)
        if self._ending and writable:
            self._reset_sent()
        for stream_id in session.drained():
            stream = self.streams.get(stream_id)
            if stream is not None:
                stream.on_drained()
        if self._leaving is not None and writable and session.open_streams <= len(self.streams):
            self.close(*self._leaving)

    def _on_bug(self, error: Exception, stream_id: int | None) -> None:
        """Contain an error in our own code: it costs the stream, or without one the connection."""
        self._report(error)
        if stream_id is None:
            if self._error is None:
                self._error = error
            self.abort()
            return
        stream = self.streams.pop(stream_id, None)
        self.session.reset(stream_id, ErrorCode.INTERNAL_ERROR)
        if stream is not None:
            self._end(stream, ErrorCode.INTERNAL_ERROR)

    def _end(self, stream: Stream, code: int) -> None:
        try:
            stream.on_reset(code, True)
        except Exception as error:
            self._report(error)

    def _report(self, error: Exception) -> None:
        context = {"message": "a callback of a connection failed", "exception": error, "protocol": self}
        self._loop.call_exception_handler(context)

    def _reset_sent(self) -> None:
        """Reset what `reset_when_sent` named, where nothing is queued and `pull` had nothing more to give."""
        sent = [stream_id for stream_id in self._ending if not self.session.queued(stream_id)]
        for stream_id in sent:
            self.session.reset(stream_id, self._ending.pop(stream_id))
        if sent:
            self.flush_soon()

    def _finish(self) -> None:
        """Write what is left as far as it goes without waiting for windows, and close."""
        self._closing = True
        transport = self.transport
        if transport is None:
            return
        while data := self.session.pull(WRITE_SIZE):
            if transport.get_write_buffer_size() > 16 * WRITE_SIZE:
                break
            transport.write(data)
        transport.close()
        self._close_timer = self._loop.call_later(CLOSE_TIMEOUT, self.abort)

    def _arm(self) -> None:
        assert self._liveness is not None
        moment = (int(self._liveness.deadline / MOMENT) + 1) * MOMENT
        self._liveness_timer = self._loop.call_at(moment, self._on_deadline)

    def _on_deadline(self) -> None:
        assert self._liveness is not None
        if self._closing:
            self.abort()
            return
        now = self._loop.time()
        self._liveness.heard(self._last_heard)
        verdict = self._liveness.check(now)
        if verdict is Verdict.DEAD:
            self._error = ConnectionLost("the peer has been silent for too long")
            self.abort()
            return
        if verdict is Verdict.PING:
            self.session.ping(self._liveness.payload)
            self.flush_soon()
        self._arm()
