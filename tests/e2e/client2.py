"""A blocking HTTP/2 client over TLS, on the `h2` library, for what command-line clients do not show.

One connection, any number of streams. `response` waits for one stream's end; a stream that the server resets raises
`StreamCut`, never a short body.
"""

from __future__ import annotations

import socket
import ssl
from collections import defaultdict
from types import TracebackType
from typing import Self

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from .address import Address
from .certificate import Certificate
from .client import TIMEOUT, Field, Head, Response

__all__ = ["Client2", "StreamCut"]


class StreamCut(Exception):
    """The server ended the stream, or the connection, before the response was complete."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"error code {code}")
        self.code = code


class Client2:
    """One HTTP/2 connection."""

    def __init__(self, address: Address, certificate: Certificate, name: str = "web.localhost") -> None:
        context = ssl.create_default_context(cafile=str(certificate.chain))
        context.set_alpn_protocols(["h2"])
        self.socket = context.wrap_socket(socket.create_connection(address, TIMEOUT), server_hostname=name)
        assert self.socket.selected_alpn_protocol() == "h2"
        self.authority = f"{name}:{address.port}".encode()
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=False))
        self._h2.initiate_connection()
        self._responses: defaultdict[int, Response] = defaultdict(lambda: Response(Head(b"HTTP/2", 0, [])))
        self._ended: set[int] = set()
        self._cut: dict[int, int | None] = {}
        self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def request(self, path: str, *fields: Field, method: bytes = b"GET", end: bool = True) -> int:
        """Send a request's head and return its stream."""
        stream = self._h2.get_next_available_stream_id()
        pseudo = [
            (b":method", method),
            (b":scheme", b"https"),
            (b":authority", self.authority),
            (b":path", path.encode("latin-1")),
        ]
        self._h2.send_headers(stream, [*pseudo, *fields], end_stream=end)
        self._flush()
        return stream

    def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Send a piece of a body that fits the windows."""
        self._h2.send_data(stream, data, end_stream=end)
        self._flush()

    def send_trailers(self, stream: int, *fields: Field) -> None:
        """Send the trailer section, the request's end."""
        self._h2.send_headers(stream, fields, end_stream=True)
        self._flush()

    def cancel(self, stream: int) -> None:
        """Reset a stream as a browser does when its tab is closed."""
        self._h2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
        self._flush()

    def response(self, stream: int) -> Response:
        """Wait for the whole response. Raises StreamCut."""
        while stream not in self._ended:
            self._step(stream)
        return self._responses[stream]

    def body_so_far(self, stream: int, size: int) -> bytes:
        """Wait until at least `size` bytes of the body are there. Raises StreamCut."""
        while len(self._responses[stream].body) < size and stream not in self._ended:
            self._step(stream)
        return self._responses[stream].body

    def interim(self, stream: int) -> Head:
        """Wait for the first interim head. Raises StreamCut."""
        while not self._responses[stream].interim:
            self._step(stream)
        return self._responses[stream].interim[0]

    def _step(self, stream: int) -> None:
        if stream in self._cut:
            raise StreamCut(self._cut[stream])
        data = self.socket.recv(65536)
        if not data:
            raise StreamCut(None)
        for event in self._h2.receive_data(data):
            self._take(event)
        self._flush()

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.InformationalResponseReceived():
                self._responses[event.stream_id].interim.append(head(event.headers))
            case h2.events.ResponseReceived():
                self._responses[event.stream_id].head = head(event.headers)
            case h2.events.DataReceived():
                self._responses[event.stream_id].body += event.data
                if event.flow_controlled_length:
                    self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.TrailersReceived():
                self._responses[event.stream_id].trailers = [(bytes(n), bytes(v)) for n, v in event.headers]
            case h2.events.StreamEnded():
                self._ended.add(event.stream_id)
            case h2.events.StreamReset():
                self._cut.setdefault(event.stream_id, event.error_code)

    def _flush(self) -> None:
        self.socket.sendall(self._h2.data_to_send())


def head(fields: object) -> Head:
    """Make a head of fields that start with `:status`."""
    (_, status), *rest = [(bytes(name), bytes(value)) for name, value in fields]  # type: ignore[attr-defined]
    return Head(b"HTTP/2", int(status), rest)
