"""One control call on one stream: messages both ways, a status at the end. The same class serves both ends.

The edge opens a call with `open_channel`. The agent knows one by `control_nonce`, resets it unless `is_authentic`, and
then takes it with `accept_channel` or answers it with `refuse_call`. A call's stream is urgent: its messages overtake
bulk data. What is received is passed on at once, so its window is given back at once; what is sent is bounded, and a
peer that does not read loses the call.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import BaseModel

from ..engine.session import Fields
from ..errors import ErrorCode
from ..wire import CONTROL_FIELD, CONTROL_PATH, EDGE_NAME
from .framing import MAX_MESSAGE, MessageDecoder, encode_message
from .status import Code, ControlError, status_fields, status_of

if TYPE_CHECKING:
    from ..connection import Connection

__all__ = [
    "CONTENT_TYPE",
    "Channel",
    "accept_channel",
    "control_nonce",
    "is_authentic",
    "open_channel",
    "refuse_call",
]

CONTENT_TYPE = b"application/grpc+json"
MAX_QUEUED = 4 * MAX_MESSAGE


class Channel:
    """One end of a call; an `h2s.connection.Stream`.

    `on_message` takes each message's payload and may raise ControlError to end the call with that status; `on_end`
    is called once, with the status the peer gave or the one that was found.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        on_message: Callable[[bytes], None],
        on_end: Callable[[Code, str], None],
        is_server: bool,
    ) -> None:
        self._connection = connection
        self._on_message = on_message
        self._on_end = on_end
        self._is_server = is_server
        self._decoder = MessageDecoder()
        self._ended = False
        self.stream_id = 0

    @property
    def ended(self) -> bool:
        """Whether the call is over."""
        return self._ended

    def send(self, message: BaseModel) -> None:
        """Send a message; on an ended call nothing happens."""
        if self._ended:
            return
        payload = encode_message(message.model_dump_json(exclude_none=True).encode())
        self._connection.send_data(self.stream_id, payload, end_stream=False)
        if self._connection.session.queued(self.stream_id) > MAX_QUEUED:
            self._fail(Code.RESOURCE_EXHAUSTED, "the peer does not read its control stream")

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
        if end_stream:
            self._answered(fields)
        elif head.get(b":status") != b"200" or not head.get(b"content-type", b"").startswith(
            b"application/grpc"
        ):
            self._fail(Code.UNKNOWN, "the answer is not a control call's")

    def on_data(self, data: bytes, flow: int, end_stream: bool) -> None:
        """Decode and pass on; the window is given back at once."""
        self._connection.credit(self.stream_id, flow)
        try:
            for message in self._decoder.feed(data):
                if self._ended:
                    return
                self._on_message(message)
        except ControlError as error:
            self._fail(error.code, str(error))
            return
        if end_stream and not self._ended:
            self._half_closed()

    def on_trailers(self, fields: Fields) -> None:
        """Client: the status. Server: the end of what the client sends."""
        if self._is_server:
            self._half_closed()
        else:
            self._answered(fields)

    def on_reset(self, code: int, processed: bool) -> None:
        """The stream or the whole tunnel is gone."""
        self._end(Code.CANCELLED, f"the stream was reset (code {code})")

    def on_drained(self) -> None:
        """Nothing waits: messages are small and their number is bounded."""

    # -- inside ----------------------------------------------------------------------------------------------------

    def _half_closed(self) -> None:
        if self._decoder.pending:
            self._fail(Code.INVALID_ARGUMENT, "the call ended within a message")
        elif self._is_server:
            self._fail(Code.OK, "")
        else:
            self._fail(Code.UNKNOWN, "the call ended without a status")

    def _answered(self, fields: Fields) -> None:
        """Client: the status is here; our side of the stream ends too."""
        self._connection.reset(self.stream_id, ErrorCode.NO_ERROR)
        self._end(*status_of(fields))

    def _fail(self, code: Code, message: str) -> None:
        """End the call from this side."""
        if self._is_server:
            self._connection.send_trailers(self.stream_id, status_fields(code, message))
            self._connection.reset_when_sent(self.stream_id, ErrorCode.NO_ERROR)
        else:
            self._connection.reset(self.stream_id, ErrorCode.CANCEL)
        self._end(code, message)

    def _end(self, code: Code, message: str) -> None:
        if not self._ended:
            self._ended = True
            self._connection.forget(self.stream_id)
            self._on_end(code, message)


def open_channel(
    connection: Connection,
    method: str,
    *,
    nonce: str,
    on_message: Callable[[bytes], None],
    on_end: Callable[[Code, str], None],
) -> Channel:
    """Edge: call `method` on the agent. Raises NoFreeStream."""
    channel = Channel(connection, on_message=on_message, on_end=on_end, is_server=False)
    fields = [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", EDGE_NAME.encode()),
        (b":path", CONTROL_PATH + method.encode()),
        (b"content-type", CONTENT_TYPE),
        (b"te", b"trailers"),
        (CONTROL_FIELD, nonce.encode()),
    ]
    channel.stream_id = connection.open(fields, channel, end_stream=False, urgent=True)
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


def accept_channel(
    connection: Connection,
    stream_id: int,
    *,
    on_message: Callable[[bytes], None],
    on_end: Callable[[Code, str], None],
) -> Channel:
    """Agent: take a control call that is authentic."""
    channel = Channel(connection, on_message=on_message, on_end=on_end, is_server=True)
    channel.stream_id = stream_id
    connection.session.make_urgent(stream_id)
    head = [(b":status", b"200"), (b"content-type", CONTENT_TYPE)]
    connection.send_head(stream_id, head, end_stream=False)
    return channel


def refuse_call(connection: Connection, stream_id: int, code: Code, message: str) -> None:
    """Agent: answer a call with nothing but a status (gRPC's trailers-only form)."""
    head = [(b":status", b"200"), (b"content-type", CONTENT_TYPE), *status_fields(code, message)]
    connection.send_head(stream_id, head, end_stream=True)
    connection.reset(stream_id, ErrorCode.NO_ERROR)
