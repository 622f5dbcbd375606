"""An HTTP/1.1 client that hides nothing (RFC 9112).

It sends octets as given and shows what comes back piece by piece, so that a test can say *when* something arrived, and
it tells a whole response from one that was cut short, which many clients gloss over.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from .address import Address

__all__ = ["Client", "CutShort", "Head", "Response", "fetch", "request"]

TIMEOUT = 20.0
Field = tuple[bytes, bytes]


class CutShort(Exception):
    """The connection ended before the message did."""


@dataclass(slots=True)
class Head:
    """A response's status and fields, names in lower case."""

    version: bytes
    status: int
    fields: list[Field]

    def value(self, name: bytes) -> bytes | None:
        """Return the first value of a field, or None."""
        return next(iter(self.values(name)), None)

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of a field in order."""
        return [value for key, value in self.fields if key == name]


@dataclass(slots=True)
class Response:
    """A whole response: the interim heads, the final one, the body and the trailer section."""

    head: Head
    body: bytes = b""
    trailers: list[Field] = field(default_factory=list)
    interim: list[Head] = field(default_factory=list)

    @property
    def status(self) -> int:
        """The final status."""
        return self.head.status

    def json(self) -> Any:
        """Return the body's JSON."""
        return json.loads(self.body)


def request(
    target: str = "/", *fields: str, method: str = "GET", host: str = "web.localhost", body: bytes = b""
) -> bytes:
    """Build a request; `fields` are whole lines. A body brings its Content-Length."""
    length = [f"Content-Length: {len(body)}"] if body else []
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields, *length]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Client:
    """One connection to one server."""

    def __init__(self, address: Address) -> None:
        self.socket = socket.create_connection(address, TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.trailers: list[Field] = []
        """The trailer section of the last chunked body."""
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send octets."""
        self.socket.sendall(data)

    def read_head(self) -> Head:
        """Read the next head, interim or final. Raises CutShort."""
        status_line, *lines = self._until(b"\r\n\r\n")[:-4].split(b"\r\n")
        version, status, *_ = status_line.split(b" ", 2)
        return Head(version, int(status), [split_field(line) for line in lines])

    def pieces(self, head: Head, method: str = "GET") -> Iterator[bytes]:
        """Yield the body as it comes, chunk by chunk if it is chunked. Raises CutShort."""
        if method == "HEAD" or head.status in (204, 304):
            return
        if head.value(b"transfer-encoding") == b"chunked":
            yield from self._chunks()
        elif (length := head.value(b"content-length")) is not None:
            left = int(length)
            while left:
                piece = self._some(left)
                if not piece:
                    raise CutShort(f"{left} bytes of the body did not come")
                left -= len(piece)
                yield piece
        else:
            while piece := self._some(65536):
                yield piece

    def read_response(self, method: str = "GET") -> Response:
        """Read the next whole response. Raises CutShort."""
        interim = []
        while (head := self.read_head()).status < 200:
            interim.append(head)
        self.trailers = []
        body = b"".join(self.pieces(head, method))
        return Response(head, body, self.trailers, interim)

    def at_end(self) -> bool:
        """Wait for more and return whether there is none: the server has closed the connection."""
        return not self._some(1)

    def received_until_the_end(self) -> bytes:
        """Return all that comes before the server closes or resets the connection."""
        try:
            while True:
                self._more()
        except (CutShort, ConnectionResetError):
            return bytes(self._buffer)

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._until(b"\r\n").partition(b";")[0], 16):
            yield self._exactly(size)
            self._exactly(2)
        self.trailers = []
        while (line := self._until(b"\r\n")) != b"\r\n":
            self.trailers.append(split_field(line))

    def _until(self, end: bytes) -> bytes:
        while (found := self._buffer.find(end)) < 0:
            self._more()
        return self._take(found + len(end))

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._more()
        return self._take(size)

    def _some(self, size: int) -> bytes:
        """Return up to `size` bytes, none at the end of the connection."""
        return self._take(size) if self._buffer else self.socket.recv(min(size, 65536))

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise CutShort(f"the connection ended after {bytes(self._buffer[-80:])!r}")
        self._buffer += data

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data


def fetch(address: Address, octets: bytes) -> Response:
    """Send one request on a connection of its own and return the response. Raises CutShort."""
    with Client(address) as client:
        client.send(octets)
        return client.read_response(octets.partition(b" ")[0].decode())


def split_field(line: bytes) -> Field:
    """Split a field line; the name in lower case."""
    name, _, value = line.partition(b":")
    return name.lower(), value.strip()
