"""HTTP/1.1 as a server speaks it (RFC 9112), small enough to see through.

A `Connection` reads one request after the other and hands each to a handler as an `Exchange`: the request as it was on
the wire, its body as it comes, and the means to write any response at all. Nothing is checked or completed on the
handler's behalf, except that

* a body that the client announced with `Expect: 100-continue` is asked for (100) when the handler first reads it;
* what the handler left of the body is read, so that the connection can be used again;
* a response to HEAD has no body.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass

__all__ = ["Connection", "Exchange", "Field", "Handler", "Request"]

Field = tuple[bytes, bytes]
PIECE = 64 * 1024


@dataclass(slots=True)
class Request:
    """A request's head, as it was on the wire."""

    method: bytes
    target: bytes
    version: bytes
    fields: list[Field]
    head: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition(b"?")[0].decode("latin-1")

    def value(self, name: bytes) -> bytes | None:
        """Return the first value of the field `name` (in lower case)."""
        return next((value for key, value in self.fields if key.lower() == name), None)


class Exchange:
    """One request and whatever is answered to it."""

    def __init__(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.request = request
        self.reader = reader
        self.writer = writer
        self.trailers: list[Field] = []
        """The request's trailer section, once its body has been read."""
        self.close = request.version == b"HTTP/1.0" or request.value(b"connection") == b"close"
        """Close the connection after this exchange."""
        self._expects_continue = (request.value(b"expect") or b"").lower() == b"100-continue"
        self._body = self._read_body()

    # -- the request's body ----------------------------------------------------------------------------------------

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the rest of the body in pieces as they come."""
        if self._expects_continue:
            self._expects_continue = False
            await self.send_head(100)
        async for piece in self._body:
            yield piece

    async def _read_body(self) -> AsyncIterator[bytes]:
        if (self.request.value(b"transfer-encoding") or b"").lower() == b"chunked":
            async for piece in self._read_chunks():
                yield piece
            return
        left = int(self.request.value(b"content-length") or b"0")
        while left:
            piece = await self.reader.read(min(left, PIECE))
            if not piece:
                raise ConnectionResetError("the client left in its body")
            left -= len(piece)
            yield piece

    async def _read_chunks(self) -> AsyncIterator[bytes]:
        while size := int((await self.reader.readline()).partition(b";")[0], 16):
            while size:
                piece = await self.reader.read(min(size, PIECE))
                if not piece:
                    raise ConnectionResetError("the client left in its body")
                size -= len(piece)
                yield piece
            await self.reader.readexactly(2)
        while (line := await self.reader.readline()) not in (b"\r\n", b""):
            self.trailers.append(split_field(line))

    # -- the response ----------------------------------------------------------------------------------------------

    async def write(self, data: bytes) -> None:
        """Write octets as they are and wait while the client is slow."""
        self.writer.write(data)
        await self.writer.drain()

    async def send_head(self, status: int, fields: Iterable[Field] = ()) -> None:
        """Write a status line and these fields, and nothing else."""
        lines = [b"HTTP/1.1 %d Whatever" % status, *(name + b": " + value for name, value in fields)]
        await self.write(b"\r\n".join(lines) + b"\r\n\r\n")

    async def respond(self, status: int, fields: Iterable[Field] = (), body: bytes = b"") -> None:
        """Write a whole response with its Content-Length."""
        closing = [(b"Connection", b"close")] if self.close else []
        await self.send_head(status, [*fields, (b"Content-Length", b"%d" % len(body)), *closing])
        if self.request.method != b"HEAD":
            await self.write(body)

    async def send_chunk(self, data: bytes) -> None:
        """Write one chunk of a chunked body."""
        await self.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def end_chunks(self, trailers: Iterable[Field] = ()) -> None:
        """Write the last chunk and the trailer section."""
        lines = (name + b": " + value + b"\r\n" for name, value in trailers)
        await self.write(b"0\r\n" + b"".join(lines) + b"\r\n")

    async def client_left(self) -> None:
        """Wait until the client has closed or reset the connection."""
        try:
            while await self.reader.read(PIECE):
                pass
        except ConnectionError:
            return

    async def finish(self) -> None:
        """Read what the handler left of the body."""
        if not self._expects_continue:
            async for _ in self._body:
                pass


Handler = Callable[[Exchange], Awaitable[None]]


class Connection:
    """A client's connection, request after request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def run(self, handler: Handler) -> None:
        """Serve until one side has had enough."""
        try:
            while (request := await self._read_request()) is not None:
                exchange = Exchange(request, self.reader, self.writer)
                await handler(exchange)
                if exchange.close:
                    break
                await exchange.finish()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.writer.close()

    async def _read_request(self) -> Request | None:
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        line, *fields = head[:-4].split(b"\r\n")
        method, target, version = line.split(b" ")
        return Request(method, target, version, [split_field(field) for field in fields], head)


def split_field(line: bytes) -> Field:
    """Split a field line at its first colon; the value loses its surrounding whitespace (RFC 9112 §5)."""
    name, _, value = line.partition(b":")
    return name, value.strip(b" \t\r\n")
