"""A second opinion on HTTP/1.1: what h11, which shares no code with Backplane's parsers, makes of the same bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

import h11

__all__ = ["Message", "read_requests", "read_response"]

LARGEST = 1 << 20
EMPTY_LINES = b"\r\n"


@dataclass(slots=True)
class Message:
    """One message as h11 read it."""

    method: bytes = b""
    target: bytes = b""
    status: int = 0
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    whole: bool = False
    """Its end was found."""
    switched: bool = False
    """The bytes behind it are another protocol's."""
    rest: bytes = b""
    """What came behind it."""
    error: str = ""
    """Why the bytes are no such message; the rest is meaningless then."""


def read_requests(data: bytes) -> list[Message]:
    """Read requests one after the other, to the first that is cut short, wrong, or asks for another protocol.

    Empty lines before a request are skipped here (RFC 9112 §2.2), since h11 does not.
    """
    found: list[Message] = []
    while data := data.lstrip(EMPTY_LINES):
        message = Message()
        _read(h11.Connection(h11.SERVER, LARGEST), data, message, ended=False)
        found.append(message)
        if not message.whole or message.switched:
            break
        data = message.rest
    return found


def read_response(data: bytes, *, method: bytes, upgrade: bool = False, ended: bool = True) -> Message:
    """Read one final response to `method` and the interim ones before it; `ended`: no byte will follow.

    Empty lines before it are skipped here, since h11 does not.
    """
    client = h11.Connection(h11.CLIENT, LARGEST)
    fields = [(b"host", b"a")] + [(b"upgrade", b"x"), (b"connection", b"upgrade")] * upgrade
    client.send(h11.Request(method=method, target=b"/", headers=fields))
    client.send(h11.EndOfMessage())
    message = Message(method=method)
    _read(client, data.lstrip(EMPTY_LINES), message, ended=ended)
    return message


def _read(parser: h11.Connection, data: bytes, message: Message, *, ended: bool) -> None:
    parser.receive_data(data)
    if ended:
        parser.receive_data(b"")
    try:
        while not message.whole:
            event = parser.next_event()
            match event:
                case h11.Request():
                    message.method, message.target = event.method, event.target
                    message.fields = list(event.headers)
                case h11.InformationalResponse() if event.status_code == 101:
                    message.status, message.whole, message.switched = 101, True, True
                case h11.Response():
                    message.status, message.fields = event.status_code, list(event.headers)
                case h11.Data():
                    message.body += event.data
                case h11.EndOfMessage():
                    message.whole = True
                    message.trailers = list(event.headers)
                    switching = h11.MIGHT_SWITCH_PROTOCOL  # type: ignore[attr-defined]
                    message.switched = parser.their_state is switching
                case h11.ConnectionClosed() | h11.NEED_DATA | h11.PAUSED:
                    return
    except h11.RemoteProtocolError as error:
        message.error = str(error) or "malformed"
    else:
        message.rest = parser.trailing_data[0]
