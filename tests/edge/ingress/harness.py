"""A gateway that does what a test tells it, an ingress on loopback, and a client that speaks raw bytes."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable

from edge.ingress import Ingress, IngressLimits
from edge.message import Downstream, Request
from edge.problem import Refusal
from h2s.engine.session import Fields

DEADLINE = 10.0

Script = Callable[["Exchange"], None]


class Exchange:
    """What the gateway has seen of one exchange."""

    def __init__(self, gateway: FakeGateway, request: Request, downstream: Downstream) -> None:
        self.gateway = gateway
        self.request = request
        self.downstream = downstream
        self.pieces: list[bytes] = []
        self.trailers: Fields = []
        self.ended = request.end_stream
        self.gone = 0
        self.refused: Refusal | None = None
        self.drained = 0

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def on_request_data(self, data: bytes, *, end_stream: bool) -> None:
        assert not self.ended
        self.pieces.append(data)
        self.ended = end_stream
        self.gateway.on_data(self, data)
        if end_stream:
            self.gateway.on_end(self)

    def on_request_trailers(self, fields: Fields) -> None:
        assert not self.ended
        self.trailers = fields
        self.ended = True
        self.gateway.on_end(self)

    def on_downstream_drained(self) -> None:
        self.drained += 1
        self.gateway.on_drained(self)

    def on_client_gone(self, refused: Refusal | None = None) -> None:
        self.gone += 1
        self.refused = refused

    def answer(self, body: bytes = b"hello", status: int = 200, fields: Fields | None = None) -> None:
        if fields is None:
            fields = [(b"content-length", b"%d" % len(body))]
        self.downstream.send_head(status, fields, end_stream=not body)
        if body:
            self.downstream.send_data(body, end_stream=True)


def nothing(exchange: Exchange) -> None:
    """Leave the exchange open."""


class FakeGateway:
    """Runs `on_begin` for each request, `on_end` when it has been read (at once if it has no body)."""

    def __init__(
        self,
        *,
        on_begin: Script = nothing,
        on_end: Script = Exchange.answer,
        on_data: Callable[[Exchange, bytes], None] = lambda exchange, data: None,
        on_drained: Script = nothing,
    ) -> None:
        self.draining = False
        self.has_room = True
        self.exchanges: list[Exchange] = []
        self.refusals: list[tuple[bytes, bytes, int, str]] = []
        self.on_begin = on_begin
        self.on_end = on_end
        self.on_data = on_data
        self.on_drained = on_drained

    def refused(self, request: Request, status: int, code: str) -> bytes:
        self.refusals.append((request.method, request.path, status, code))
        return b""

    def begin(self, request: Request, downstream: Downstream) -> Exchange:
        exchange = Exchange(self, request, downstream)
        self.exchanges.append(exchange)
        self.on_begin(exchange)
        if request.end_stream:
            self.on_end(exchange)
        return exchange


class Client:
    """One connection; everything read has a deadline."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *lines: bytes) -> None:
        """Send lines, each with CRLF behind it."""
        self.writer.write(b"".join(line + b"\r\n" for line in lines))

    def reset(self) -> None:
        """Leave without a goodbye."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def read_head(self) -> bytes:
        """Read to the end of a head, without its Date."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), DEADLINE)
        return re.sub(rb"date: [A-Z][a-z]{2}, [^\r]* GMT\r\n", b"", head)

    async def read(self, size: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(size), DEADLINE)

    async def read_all(self) -> bytes:
        """Read to the end of the connection, and leave out every Date."""
        data = await asyncio.wait_for(self.reader.read(), DEADLINE)
        return re.sub(rb"date: [A-Z][a-z]{2}, [^\r]* GMT\r\n", b"", data)


class Site:
    """An ingress on a free port of loopback with its gateway."""

    def __init__(self, gateway: FakeGateway, ingress: Ingress, port: int) -> None:
        self.gateway = gateway
        self.ingress = ingress
        self.port = port
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def last(self) -> Exchange:
        return self.gateway.exchanges[-1]

    async def connect(self, context: ssl.SSLContext | None = None) -> Client:
        name = "localhost" if context is not None else None
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context, server_hostname=name
        )
        self._writers.append(writer)
        return Client(reader, writer)

    async def ask(self, request: bytes) -> bytes:
        """Send bytes on a new connection and read to its end."""
        client = await self.connect()
        client.writer.write(request)
        return await client.read_all()

    async def hang_up(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def site(
    gateway: FakeGateway | None = None,
    *,
    limits: IngressLimits | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncIterator[Site]:
    """Serve for the time of the block, and check that nothing is left behind."""
    gateway = gateway or FakeGateway()
    ingress = Ingress(gateway, limits, ssl_context)
    _, port = await ingress.start("127.0.0.1", 0)
    served = Site(gateway, ingress, port)
    try:
        yield served
    finally:
        await served.hang_up()
        await ingress.close()
        await eventually(lambda: ingress.connections == 0)


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; fail when it does not in time."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 (what is waited for knows no events)
            await asyncio.sleep(0.002)
