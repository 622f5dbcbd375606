"""One request on a public HTTP/2 connection, seen from the gateway: the `Downstream` of its response.

A response may end before its request. The stream is then reset with NO_ERROR once the response has left (RFC 9113
§8.1), and the rest of the request is not looked at.

What an exchange waits for of its client is one of `Waits`, and the connection looks at an interval (`look`) whether it
has come. A body has to keep to `body_rate` until the response begins; from then on the stream is a way for both, like
an upgraded connection, on which something has to move either way now and then.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from edge.message import Downstream, Inbound
from edge.problem import Refusal, problem
from h2s.engine.session import Fields
from h2s.errors import ErrorCode
from h2s.window import WindowGrowth

from . import response, rules
from .http2_head import understand_trailers

if TYPE_CHECKING:
    from .http2 import Http2Connection

__all__ = ["Http2Exchange", "Waits"]


class Waits(Enum):
    """What an exchange may not be kept waiting for by its client."""

    BODY = "body"
    """The rest of the request, while there is no response."""
    BOTH_WAYS = "both ways"
    """Anything, on a stream whose response has begun and whose request goes on."""
    LAST_WAY = "last way"
    """The client's end of a tunnel of which our direction has ended."""


class Http2Exchange(Downstream):
    """The client's side of one exchange: an `edge.message.Downstream` and an `h2s.connection.Stream`."""

    __slots__ = (
        "_bodyless",
        "_growth",
        "_head_sent",
        "_left",
        "_looked_for",
        "_moved",
        "_over",
        "_owed",
        "_owner",
        "_paused",
        "_request_done",
        "_stream_id",
        "_tunnel",
        "done",
        "head_only",
        "inbound",
        "upgrade",
    )

    inbound: Inbound

    def __init__(self, owner: Http2Connection, stream_id: int, *, request_done: bool) -> None:
        self._owner = owner
        self._stream_id = stream_id
        self._request_done = request_done
        self._head_sent = False
        self._bodyless = False
        self._moved = 0
        """Bytes of the stream that came or went since the last look."""
        self._looked_for: Waits | None = None
        """What was waited for at the last look, and ever since."""
        self._left: int | None = None
        self._paused = False
        self._owed = 0
        self._growth: WindowGrowth | None = None
        self._over = False
        self._tunnel = False
        self.head_only = False
        """The request is a HEAD."""
        self.upgrade = False
        """The request is an extended CONNECT."""
        self.done = False
        """The exchange wants no more events."""

    # -- edge.message.Downstream ----------------------------------------------------------------------------------

    @property
    def write_ahead(self) -> int:
        """What the session queues for a stream before it pauses its writer."""
        return 64 * 1024

    def send_informational(self, status: int, fields: Fields) -> None:
        """Send a 1xx head."""
        if not self._over and status != 101:
            head = [(b":status", b"%d" % status), *fields]
            self._owner.connection.send_informational(self._stream_id, head)

    def send_head(self, status: int, fields: Fields, *, end_stream: bool) -> None:
        """Send the final head; for an extended CONNECT a 2xx accepts it."""
        if self._over:
            return
        self._tunnel = self.upgrade and 200 <= status < 300
        self._bodyless = self.head_only or status in (204, 304)
        if status == 204:
            fields = response.without_length(fields)
        if not self._bodyless and not self._tunnel:
            self._left = response.body_length(fields)
            if end_stream and self._left:
                self.abort()
                return
        head = [(b":status", b"%d" % status), *fields]
        if not any(name == b"date" for name, _ in fields):
            head.append((b"date", self._owner.context.date()))
        self._head_sent = True
        self._owner.connection.send_head(self._stream_id, head, end_stream=end_stream)
        if end_stream:
            self._end()
        elif self._tunnel or not self._request_done:
            self._owner.watch(Waits.BOTH_WAYS)

    def send_data(self, data: bytes, *, end_stream: bool) -> bool:
        """Queue a piece of the body."""
        if self._over:
            return True
        if self._bodyless:
            data = b""
            if not end_stream:
                return True
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0 or (end_stream and self._left):
                self.abort()
                return True
        self._moved += len(data)
        writable = self._owner.connection.send_data(self._stream_id, data, end_stream=end_stream)
        if end_stream:
            self._end()
        return writable

    def send_trailers(self, fields: Fields) -> None:
        """Send the trailer section, which ends the response."""
        if self._over:
            return
        if self._left:
            self.abort()
            return
        self._owner.connection.send_trailers(self._stream_id, fields)
        self._end()

    def abort(self) -> None:
        """Reset the stream."""
        if not self._over:
            self._cut(ErrorCode.INTERNAL_ERROR)

    def pause_request(self) -> None:
        """Give no more of the stream's window back."""
        self._paused = True
        self._window_growth().stalled()
        self._looked_for = None

    def resume_request(self) -> None:
        """Give back what is owed, and go on."""
        self._paused = False
        if self._owed:
            owed, self._owed = self._owed, 0
            self._owner.connection.credit(self._stream_id, owed)

    # -- h2s.connection.Stream ------------------------------------------------------------------------------------

    def on_informational(self, fields: Fields) -> None:
        """Not called: clients send no 1xx."""

    def on_head(self, fields: Fields, end_stream: bool) -> None:
        """Not called: the request's head made this exchange."""

    def on_data(self, data: bytes, flow: int, end_stream: bool) -> None:
        """Pass on a piece of the request's body."""
        self._moved += flow
        if end_stream:
            self._end_request()
        elif self._paused:
            self._owed += flow
        elif flow:
            self._credit(flow)
        self.inbound.on_request_data(data, end_stream=end_stream)

    def on_trailers(self, fields: Fields) -> None:
        """Pass on the request's trailers."""
        try:
            trailers = understand_trailers(fields, self._owner.context.limits)
        except Refusal as refusal:
            self._request_done = True
            self._break_off(refusal)
            return
        self._end_request()
        if trailers:
            self.inbound.on_request_trailers(trailers)
        else:
            self.inbound.on_request_data(b"", end_stream=True)

    def on_reset(self, code: int, processed: bool) -> None:
        """The client cancelled, or left."""
        self._over = self.done = True
        self._owner.active()
        self.inbound.on_client_gone()

    def on_drained(self) -> None:
        """The gateway can send more."""
        self.inbound.on_downstream_drained()

    # -- what the connection uses ---------------------------------------------------------------------------------

    def answer(self, refusal: Refusal, request_id: bytes = b"") -> None:
        """Answer in the gateway's stead, which has not heard of the request or hears no more of it."""
        fields, body = problem(refusal.status, refusal.code, refusal.detail, request_id)
        self.send_head(refusal.status, fields + refusal.fields, end_stream=False)
        self.send_data(body, end_stream=True)

    @property
    def waits(self) -> Waits | None:
        """What the client owes now."""
        if self._tunnel:
            return Waits.LAST_WAY if self._over else Waits.BOTH_WAYS
        if self._request_done:
            return None
        if self._head_sent:
            return Waits.BOTH_WAYS
        return None if self.upgrade else Waits.BODY

    def look(self, waits: Waits, least: float) -> None:
        """Give the client up if it has been waited for since the last look, and less than `least` bytes have moved.

        Not while the gateway has the request wait: then there is nothing that the client could do about it.
        """
        if self._paused and waits is Waits.BODY:
            return
        if self._looked_for is waits and self._moved < least:
            self._break_off(rules.timed_out())
        else:
            self._looked_for = waits
            self._moved = 0

    # -- the request's window -------------------------------------------------------------------------------------

    def _credit(self, flow: int) -> None:
        """Give the window back for what goes on at once, and widen it for a body that does so all the time."""
        owner = self._owner
        connection = owner.connection
        connection.credit(self._stream_id, flow)
        wider = self._window_growth().passed(flow)
        if wider and owner.context.gateway.has_room:
            connection.session.widen(self._stream_id, wider)

    def _window_growth(self) -> WindowGrowth:
        growth = self._growth
        if growth is None:
            growth = self._growth = WindowGrowth(self._owner.connection.session.limits.stream_window)
        return growth

    # -- endings --------------------------------------------------------------------------------------------------

    def _break_off(self, refusal: Refusal) -> None:
        """End the exchange because of what the client did: with an answer, unless one has begun."""
        self.inbound.on_client_gone(refusal)
        if not self._head_sent:
            self.answer(refusal)
            return
        self._cut(ErrorCode.CANCEL)

    def _cut(self, code: ErrorCode) -> None:
        self._over = self.done = True
        self._owner.active()
        self._owner.connection.reset(self._stream_id, code)

    def _end_request(self) -> None:
        self._request_done = True
        if self._over:
            self._forget()

    def _end(self) -> None:
        """Do what follows the response's end: a tunnel's other direction goes on, the rest of a body does not."""
        self._over = True
        self._owner.active()
        if self._request_done:
            self._forget()
        elif self._tunnel:
            self._owner.watch(Waits.LAST_WAY)
        else:
            self.done = True
            self._owner.connection.reset_when_sent(self._stream_id, ErrorCode.NO_ERROR)

    def _forget(self) -> None:
        self.done = True
        self._owner.connection.forget(self._stream_id)
