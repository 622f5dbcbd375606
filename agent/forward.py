"""One request on its way from the tunnel to an upstream, and its response on the way back.

A `Forward` stands between one HTTP/2 stream (it is the `Stream`) and one HTTP/1.1 connection (it is the `Exchange`).
Both directions run at the same time, each with its own backpressure:

    request   on_data ─▶ _out ─▶ Channel.write       window given back (`credit`) once the transport has taken it
    response  send_data ◀─ events ◀─ Channel         False: the channel reads no more until `on_drained`

Both waits are counted in the process's `Budget`. When memory is short windows grow no more, and at the limit the
request that holds most is reset. What waits in `_out` waits for a connection, for the end of this turn of the loop, so
that a small body leaves with its head, or, for an upgrade, for the 101. It is bounded by the stream's window, which is
not given back meanwhile.

How it ends, once and for all in `_finish`:

* The response is complete. If the request is too, the connection is kept; if not, the edge is told to send no more of
  it (RFC 9113 §8.1) and the connection is closed, for what it has seen of the request is no whole request.
* The upstream failed. Before the head that is an answer, 502 or 504, with the reason; later it is a reset, so that a
  short body never looks complete. If the connection had lain idle and the upstream closed it without a byte, the
  request is sent again, once, on a new connection, when it has no body and is idempotent (RFC 9110 §9.2.2). If no
  connection came about, the request goes to another upstream of the service that is healthy.
* The edge reset the stream, or the tunnel is gone: the upstream connection is aborted at once.

After a 101 the same two paths carry raw bytes, and each direction ends by itself: END_STREAM is a FIN, and the reverse.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from h2s.budget import Budget
from h2s.connection import Connection
from h2s.engine.session import Fields
from h2s.errors import ErrorCode
from h2s.window import WindowGrowth

from .upstream import Channel, MalformedRequest, Pool, Service, UpstreamError
from .upstream.errors import GATEWAY_ERRORS, UNREACHABLE, UpstreamClosed, error_head
from .upstream.request import Framing, RequestHead, encode_request
from .upstream.response import Body, Event, Head, ResponseReader, Trailers

__all__ = ["Forward"]


class Forward:
    """The server side of one request's stream. Made by `begin`."""

    __slots__ = (
        "_body_written",
        "_budget",
        "_channel",
        "_connection",
        "_flush_scheduled",
        "_framing",
        "_growth",
        "_head",
        "_head_sent",
        "_head_written",
        "_on_done",
        "_out",
        "_over",
        "_owed",
        "_pool",
        "_queued",
        "_request_ended",
        "_response_ended",
        "_retried",
        "_service",
        "_stream_id",
        "_tried",
    )

    def __init__(
        self,
        connection: Connection,
        stream_id: int,
        *,
        service: Service,
        end_stream: bool,
        on_done: Callable[[Forward], None],
    ) -> None:
        self._connection = connection
        self._stream_id = stream_id
        self._service = service
        self._pool: Pool = service.pick()
        self._tried: tuple[Pool, ...] = ()
        """Upstreams that could not be reached."""
        self._budget: Budget = service.budget
        self._on_done = on_done
        self._channel: Channel | None = None
        self._head: RequestHead | None = None
        self._framing: Framing | None = None
        self._out: list[bytes] = []
        self._owed = 0
        """Bytes of the request that the upstream has not taken, and the window has not been given back for."""
        self._queued = 0
        """Bytes of the response that the edge had not taken when the upstream was last told to wait."""
        self._growth: WindowGrowth | None = None
        self._flush_scheduled = False
        self._request_ended = end_stream
        self._head_written = False
        self._body_written = False
        self._head_sent = False
        self._response_ended = False
        self._retried = False
        self._over = False

    @staticmethod
    def begin(
        connection: Connection,
        stream_id: int,
        fields: Fields,
        end_stream: bool,
        service: Service,
        *,
        on_done: Callable[[Forward], None],
    ) -> Forward:
        """Start forwarding a request whose head came from the edge.

        It is never over before this returns. When it is, it has left `connection` and calls `on_done`, exactly once;
        the end of the response may then still be queued in the connection.
        """
        forward = Forward(
            connection,
            stream_id,
            service=service,
            end_stream=end_stream,
            on_done=on_done,
        )
        forward._pool.in_flight += 1
        try:
            forward._start(fields)
        except MalformedRequest:
            asyncio.get_running_loop().call_soon(forward._refuse)
        return forward

    # -- Stream: what the edge sends -------------------------------------------------------------------------------

    def on_informational(self, fields: Fields) -> None:
        """Never happens: a client sends no 1xx."""

    def on_head(self, fields: Fields, end_stream: bool) -> None:
        """Never happens: the request's head is given to `begin`."""

    def on_data(self, data: bytes, flow: int, end_stream: bool) -> None:
        """Pass a piece of the request's body on; the window is given back when the upstream takes it."""
        self._owed += flow
        self._take(data, [] if end_stream else None)

    def on_trailers(self, fields: Fields) -> None:
        """Pass the request's trailer section on, which ends it."""
        self._take(b"", fields)

    def on_reset(self, code: int, processed: bool) -> None:
        """Let go of the upstream: nobody waits for the response any more."""
        if not self._over:
            self._abandon_upstream()
            self._finish()

    def on_drained(self) -> None:
        """Read on from the upstream."""
        self._queued = 0
        self._hold()
        if self._channel is not None:
            self._channel.resume()

    # -- Exchange: what the upstream does --------------------------------------------------------------------------

    def on_channel(self, channel: Channel) -> None:
        """Send the request, as far as it is there."""
        head = self._head
        if self._over or head is None:
            channel.release()
            return
        self._channel = channel
        channel.begin(self, ResponseReader(method=head.method, upgrade=head.upgrade))
        if self._request_ended:
            self._flush()
        else:
            self._flush_soon()

    def on_upstream_events(self, events: list[Event]) -> None:
        """Pass what came of the response on to the edge."""
        for event in events:
            if self._over:
                return
            self._send(event)
        self._end_if_complete()

    def on_upstream_writable(self) -> None:
        """Give back the window of what the transport held back."""
        if self._channel is not None:
            self._credit()
            if self._request_ended:
                self._owed = 0
            self._hold()
            self._watch(self._channel)

    def on_upstream_error(self, error: UpstreamError) -> None:
        """Try once more if that cannot run the request twice; else tell the edge."""
        if self._over:
            return
        channel, self._channel = self._channel, None
        if channel is not None and self._may_retry(channel, error):
            self._retried = True
            self._head_written = False
            self._pool.acquire(self, fresh=True)
        elif not (channel is None and isinstance(error, UNREACHABLE) and self._go_elsewhere(error)):
            self._fail(error)

    def _go_elsewhere(self, error: UpstreamError) -> bool:
        """Try another upstream of the service, for nothing was sent to this one; False if there is none."""
        self._tried = (*self._tried, self._pool)
        other = self._service.another(self._tried)
        if other is None:
            return False
        self._pool.failed(error)
        self._pool.in_flight -= 1
        self._pool = other
        other.in_flight += 1
        other.acquire(self)
        return True

    # -- h2s.budget.Holder -----------------------------------------------------------------------------------------

    def shed(self) -> None:
        """Cut this request: it holds the most while memory is short."""
        if not self._over:
            self._abandon_upstream()
            self._connection.reset(self._stream_id, ErrorCode.ENHANCE_YOUR_CALM)
            self._finish()

    def _hold(self) -> None:
        """Tell the budget what waits for the upstream and for the edge. It may answer with `shed`."""
        self._budget.update(self, self._owed + self._queued)

    # -- request ---------------------------------------------------------------------------------------------------

    def _start(self, fields: Fields) -> None:
        host = self._pool.upstream.authority
        self._head = encode_request(fields, end_stream=self._request_ended, host=host)
        self._framing = self._head.framing(end_stream=self._request_ended)
        self._pool.acquire(self)

    def _take(self, data: bytes, trailers: Fields | None) -> None:
        """Take a piece of the request's body, or with `trailers` its end."""
        framing = self._framing
        if self._over or framing is None:
            return
        try:
            self._out += framing.data(data)
            if trailers is not None:
                self._out += framing.end(trailers)
        except MalformedRequest:
            self._refuse()
            return
        if trailers is None:
            self._flush_soon()
            return
        self._request_ended = True
        self._flush()
        self._end_if_complete()

    def _flush_soon(self) -> None:
        if not self._flush_scheduled and self._channel is not None:
            self._flush_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        channel, head = self._channel, self._head
        if channel is None or head is None:
            return
        pieces: list[bytes] = []
        if not self._head_written:
            self._head_written = True
            pieces.append(head.data)
        may_follow = head.upgrade is None or self._upgraded
        if may_follow and self._out:
            self._body_written = True
            pieces += self._out
            self._out.clear()
        if pieces:
            channel.write(pieces)
        if may_follow:
            self._credit()
        if self._over:
            return
        if self._upgraded and self._request_ended:
            channel.write_eof()
        self._watch(channel)

    def _credit(self) -> None:
        """Give the stream's window back, unless the upstream is slow, or the request has ended anyway."""
        if not self._owed or self._request_ended or self._channel is None:
            return
        session = self._connection.session
        growth = self._growth
        if growth is None:
            growth = self._growth = WindowGrowth(session.limits.stream_window)
        if self._channel.write_paused:
            growth.stalled()
            self._hold()
            return
        owed, self._owed = self._owed, 0
        self._connection.credit(self._stream_id, owed)
        wider = growth.passed(owed)
        if wider and self._budget.has_room:
            session.widen(self._stream_id, wider)

    def _watch(self, channel: Channel) -> None:
        """Let the time for the response's head run when it is the upstream's turn, not while the client sends."""
        if self._head_sent:
            return
        if self._request_ended or channel.write_paused or (self._head is not None and self._head.upgrade):
            channel.await_head()
        else:
            channel.head_came()

    # -- response --------------------------------------------------------------------------------------------------

    @property
    def _upgraded(self) -> bool:
        channel = self._channel
        return channel is not None and channel.reader is not None and channel.reader.upgraded

    def _send(self, event: Event) -> None:
        channel, stream_id = self._channel, self._stream_id
        assert channel is not None
        if isinstance(event, Body):
            self._response_ended = event.end_stream
            if not self._connection.send_data(stream_id, event.data, end_stream=event.end_stream):
                channel.pause()
                self._queued = self._connection.session.queued(stream_id)
                self._hold()
        elif isinstance(event, Head):
            channel.head_came()
            self._head_sent = True
            if event.fields[0][1] in GATEWAY_ERRORS:
                self._pool.failed(None)
            elif self._pool.failures:
                self._pool.failures = 0
            self._connection.send_head(stream_id, event.fields, end_stream=event.end_stream)
            self._response_ended = event.end_stream
            if self._upgraded:
                self._flush()
        elif isinstance(event, Trailers):
            self._connection.send_trailers(stream_id, event.fields)
            self._response_ended = True
        else:
            self._connection.send_informational(stream_id, event.fields)
            self._watch(channel)

    def _end_if_complete(self) -> None:
        channel = self._channel
        if channel is None or not self._response_ended:
            return
        if self._request_ended:
            self._channel = None
            channel.release()
        elif self._upgraded:
            return
        else:
            self._abandon_upstream()
            self._connection.reset_when_sent(self._stream_id, ErrorCode.NO_ERROR)
        self._finish()

    # -- ends before the time --------------------------------------------------------------------------------------

    def _may_retry(self, channel: Channel, error: UpstreamError) -> bool:
        if not isinstance(error, UpstreamClosed) or self._retried or not channel.used:
            return False
        if self._body_written or self._head is None or channel.reader is None or channel.reader.started:
            return False
        return self._head.idempotent or not self._head_written

    def _fail(self, error: UpstreamError) -> None:
        connection, stream_id = self._connection, self._stream_id
        if not self._head_sent:
            self._pool.failed(error)
        if self._head_sent and not self._response_ended:
            connection.reset(stream_id, ErrorCode.INTERNAL_ERROR)
        else:
            if not self._head_sent:
                connection.send_head(stream_id, error_head(error), end_stream=True)
            if not self._request_ended:
                connection.reset_when_sent(stream_id, ErrorCode.NO_ERROR)
        self._finish()

    def _refuse(self) -> None:
        """Reset a request that cannot be said in HTTP/1.1."""
        if self._over:
            return
        self._abandon_upstream()
        self._connection.reset(self._stream_id, ErrorCode.PROTOCOL_ERROR)
        self._finish()

    def _abandon_upstream(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.drop()
        else:
            self._pool.cancel(self)

    def _finish(self) -> None:
        self._over = True
        self._out.clear()
        self._owed = self._queued = 0
        self._hold()
        self._pool.in_flight -= 1
        self._connection.forget(self._stream_id)
        self._on_done(self)
