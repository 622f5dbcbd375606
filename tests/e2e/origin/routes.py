"""What the origin answers, path by path.

A path names a behaviour and its arguments: `/bytes/1000000`, `/cut/chunked`, `/hold/KEY`. Whatever a test needs to
happen in an order is done with keys, not with time: `/events/KEY` sends an event for each `/events/KEY/release`,
`/hold/KEY` answers when `/hold/KEY/release` was asked for, and `/gone/KEY/report` says whether the client of
`/gone/KEY` has left.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections import defaultdict
from typing import Any

from .wire import Exchange, Field

__all__ = ["Application"]

BLOCK = bytes(range(256)) * 256
"""The 64 KiB that every generated body repeats."""


class Application:
    """One origin: its name, and what the tests have told it so far."""

    def __init__(self, name: str) -> None:
        self.mark: Field = (b"X-Origin", name.encode("latin-1"))
        self.name = name
        self._released: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(0))
        self._waiting: defaultdict[str, int] = defaultdict(int)
        self._gone: dict[str, bool] = {}
        self._heads: dict[str, dict[str, Any]] = {}
        self._sent: defaultdict[str, int] = defaultdict(int)

    async def handle(self, exchange: Exchange) -> None:
        """Answer by the first segment of the path."""
        root, _, path = exchange.request.path.partition("/")
        behaviour, *arguments = path.split("/") if not root else ["echo"]
        handler = getattr(self, f"do_{behaviour.replace('-', '_') or 'hello'}", None)
        if handler is None:
            await self.do_echo(exchange)
        else:
            await handler(exchange, *arguments)

    async def do_hello(self, exchange: Exchange) -> None:
        """Greet."""
        await exchange.respond(
            200, [self.mark, (b"Content-Type", b"text/plain")], f"hello from {self.name}\n".encode()
        )

    async def do_echo(self, exchange: Exchange, *_: str) -> None:
        """Report the request as it was on the wire; bodies up to 64 KiB whole, all of them by size and digest."""
        digest, size, kept = hashlib.sha256(), 0, b""
        async for piece in exchange.body():
            digest.update(piece)
            size += len(piece)
            if size <= len(BLOCK):
                kept += piece
        await self._report(
            exchange,
            {
                **describe(exchange),
                "trailers": text_fields(exchange.trailers),
                "body": base64.b64encode(kept).decode(),
                "size": size,
                "sha256": digest.hexdigest(),
            },
        )

    # -- bodies ----------------------------------------------------------------------------------------------------

    async def do_bytes(self, exchange: Exchange, size: str, key: str = "") -> None:
        """Send `size` bytes with their Content-Length, counting them under `key`."""
        await exchange.send_head(200, [self.mark, (b"Content-Length", size.encode())])
        if exchange.request.method == b"HEAD":
            return
        for start in range(0, int(size), len(BLOCK)):
            await exchange.write(BLOCK[: int(size) - start])
            self._sent[key] += len(BLOCK)

    async def do_sent(self, exchange: Exchange, key: str) -> None:
        """Report how much `/bytes/SIZE/KEY` has been able to write."""
        await self._report(exchange, self._sent[key])

    async def do_chunked(self, exchange: Exchange, size: str) -> None:
        """Send `size` bytes in chunks."""
        await exchange.send_head(200, [self.mark, (b"Transfer-Encoding", b"chunked")])
        for start in range(0, int(size), len(BLOCK)):
            await exchange.send_chunk(BLOCK[: int(size) - start])
        await exchange.end_chunks()

    async def do_until_close(self, exchange: Exchange) -> None:
        """Send a body that ends when the connection does."""
        await exchange.send_head(200, [self.mark, (b"Connection", b"close")])
        await exchange.write(b"all of it")
        exchange.close = True

    async def do_trailers(self, exchange: Exchange) -> None:
        """Send a chunked body and a trailer section."""
        fields = [self.mark, (b"Transfer-Encoding", b"chunked"), (b"Trailer", b"X-Checksum, X-Note")]
        await exchange.send_head(200, fields)
        await exchange.send_chunk(b"body")
        await exchange.end_chunks([(b"X-Checksum", b"abc123"), (b"X-Note", b"caf\xe9")])

    async def do_duplex(self, exchange: Exchange) -> None:
        """Send back each piece of the body as it comes."""
        await exchange.send_head(200, [self.mark, (b"Transfer-Encoding", b"chunked")])
        async for piece in exchange.body():
            await exchange.send_chunk(piece)
        await exchange.end_chunks()

    # -- heads -----------------------------------------------------------------------------------------------------

    async def do_status(self, exchange: Exchange, status: str) -> None:
        """Answer with `status`; a 304 says how long the body would have been (RFC 9110 §15.4.5)."""
        if status in ("204", "304"):
            length = [(b"Content-Length", b"1234"), (b"ETag", b'"v1"')] if status == "304" else []
            await exchange.send_head(int(status), [self.mark, *length])
        else:
            await exchange.respond(int(status), [self.mark], f"status {status}\n".encode())

    async def do_cookies(self, exchange: Exchange) -> None:
        """Set two cookies in two fields."""
        cookies = [
            (b"Set-Cookie", b"a=1; Path=/"),
            (b"Set-Cookie", b"b=2; Expires=Wed, 21 Oct 2037 07:28:00 GMT"),
        ]
        await exchange.respond(200, [self.mark, cookies[0], (b"X-Between", b"caf\xe9"), cookies[1]])

    async def do_hints(self, exchange: Exchange, key: str) -> None:
        """Send 103 Early Hints, and the final response when released."""
        await exchange.send_head(103, [(b"Link", b"</style.css>; rel=preload")])
        await self._released[key].acquire()
        await exchange.respond(200, [self.mark], b"done\n")

    async def do_refuse(self, exchange: Exchange, status: str) -> None:
        """Answer at once without reading the body, and close."""
        exchange.close = True
        await exchange.respond(int(status), [self.mark], b"no\n")

    # -- order -----------------------------------------------------------------------------------------------------

    async def do_events(self, exchange: Exchange, key: str, verb: str = "") -> None:
        """Send three server-sent events, the first at once and each further one when released."""
        if verb == "release":
            await self._release(exchange, key)
            return
        kind = (b"Content-Type", b"text/event-stream")
        await exchange.send_head(200, [self.mark, kind, (b"Transfer-Encoding", b"chunked")])
        for number in range(3):
            if number:
                await self._released[key].acquire()
            await exchange.send_chunk(b"data: %d\n\n" % number)
        await exchange.end_chunks()

    async def do_hold(self, exchange: Exchange, key: str, verb: str = "") -> None:
        """Answer when released; `/hold/KEY/report` counts those that wait."""
        if verb == "release":
            await self._release(exchange, key)
        elif verb == "report":
            await self._report(exchange, self._waiting[key])
        else:
            self._waiting[key] += 1
            await self._released[key].acquire()
            self._waiting[key] -= 1
            await self.do_hello(exchange)

    async def do_gone(self, exchange: Exchange, key: str, verb: str = "") -> None:
        """Wait for the client to leave, before the head or (`/gone/KEY/body`) within the body."""
        if verb == "report":
            await self._report(exchange, self._gone.get(key))
            return
        self._gone[key] = False
        exchange.close = True
        if verb == "body":
            await exchange.send_head(200, [self.mark, (b"Transfer-Encoding", b"chunked")])
            await exchange.send_chunk(b"first")
        await exchange.client_left()
        self._gone[key] = True

    # -- failures --------------------------------------------------------------------------------------------------

    async def do_cut(self, exchange: Exchange, where: str) -> None:
        """Close half way: in a body by `length`, in a `chunked` one, or before the `head`."""
        exchange.close = True
        if where == "length":
            await exchange.send_head(200, [self.mark, (b"Content-Length", b"100000")])
            await exchange.write(BLOCK[:50000])
        elif where == "chunked":
            await exchange.send_head(200, [self.mark, (b"Transfer-Encoding", b"chunked")])
            await exchange.send_chunk(BLOCK[:50000])

    async def do_rubbish(self, exchange: Exchange) -> None:
        """Answer with something that is not HTTP."""
        exchange.close = True
        await exchange.write(b"220 mail.example ESMTP\r\n")

    async def do_ws(self, exchange: Exchange, key: str = "") -> None:
        """Echo WebSocket messages; `/gone/KEY/report` says whether the client has left."""
        from .websocket import echo

        self._gone[key] = False
        self._heads[key] = describe(exchange)
        try:
            await echo(exchange)
        finally:
            self._gone[key] = True

    async def do_handshake(self, exchange: Exchange, key: str) -> None:
        """Report the head of the request that opened `/ws/KEY`."""
        await self._report(exchange, self._heads.get(key))

    # -- inside ----------------------------------------------------------------------------------------------------

    async def _release(self, exchange: Exchange, key: str) -> None:
        self._released[key].release()
        await exchange.respond(200, [self.mark])

    async def _report(self, exchange: Exchange, value: Any) -> None:
        await exchange.respond(
            200, [self.mark, (b"Content-Type", b"application/json")], json.dumps(value).encode()
        )


def describe(exchange: Exchange) -> dict[str, Any]:
    """Return a request's head as JSON can hold it."""
    request = exchange.request
    return {
        "method": request.method.decode("latin-1"),
        "target": request.target.decode("latin-1"),
        "version": request.version.decode("latin-1"),
        "fields": text_fields(request.fields),
    }


def text_fields(fields: list[Field]) -> list[list[str]]:
    """Return fields as JSON can hold them, an octet a character."""
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in fields]
