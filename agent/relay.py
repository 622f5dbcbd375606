"""One request on its way from the tunnel to an upstream that speaks HTTP/2, and its response on the way back.

A `Relay` joins two streams: it is the `Stream` of the tunnel's, and its `_Answer` is that of the upstream's. Both
directions run at the same time, each with its own backpressure: what one connection does not take at once (`send_data`
is False) leaves the other's window owed until `on_drained`. Both debts are counted in the process's `Budget`.

What came of the request before a stream was there waits in `_early`, which the tunnel's window bounds. The first bytes
are kept until the response begins, so that a request which the upstream has surely not acted on (a refused stream, or
one behind a GOAWAY) can be sent again on another connection, once.

How it ends:

* Both sides have ended. If only the response has, outside of a CONNECT, the rest of the request is of no use
  (RFC 9113 §8.1): both streams are reset once the response has been sent.
* The upstream failed. Before the head that is an answer, 502 or 504, with the reason; later it is a reset.
* The edge reset the stream, or the tunnel is gone: the upstream's stream is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from h2s.budget import Budget
from h2s.connection import Connection
from h2s.engine.session import Fields
from h2s.errors import ErrorCode
from h2s.window import WindowGrowth

from .upstream import Line, Pool, Service, Trunk, UpstreamError
from .upstream.errors import (
    GATEWAY_ERRORS,
    UNREACHABLE,
    UpstreamClosed,
    UpstreamInvalid,
    UpstreamTimeout,
    error_head,
)
from .upstream.heads import request_for_upstream, response_for_edge, trailers_onward
from .upstream.request import IDEMPOTENT

__all__ = ["Relay"]

MAX_KEPT = 16 * 1024
"""Bytes of a request's body that are kept in case it has to be sent again."""


class Relay:
    """The tunnel's side of one request. Made by `begin`."""

    __slots__ = (
        "_answer",
        "_budget",
        "_connection",
        "_early",
        "_early_trailers",
        "_growth",
        "_head",
        "_head_sent",
        "_kept",
        "_kept_size",
        "_line",
        "_on_done",
        "_over",
        "_owed",
        "_pool",
        "_request_ended",
        "_response_ended",
        "_retried",
        "_service",
        "_stream_id",
        "_tried",
        "_trunk",
        "_upgrade",
        "_upstream_id",
    )

    def __init__(
        self,
        connection: Connection,
        stream_id: int,
        *,
        head: Fields,
        pool: Pool,
        service: Service,
        end_stream: bool,
        on_done: Callable[[Relay], None],
    ) -> None:
        self._connection = connection
        self._stream_id = stream_id
        self._head = head
        self._service = service
        self._pool = pool
        self._trunk = _trunk_of(pool)
        self._tried: tuple[Pool, ...] = ()
        """Upstreams that could not be reached."""
        self._budget: Budget = service.budget
        self._on_done = on_done
        self._line: Line | None = None
        self._upstream_id = 0
        self._answer = _Answer(self)
        self._upgrade = (b":method", b"CONNECT") in head
        self._early: list[bytes] = []
        self._early_trailers: Fields | None = None
        self._kept: list[bytes] | None = []
        """The body so far, until it is too much to keep or the response begins."""
        self._kept_size = 0
        self._owed = 0
        """Bytes of the request that the upstream has not taken, and the window has not been given back for."""
        self._growth = WindowGrowth(connection.session.limits.stream_window)
        self._request_ended = end_stream
        self._response_ended = False
        self._head_sent = False
        self._retried = False
        self._over = False

    @classmethod
    def begin(
        cls,
        connection: Connection,
        stream_id: int,
        fields: Fields,
        end_stream: bool,
        service: Service,
        *,
        on_done: Callable[[Relay], None],
    ) -> Relay:
        """Start relaying a request whose head came from the edge, to a service that speaks HTTP/2.

        It is never over before this returns. When it is, it has left `connection` and calls `on_done`, exactly once;
        the end of the response may then still be queued in the connection.
        """
        pool = service.pick()
        relay = cls(
            connection,
            stream_id,
            head=request_for_upstream(fields, pool.upstream.authority),
            pool=pool,
            service=service,
            end_stream=end_stream,
            on_done=on_done,
        )
        pool.in_flight += 1
        relay._trunk.acquire(relay)
        return relay

    # -- Stream: what the edge sends -------------------------------------------------------------------------------

    def on_informational(self, fields: Fields) -> None:
        """Never happens: a client sends no 1xx."""

    def on_head(self, fields: Fields, end_stream: bool) -> None:
        """Never happens: the request's head is given to `begin`."""

    def on_data(self, data: bytes, flow: int, end_stream: bool) -> None:
        """Pass a piece of the request's body on; the window is given back when the upstream's connection takes it."""
        if self._over:
            return
        self._owed += flow
        self._request_ended = end_stream
        self._keep(data)
        if self._line is None:
            self._early.append(data)
        else:
            self._send_up(data, end_stream=end_stream)

    def on_trailers(self, fields: Fields) -> None:
        """Pass the request's trailer section on, which ends it."""
        if self._over:
            return
        self._request_ended = True
        self._kept = None
        self._early_trailers = trailers_onward(fields)
        if self._line is not None:
            self._send_trailers_up(self._line)

    def on_reset(self, code: int, processed: bool) -> None:
        """Cancel the upstream's stream: nobody waits for the response any more."""
        if not self._over:
            self._abandon_upstream()
            self._finish()

    def on_drained(self) -> None:
        """Let the upstream send on."""
        self._answer.go_on()
        self.hold()

    # -- Caller: of the trunk --------------------------------------------------------------------------------------

    def on_line(self, line: Line) -> None:
        """Send the request, as far as it is there."""
        if self._upgrade and not line.connection.session.peer_connect_protocol:
            error = UpstreamInvalid("the upstream takes no extended CONNECT (RFC 8441), so no WebSocket")
            asyncio.get_running_loop().call_soon(self.on_upstream_error, error)
            return
        early, self._early = self._early, []
        whole = self._request_ended and not early and self._early_trailers is None
        self._line = line
        self._upstream_id = line.open(self._head, self._answer, end_stream=whole)
        ends = self._request_ended and self._early_trailers is None
        for number, piece in enumerate(early, 1):
            self._send_up(piece, end_stream=ends and number == len(early))
        if self._early_trailers is not None:
            self._send_trailers_up(line)
        if self._request_ended or self._upgrade:
            self._trunk.awaiting_head.add(self)

    def on_upstream_error(self, error: UpstreamError) -> None:
        """No stream came about: try another upstream of the service, if this one cannot be reached."""
        if not self._over and not (isinstance(error, UNREACHABLE) and self._go_elsewhere(error)):
            self._fail(error)

    def expire(self) -> None:
        """Give up: the response's head did not come in time."""
        if not self._over:
            self._abandon_upstream()
            self._fail(UpstreamTimeout("the upstream sent no response head in time"))

    def _go_elsewhere(self, error: UpstreamError) -> bool:
        self._tried = (*self._tried, self._pool)
        other = self._service.another(self._tried)
        if other is None:
            return False
        self._pool.failed(error)
        self._pool.in_flight -= 1
        self._pool, self._trunk = other, _trunk_of(other)
        other.in_flight += 1
        self._trunk.acquire(self)
        return True

    # -- h2s.budget.Holder -----------------------------------------------------------------------------------------

    def shed(self) -> None:
        """Cut this request: it holds the most while memory is short."""
        if not self._over:
            self._abandon_upstream()
            self._connection.reset(self._stream_id, ErrorCode.ENHANCE_YOUR_CALM)
            self._finish()

    def hold(self) -> None:
        """Tell the budget what waits for the upstream and for the edge. It may answer with `shed`."""
        self._budget.update(self, self._owed + self._answer.owed)

    # -- request ---------------------------------------------------------------------------------------------------

    def _keep(self, data: bytes) -> None:
        if self._kept is None:
            return
        self._kept_size += len(data)
        if self._kept_size > MAX_KEPT:
            self._kept = None
        else:
            self._kept.append(data)

    def _send_up(self, data: bytes, *, end_stream: bool) -> None:
        line = self._line
        assert line is not None
        takes_more = line.connection.send_data(self._upstream_id, data, end_stream=end_stream)
        if end_stream:
            self._await_head()
            self._end_if_complete()
        elif takes_more:
            self.credit()
        else:
            self._growth.stalled()
            self.hold()

    def _send_trailers_up(self, line: Line) -> None:
        line.connection.send_trailers(self._upstream_id, self._early_trailers or [])
        self._await_head()
        self._end_if_complete()

    def _await_head(self) -> None:
        if not self._head_sent and not self._over:
            self._trunk.awaiting_head.add(self)

    def credit(self) -> None:
        """Give the stream's window back for what the upstream's connection has taken."""
        owed, self._owed = self._owed, 0
        if not owed or self._over or self._request_ended:
            return
        self._connection.credit(self._stream_id, owed)
        wider = self._growth.passed(owed)
        if wider and self._budget.has_room:
            self._connection.session.widen(self._stream_id, wider)

    # -- response: what the answer tells ---------------------------------------------------------------------------

    def answer_informational(self, fields: Fields) -> None:
        """A 1xx head came from the upstream."""
        self._connection.send_informational(self._stream_id, response_for_edge(fields))

    def answer_head(self, fields: Fields, end_stream: bool) -> None:
        """The response's head came."""
        self._trunk.awaiting_head.discard(self)
        self._head_sent = True
        self._kept = None
        if fields[0][1] in GATEWAY_ERRORS:
            self._pool.failed(None)
        elif self._pool.failures:
            self._pool.failures = 0
        self._response_ended = end_stream
        self._connection.send_head(self._stream_id, response_for_edge(fields), end_stream=end_stream)
        self._end_if_complete()

    def answer_data(self, data: bytes, *, end_stream: bool) -> bool:
        """A piece of the body came; False: the edge takes no more for now."""
        self._response_ended = end_stream
        takes_more = self._connection.send_data(self._stream_id, data, end_stream=end_stream)
        if end_stream:
            self._end_if_complete()
        return takes_more

    def answer_trailers(self, fields: Fields) -> None:
        """The trailer section came."""
        self._response_ended = True
        self._connection.send_trailers(self._stream_id, trailers_onward(fields))
        self._end_if_complete()

    def answer_reset(self, code: int, processed: bool) -> None:
        """The upstream ended its stream before its time, or the connection is gone."""
        if self._over:
            return
        line, self._line = self._line, None
        assert line is not None
        may_retry = self._may_retry(line, processed)
        line.done(self._upstream_id)
        if may_retry:
            self._retried = True
            self._early = list(self._kept or [])
            self._trunk.awaiting_head.discard(self)
            self._answer = _Answer(self)
            self._trunk.acquire(self)
            return
        lost = line.connection.closed
        what = (
            "the connection to the upstream broke"
            if lost
            else f"the upstream reset the stream: {_name(code)}"
        )
        self._fail(UpstreamClosed(what))

    def answer_drained(self) -> None:
        """The upstream's connection takes more of the request."""
        self.credit()
        self.hold()

    # -- ends ------------------------------------------------------------------------------------------------------

    def _end_if_complete(self) -> None:
        if self._over or not self._response_ended:
            return
        if self._request_ended:
            line, self._line = self._line, None
            if line is not None:
                line.done(self._upstream_id)
        elif self._upgrade:
            return
        else:
            self._abandon_upstream(ErrorCode.NO_ERROR)
            self._connection.reset_when_sent(self._stream_id, ErrorCode.NO_ERROR)
        self._finish()

    def _may_retry(self, line: Line, processed: bool) -> bool:
        if self._retried or self._head_sent or self._kept is None:
            return False
        if not processed:
            return True
        # The connection may have been closed while it lay idle: then this was the only stream on it.
        idle = line.used and line.connection.closed
        return idle and not self._kept and not self._upgrade and self._method in IDEMPOTENT

    @property
    def _method(self) -> bytes:
        return next(value for name, value in self._head if name == b":method")

    def _fail(self, error: UpstreamError) -> None:
        connection, stream_id = self._connection, self._stream_id
        if not self._head_sent:
            self._pool.failed(error)
            connection.send_head(stream_id, error_head(error), end_stream=True)
            if not self._request_ended:
                connection.reset_when_sent(stream_id, ErrorCode.NO_ERROR)
        elif self._response_ended:
            connection.reset_when_sent(stream_id, ErrorCode.NO_ERROR)
        else:
            connection.reset(stream_id, ErrorCode.INTERNAL_ERROR)
        self._finish()

    def _abandon_upstream(self, code: ErrorCode = ErrorCode.CANCEL) -> None:
        line, self._line = self._line, None
        if line is None:
            self._trunk.cancel(self)
        else:
            line.connection.reset(self._upstream_id, code)
            line.done(self._upstream_id)

    def _finish(self) -> None:
        self._over = True
        self._early.clear()
        self._kept = None
        self._owed = 0
        self._answer.drop()
        self.hold()
        self._trunk.awaiting_head.discard(self)
        self._pool.in_flight -= 1
        self._connection.forget(self._stream_id)
        self._on_done(self)

    # -- for the answer --------------------------------------------------------------------------------------------

    def credit_upstream(self, size: int) -> None:
        """Give the upstream's stream its window back."""
        if self._line is not None:
            self._line.connection.credit(self._upstream_id, size)

    def new_growth(self) -> WindowGrowth:
        """Return what decides how that window grows."""
        assert self._line is not None
        return WindowGrowth(self._line.connection.session.limits.stream_window)

    def widen_upstream(self, size: int) -> None:
        """Enlarge that window, if there is memory for it."""
        if self._line is not None and self._budget.has_room:
            self._line.connection.session.widen(self._upstream_id, size)


class _Answer:
    """The upstream's side: a `Stream` that tells its relay, and owes the upstream its window."""

    __slots__ = ("_growth", "_relay", "owed")

    def __init__(self, relay: Relay) -> None:
        self._relay: Relay | None = relay
        self._growth: WindowGrowth | None = None
        self.owed = 0
        """Bytes of the response that the edge had not taken when they came."""

    def drop(self) -> None:
        """Hear nothing more."""
        self._relay = None
        self.owed = 0

    def go_on(self) -> None:
        """Give back what is owed: the edge takes more."""
        owed, self.owed = self.owed, 0
        if owed and self._relay is not None:
            self._relay.credit_upstream(owed)

    def on_informational(self, fields: Fields) -> None:
        """Tell the relay."""
        if self._relay is not None:
            self._relay.answer_informational(fields)

    def on_head(self, fields: Fields, end_stream: bool) -> None:
        """Tell the relay."""
        if self._relay is not None:
            self._relay.answer_head(fields, end_stream)

    def on_data(self, data: bytes, flow: int, end_stream: bool) -> None:
        """Pass a piece on; the window is given back when the edge takes it."""
        relay = self._relay
        if relay is None:
            return
        takes_more = relay.answer_data(data, end_stream=end_stream)
        if end_stream or self._relay is None:
            return
        growth = self._growth
        if growth is None:
            growth = self._growth = relay.new_growth()
        if takes_more and not self.owed:
            relay.credit_upstream(flow)
            wider = growth.passed(flow)
            if wider:
                relay.widen_upstream(wider)
        else:
            growth.stalled()
            self.owed += flow
            relay.hold()

    def on_trailers(self, fields: Fields) -> None:
        """Tell the relay."""
        if self._relay is not None:
            self._relay.answer_trailers(fields)

    def on_reset(self, code: int, processed: bool) -> None:
        """Tell the relay."""
        if self._relay is not None:
            self._relay.answer_reset(code, processed)

    def on_drained(self) -> None:
        """Tell the relay."""
        if self._relay is not None:
            self._relay.answer_drained()


def _trunk_of(pool: Pool) -> Trunk:
    assert pool.trunk is not None
    return pool.trunk


def _name(code: int) -> str:
    try:
        return ErrorCode(code).name
    except ValueError:
        return f"error {code:#x}"
