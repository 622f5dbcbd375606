"""One request on a public HTTP/2 connection: its head understood, and the `Downstream` of its response.

A response may end before its request. The stream is then reset with NO_ERROR once the response has left (RFC 9113
§8.1), and the rest of the request is not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.fieldset import (
    CONNECTION_FIELDS,
    NEVER_UPGRADED,
    check_authority,
    check_expectation,
    connect_refused,
    is_withheld,
    public_trailers,
)
from edge.message import Inbound, Request
from edge.problem import Refusal
from h2s.engine.session import Fields
from h2s.errors import ErrorCode

from . import response
from .limits import IngressLimits

if TYPE_CHECKING:
    from .http2 import Http2Connection

__all__ = ["Http2Exchange", "understand"]


def understand(
    fields: Fields, *, limits: IngressLimits, scheme: bytes, peer: str, started: float, end_stream: bool
) -> Request:
    """Make a Request of a head that the session found well-formed. Raises Refusal."""
    if len(fields) > limits.header_fields:
        raise Refusal(431, "too_many_fields", "The request has too many fields.")
    pseudo: dict[bytes, bytes] = {}
    kept: Fields = []
    cookies: list[bytes] = []
    host = b""
    for field in fields:
        name, value = field
        if name == b"cookie":
            cookies.append(value)
        elif name == b"host":
            host = value
        elif name[:1] == b":":
            pseudo[name] = value
        elif name == b"expect":
            check_expectation(value)
            kept.append(field)
        elif name == b"te" or (name not in CONNECTION_FIELDS and not is_withheld(name)):
            kept.append(field)
    if cookies:
        kept.append((b"cookie", b"; ".join(cookies)))
    method = pseudo[b":method"]
    protocol = pseudo.get(b":protocol")
    if method == b"CONNECT" and protocol is None:
        raise connect_refused()
    if protocol is not None and protocol.lower() in NEVER_UPGRADED:
        raise Refusal(501, "unknown_protocol", "This protocol is not spoken here.")
    authority = pseudo.get(b":authority", host)
    check_authority(authority)
    if host and host.lower() != authority.lower():
        raise Refusal(400, "bad_host", "Host and :authority differ.")
    return Request(
        method=method,
        scheme=scheme,
        authority=authority,
        path=pseudo[b":path"],
        fields=kept,
        upgrade=protocol,
        version="2",
        peer=peer,
        started=started,
        end_stream=end_stream,
    )


class Http2Exchange:
    """The client's side of one exchange: an `edge.message.Downstream` and an `h2s.connection.Stream`."""

    __slots__ = (
        "_bodyless",
        "_left",
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
    write_ahead = 64 * 1024
    """What the session queues for a stream before it pauses its writer."""

    def __init__(self, owner: Http2Connection, stream_id: int, *, request_done: bool) -> None:
        self._owner = owner
        self._stream_id = stream_id
        self._request_done = request_done
        self._bodyless = False
        self._left: int | None = None
        self._paused = False
        self._owed = 0
        self._over = False
        self._tunnel = False
        self.head_only = False
        """The request is a HEAD."""
        self.upgrade = False
        """The request is an extended CONNECT."""
        self.done = False
        """The exchange wants no more events."""

    # -- edge.message.Downstream ----------------------------------------------------------------------------------

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
        self._owner.connection.send_head(self._stream_id, head, end_stream=end_stream)
        if end_stream:
            self._end()

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
            self._over = self.done = True
            self._owner.connection.reset(self._stream_id, ErrorCode.INTERNAL_ERROR)

    def pause_request(self) -> None:
        """Give no more of the stream's window back."""
        self._paused = True

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
        if end_stream:
            self._end_request()
        elif self._paused:
            self._owed += flow
        elif flow:
            self._owner.connection.credit(self._stream_id, flow)
        self.inbound.on_request_data(data, end_stream=end_stream)

    def on_trailers(self, fields: Fields) -> None:
        """Pass on the request's trailers."""
        self._end_request()
        trailers = public_trailers(fields)
        if trailers:
            self.inbound.on_request_trailers(trailers)
        else:
            self.inbound.on_request_data(b"", end_stream=True)

    def on_reset(self, code: int, processed: bool) -> None:
        """The client cancelled, or left."""
        self._over = self.done = True
        self.inbound.on_client_gone()

    def on_drained(self) -> None:
        """The gateway can send more."""
        self.inbound.on_downstream_drained()

    # -- endings --------------------------------------------------------------------------------------------------

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
        elif not self._tunnel:
            self.done = True
            self._owner.connection.reset_when_sent(self._stream_id, ErrorCode.NO_ERROR)

    def _forget(self) -> None:
        self.done = True
        self._owner.connection.forget(self._stream_id)
