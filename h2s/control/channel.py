"""One control call on one stream: messages both ways, a status at the end. The same class serves both ends.

The edge opens a call with `open_channel`. The agent knows one by `control_nonce`, resets it unless `is_authentic`, and
then takes it with `accept_channel` or answers it with `refuse_call`. What a call is about, is in `method`; `caller` and
`server` are the two ends of that. A call's stream is urgent: its messages overtake bulk data. What is received is
passed on at once, so its window is given back at once; what is sent is bounded, and a peer that does not read loses
the call.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel

from ..engine.conduct import Allowance
from ..engine.session import Fields
from ..errors import ErrorCode
from ..wire import CONTROL_FIELD, CONTROL_PATH, EDGE_NAME
from .framing import MAX_MESSAGE, MessageDecoder, encode_message
from .method import Bounds
from .status import Code, ControlError, code_of_http, code_of_reset, status_fields, status_of
from .timeout import TIMEOUT_FIELD, format_timeout

if TYPE_CHECKING:
    from ..connection import Connection

__all__ = [
    "CONTENT_TYPE",
    "Channel",
    "accept_channel",
    "control_nonce",
    "is_authentic",
    "is_json_call",
    "open_channel",
    "refuse_call",
]

CONTENT_TYPE = b"application/grpc+json"
CONTENT_TYPES = (CONTENT_TYPE, b"application/grpc")
"""What is taken: clients of gRPC do not always say of what their messages are made."""
MAX_QUEUED = 4 * MAX_MESSAGE
MESSAGE_UNIT = 4096
"""Bytes that make a message count as one more."""
NO_BOUNDS = Bounds()


class Timer(Protocol):
    """What `Connection.call_later` returns."""

    def cancel(self) -> None:
        """Let it not come."""


class Channel:
    """One end of a call; an `h2s.connection.Stream`.

    `on_message` takes each message's payload and may raise ControlError to end the call with that status; `on_end`
    is called once, with the status the peer gave or the one that was found. `on_half_closed` (server) is called when
    the client has sent all it will, and may raise ControlError too; without it that is the end of the call, with OK.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        on_message: Callable[[bytes], None],
        on_end: Callable[[Code, str], None],
        is_server: bool,
        on_half_closed: Callable[[], None] | None = None,
        bounds: Bounds = NO_BOUNDS,
        max_sent: int = MAX_MESSAGE,
    ) -> None:
        """`bounds` is what this end takes; `max_sent` how many bytes of a message the peer takes."""
        self._connection = connection
        self._on_message = on_message
        self._on_end = on_end
        self._on_half_closed = on_half_closed
        self._is_server = is_server
        self._decoder = MessageDecoder(bounds.max_size)
        self._allowance = Allowance(bounds.rate) if bounds.rate is not None else None
        self._max_sent = max_sent
        self._timer: Timer | None = None
        self._http_status = b"200"
        self._ended = False
        self.stream_id = 0

    @property
    def ended(self) -> bool:
        """Whether the call is over."""
        return self._ended

    def send(self, message: BaseModel, *, last: bool = False) -> None:
        """Send a message, the `last` one of this side if so said; on an ended call nothing happens.

        Raises LocalProtocolError for one that is too large for the peer.
        """
        if self._ended:
            return
        payload = encode_message(message.model_dump_json(exclude_none=True).encode(), self._max_sent)
        self._connection.send_data(self.stream_id, payload, end_stream=last)
        if self._connection.session.queued(self.stream_id) > MAX_QUEUED:
            self._fail(Code.RESOURCE_EXHAUSTED, "the peer does not read its control stream")

    def expire_after(self, seconds: float) -> None:
        """End the call with DEADLINE_EXCEEDED, unless it ends within this time."""
        if not self._ended:
            self._timer = self._connection.call_later(seconds, self._expire)

    def finish(self, code: Code = Code.OK, message: str = "") -> None:
        """End the call: the server with a status, the client by cancelling."""
        if not self._ended:
            self._fail(code, message)

    # -- h2s.connection.Stream ---------------------------------------------------------------------------------------

    def on_informational(self, fields: Fields) -> None:
        """1xx heads mean nothing here."""

    def on_head(self, fields: Fields, end_stream: bool) -> None:
        """Client: the call was taken, or (trailers only) refused."""
        head = dict(fields)
        self._http_status = status = head.get(b":status", b"")
        if end_stream:
            self._answered(fields)
        elif status != b"200":
            code = code_of_http(status)
            self._fail(code, f"HTTP status {status.decode('ascii', 'replace')[:8]}")
        elif not is_json_call(head.get(b"content-type", b"")):
            self._fail(Code.UNKNOWN, "the answer is not a control call's")

    def on_data(self, data: bytes, flow: int, end_stream: bool) -> None:
        """Decode and pass on; the window is given back at once."""
        self._connection.credit(self.stream_id, flow)
        try:
            for message in self._decoder.feed(data):
                if self._ended:
                    return
                if self._allowance is not None:
                    self._count(len(message), self._allowance)
                self._on_message(message)
            if end_stream and not self._ended:
                self._half_closed()
        except ControlError as error:
            self._fail(error.code, str(error))

    def on_trailers(self, fields: Fields) -> None:
        """Client: the status. Server: the end of what the client sends."""
        if not self._is_server:
            self._answered(fields)
            return
        try:
            self._half_closed()
        except ControlError as error:
            self._fail(error.code, str(error))

    def on_reset(self, code: int, processed: bool) -> None:
        """The stream or the whole tunnel is gone."""
        gone = self._is_server and code == ErrorCode.NO_ERROR  # So some clients cancel.
        status = Code.CANCELLED if gone else code_of_reset(code)
        self._end(status, f"the stream was reset (code {code})")

    def on_drained(self) -> None:
        """Nothing waits: messages are small and their number is bounded."""

    # -- inside ----------------------------------------------------------------------------------------------------

    def _count(self, size: int, allowance: Allowance) -> None:
        if not allowance.take(1 + size // MESSAGE_UNIT, self._connection.time()):
            raise ControlError(Code.RESOURCE_EXHAUSTED, "too many messages")

    def _expire(self) -> None:
        self._timer = None
        self.finish(Code.DEADLINE_EXCEEDED, "the call took too long")

    def _half_closed(self) -> None:
        if self._decoder.pending:
            self._fail(Code.INVALID_ARGUMENT, "the call ended within a message")
        elif not self._is_server:
            self._fail(Code.UNKNOWN, "the call ended without a status")
        elif self._on_half_closed is not None:
            self._on_half_closed()
        else:
            self._fail(Code.OK, "")

    def _answered(self, fields: Fields) -> None:
        """Client: the status is here; our side of the stream ends too."""
        self._connection.reset(self.stream_id, ErrorCode.NO_ERROR)
        code, message = status_of(fields)
        if self._http_status != b"200" and not any(name == b"grpc-status" for name, _ in fields):
            code = code_of_http(self._http_status)
            message = f"HTTP status {self._http_status.decode('ascii', 'replace')[:8]}"
        elif code is Code.OK and self._decoder.pending:
            code, message = Code.INTERNAL, "the call ended within a message"
        self._end(code, message)

    def _fail(self, code: Code, message: str) -> None:
        """End the call from this side."""
        if self._is_server:
            self._connection.send_trailers(self.stream_id, status_fields(code, message))
            self._connection.reset_when_sent(self.stream_id, ErrorCode.NO_ERROR)
        elif code is Code.RESOURCE_EXHAUSTED:
            self._connection.reset(self.stream_id, ErrorCode.ENHANCE_YOUR_CALM)
        else:
            self._connection.reset(self.stream_id, ErrorCode.CANCEL)
        self._end(code, message)

    def _end(self, code: Code, message: str) -> None:
        if not self._ended:
            self._ended = True
            if self._timer is not None:
                self._timer.cancel()
            self._connection.forget(self.stream_id)
            self._on_end(code, message)


def open_channel(
    connection: Connection,
    method: str,
    *,
    nonce: str,
    on_message: Callable[[bytes], None],
    on_end: Callable[[Code, str], None],
    bounds: Bounds = NO_BOUNDS,
    timeout: float | None = None,
) -> Channel:
    """Edge: call `method` on the agent, which is told of the `timeout` (seconds). Raises NoFreeStream."""
    channel = Channel(connection, on_message=on_message, on_end=on_end, is_server=False, bounds=bounds)
    fields = [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", EDGE_NAME.encode()),
        (b":path", CONTROL_PATH + method.encode()),
        (b"te", b"trailers"),
    ]
    if timeout is not None:
        fields.append((TIMEOUT_FIELD, format_timeout(timeout)))
    fields += [(b"content-type", CONTENT_TYPE), (CONTROL_FIELD, nonce.encode())]
    channel.stream_id = connection.open(fields, channel, end_stream=False, urgent=True)
    if timeout is not None:
        channel.expire_after(timeout)
    return channel


def control_nonce(fields: Fields) -> bytes | None:
    """Agent: the nonce that a request carries if it claims to be a control call, else None."""
    for name, value in fields:
        if name == CONTROL_FIELD:
            return value
    return None


def is_authentic(fields: Fields, nonce: str) -> bool:
    """Agent: whether a request carries this tunnel's nonce, exactly once; if not, reset it and answer nothing."""
    given = [value for name, value in fields if name == CONTROL_FIELD]
    return len(given) == 1 and hmac.compare_digest(given[0], nonce.encode())


def is_json_call(content_type: bytes) -> bool:
    """Whether this content-type is that of a call whose messages may be JSON."""
    return content_type.partition(b";")[0].strip().lower() in CONTENT_TYPES


def accept_channel(
    connection: Connection,
    stream_id: int,
    *,
    on_message: Callable[[bytes], None],
    on_end: Callable[[Code, str], None],
    on_half_closed: Callable[[], None] | None = None,
    bounds: Bounds = NO_BOUNDS,
    max_sent: int = MAX_MESSAGE,
) -> Channel:
    """Agent: take a control call that is authentic."""
    channel = Channel(
        connection,
        on_message=on_message,
        on_end=on_end,
        is_server=True,
        on_half_closed=on_half_closed,
        bounds=bounds,
        max_sent=max_sent,
    )
    channel.stream_id = stream_id
    connection.session.make_urgent(stream_id)
    head = [(b":status", b"200"), (b"content-type", CONTENT_TYPE), (b"grpc-accept-encoding", b"identity")]
    connection.send_head(stream_id, head, end_stream=False)
    return channel


def refuse_call(
    connection: Connection, stream_id: int, code: Code, message: str, *, http_status: bytes = b"200"
) -> None:
    """Agent: answer a call with nothing but a status (gRPC's trailers-only form)."""
    head = [(b":status", http_status), (b"content-type", CONTENT_TYPE), *status_fields(code, message)]
    connection.send_head(stream_id, head, end_stream=True)
    connection.reset(stream_id, ErrorCode.NO_ERROR)
