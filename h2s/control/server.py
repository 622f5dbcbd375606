"""The agent's end of control calls: which methods it serves, and who answers them.

`CallServer.take` is given every request that carries the control field. What is wrong with a call is found in this
order: its nonce (the stream is reset, and nothing is said), the shape of gRPC, the method, how many calls are open, how
many have been. Metadata that is not known is ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..engine.conduct import Allowance
from ..engine.session import Fields, Rate
from ..errors import ErrorCode, LocalProtocolError
from ..messages import Message
from ..wire import CONTROL_PATH
from .channel import Channel, accept_channel, is_authentic, is_json_call, refuse_call
from .framing import MAX_MESSAGE
from .method import Method, parse_message
from .status import Code, ControlError
from .timeout import TIMEOUT_FIELD, parse_timeout

if TYPE_CHECKING:
    from ..connection import Connection

__all__ = ["CallServer", "Duplex", "Unary"]

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

CALLS = Rate(per_second=10, burst=100)
"""Calls that may be opened on a tunnel, whatever becomes of them."""


@dataclass(frozen=True, slots=True)
class Unary(Generic[Request, Response]):
    """A method that `answer` serves at once. It may raise ControlError."""

    method: Method[Request, Response]
    answer: Callable[[Request], Response]


@dataclass(frozen=True, slots=True)
class Duplex(Generic[Request, Response]):
    """A method whose call goes on. `on_open` is given the channel to send on; `on_message` may raise ControlError."""

    method: Method[Request, Response]
    on_open: Callable[[Channel], None]
    on_message: Callable[[Request], None]
    on_end: Callable[[Code, str], None]


Served = Unary[Any, Any] | Duplex[Any, Any]


class CallServer:
    """Serves the control calls of one tunnel."""

    def __init__(
        self,
        served: tuple[Served, ...],
        *,
        max_sent: Callable[[], int] = lambda: MAX_MESSAGE,
        on_stranger: Callable[[], None] = lambda: None,
    ) -> None:
        """`max_sent` gives the bytes of a message that the peer takes; `on_stranger` hears of each wrong nonce."""
        self._served = {each.method.path: each for each in served}
        self._tell_stranger = on_stranger
        self._max_sent = max_sent
        self._open = dict.fromkeys(self._served, 0)
        self._allowance = Allowance(CALLS)

    def take(
        self, connection: Connection, stream_id: int, fields: Fields, end_stream: bool, *, nonce: str
    ) -> Channel | None:
        """Begin to serve a call, or refuse it; return who takes the rest of it."""
        if not is_authentic(fields, nonce):
            self._tell_stranger()
            connection.reset(stream_id, ErrorCode.PROTOCOL_ERROR)
            return None
        head = dict(fields)
        served = self._served.get(head.get(b":path", b""))
        try:
            status = b"405"
            if head.get(b":method") != b"POST":
                raise ControlError(Code.INTERNAL, "a call is a POST")
            status = b"415"
            if not is_json_call(head.get(b"content-type", b"")):
                raise ControlError(Code.INVALID_ARGUMENT, "a call's content-type is application/grpc+json")
            status = b"200"
            timeout = parse_timeout(head[TIMEOUT_FIELD]) if TIMEOUT_FIELD in head else None
            if served is None:
                known = head.get(b":path", b"").startswith(CONTROL_PATH)
                raise ControlError(Code.UNIMPLEMENTED, "no such method" if known else "no such service")
            self._admit(served, connection.time())
        except ControlError as error:
            refuse_call(connection, stream_id, error.code, str(error), http_status=status)
            return None
        channel = self._accept(served, connection, stream_id)
        if timeout is None:
            timeout = served.method.timeout
        if timeout is not None:
            channel.expire_after(timeout)
        if isinstance(served, Duplex):
            served.on_open(channel)
        if end_stream:
            channel.on_data(b"", 0, True)
        return None if channel.ended else channel

    def _admit(self, served: Served, now: float) -> None:
        method = served.method
        if not self._allowance.take(1, now):
            raise ControlError(Code.RESOURCE_EXHAUSTED, "too many calls")
        if self._open[method.path] >= method.at_once:
            raise ControlError(
                Code.RESOURCE_EXHAUSTED, f"{method.name} is open {method.at_once} times at the most"
            )

    def _accept(self, served: Served, connection: Connection, stream_id: int) -> Channel:
        method = served.method
        path = method.path
        requests: list[Message] = []
        self._open[path] += 1

        def on_end(code: Code, text: str) -> None:
            self._open[path] -= 1
            if isinstance(served, Duplex):
                served.on_end(code, text)

        def on_message(payload: bytes) -> None:
            request = parse_message(method.request, payload)
            if isinstance(served, Duplex):
                served.on_message(request)
            elif requests:
                raise ControlError(Code.UNIMPLEMENTED, f"{method.name} takes one message, and a second came")
            else:
                requests.append(request)

        def answer() -> None:
            assert isinstance(served, Unary)
            if not requests:
                raise ControlError(Code.UNIMPLEMENTED, f"{method.name} takes one message, and none came")
            try:
                channel.send(served.answer(requests[0]))
            except LocalProtocolError as error:
                raise ControlError(Code.RESOURCE_EXHAUSTED, str(error)) from None
            channel.finish()

        channel = accept_channel(
            connection,
            stream_id,
            on_message=on_message,
            on_end=on_end,
            on_half_closed=answer if isinstance(served, Unary) else None,
            bounds=method.requests,
            max_sent=min(self._max_sent(), method.responses.max_size),
        )
        return channel
