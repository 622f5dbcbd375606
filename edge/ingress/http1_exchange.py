"""One request on an HTTP/1.1 connection, seen from the gateway: the `Downstream` of its response.

An exchange is an object of its own, so that a late call for one response can never write into the next one. It keeps
the account of a response's length: what does not come out even is cut, which the client sees as an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.message import Downstream, Inbound
from h2s.engine.session import Fields

from . import response, websocket
from .head import RequestHead
from .response import Framing

if TYPE_CHECKING:
    from .http1 import Http1Connection

__all__ = ["Http1Exchange"]


# In compiled code a constant is found faster than an attribute of an Enum.
_NONE: Final = Framing.NONE
_LENGTH: Final = Framing.LENGTH
_CHUNKED: Final = Framing.CHUNKED
_CLOSE: Final = Framing.CLOSE
_RAW: Final = Framing.RAW


class Http1Exchange(Downstream):
    """The client's side of one exchange (see `edge.message.Downstream`)."""

    __slots__ = (
        "_connection",
        "_framing",
        "_head",
        "_left",
        "close",
        "ended",
        "head_sent",
        "inbound",
        "waiting",
    )
    __deletable__ = ("inbound",)

    inbound: Inbound
    """Who takes the request; gone once the response has ended."""

    def __init__(self, connection: Http1Connection, head: RequestHead) -> None:
        self._connection = connection
        self._head = head
        self._framing = _NONE
        self._left = 0
        self.close = not head.keep_alive or head.upgrade is not None
        """The connection ends with this response; bytes behind a refused upgrade may be no HTTP at all."""
        self.head_sent = False
        self.ended = False
        """Nothing more is sent: the response has ended, was cut, or its client has gone."""
        self.waiting = False
        """The gateway was told to wait and is owed `on_downstream_drained`."""

    @property
    def write_ahead(self) -> int:
        """What an asyncio transport buffers before it pauses its writer."""
        return 64 * 1024

    def send_informational(self, status: int, fields: Fields) -> None:
        """Send a 1xx head; HTTP/1.0 clients know none."""
        if not self.ended and not self.head_sent and status != 101 and self._head.version == "1.1":
            self._connection.write(response.encode_informational(status, fields))

    def send_head(self, status: int, fields: Fields, *, end_stream: bool) -> None:
        """Send the final head, or accept the upgrade that was asked for."""
        if self.ended or self.head_sent:
            return
        if self._head.upgrade is not None and 200 <= status < 300:
            self._accept_upgrade(self._head.upgrade, fields)
        else:
            self._start(status, fields, end_stream=end_stream)
        self.head_sent = True
        if self._framing is _RAW:
            self._connection.start_tunnel()
        if end_stream:
            self.send_data(b"", end_stream=True)

    def send_data(self, data: bytes, *, end_stream: bool) -> bool:
        """Send a piece of the body, in the framing that the head announced."""
        if self.ended:
            return True
        connection = self._connection
        framing = self._framing
        writable = True
        if framing is _LENGTH:
            self._left -= len(data)
            if self._left < 0 or (end_stream and self._left):
                self.abort()
                return True
            if data:
                writable = connection.write(data)
        elif framing is _CHUNKED:
            if data:
                connection.write(b"%x\r\n" % len(data))
                connection.write(data)
                writable = connection.write(b"\r\n")
            if end_stream:
                connection.write(b"0\r\n\r\n")
        elif framing is not _NONE and data:
            writable = connection.write(data)
        if end_stream:
            self._end()
        elif not writable:
            self.waiting = True
        return writable

    def send_trailers(self, fields: Fields) -> None:
        """Send trailers if the body is chunked, and end the response."""
        if self._framing is _CHUNKED and not self.ended:
            self._connection.write(response.encode_trailers(fields))
            self._end()
        else:
            self.send_data(b"", end_stream=True)

    def abort(self) -> None:
        """Reset the connection: short of its length or last chunk the response is an error to the client."""
        if not self.ended:
            self.ended = True
            self._connection.cut()

    def pause_request(self) -> None:
        """Take no more of the body from the client."""
        if not self.ended or self._framing is _RAW:
            self._connection.pause_request(self)

    def resume_request(self) -> None:
        """Go on taking the body."""
        self._connection.resume_request(self)

    def _end(self) -> None:
        self.ended = True
        self._connection.advance()

    def _start(self, status: int, fields: Fields, *, end_stream: bool) -> None:
        """Decide on framing and persistence, and write the head."""
        connection = self._connection
        http10 = self._head.version == "1.0"
        lines = b""
        length = response.body_length(fields)
        if status == 204 or length is None:
            fields = response.without_length(fields)
        if status in (204, 304) or self._head.method == b"HEAD":
            self._framing = _NONE
        elif length is not None:
            self._framing = _LENGTH
            self._left = length
        elif end_stream:
            self._framing = _LENGTH
            lines = b"content-length: 0\r\n"
        elif http10:
            self._framing = _CLOSE
            self.close = True
        else:
            self._framing = _CHUNKED
            lines = b"transfer-encoding: chunked\r\n"
        if connection.context.stopping or (not connection.request_done and (end_stream or status >= 300)):
            # An answer of that kind to an unfinished request is the end of it: its body will not be wanted.
            self.close = True
        if self.close:
            lines += b"connection: close\r\n"
        elif http10:
            lines += b"connection: keep-alive\r\n"
        connection.write(response.encode_head(status, fields, connection.context.date(), lines))

    def _accept_upgrade(self, protocol: bytes, fields: Fields) -> None:
        """Answer 101: bytes of another protocol follow, both ways."""
        lines = b"connection: upgrade\r\nupgrade: %b\r\n" % protocol
        dropped = {b"content-length"}
        if self._head.websocket_key:
            dropped.add(b"sec-websocket-accept")
            lines += b"sec-websocket-accept: %b\r\n" % websocket.accept(self._head.websocket_key)
        self._framing = _RAW
        connection = self._connection
        kept = [field for field in fields if field[0] not in dropped]
        connection.write(response.encode_head(101, kept, connection.context.date(), lines))
