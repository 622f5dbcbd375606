"""The public HTTP/1.1 ingress against clients that do not keep to HTTP.

A case's bytes go into a connection without sockets. Its gateway behaves as the variant says, and keeps what it sees.
Afterwards h11 is asked twice. Of the raw bytes: had it found the same requests? Of each request as the agent would
write it for the app: is it exactly one, with the same body? Whatever the client sent, it gets valid responses, the
last of which may be a refusal, and nothing behind a refusal reaches the gateway.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, cast

from hypothesis import strategies as st

from agent.upstream.request import encode_request
from edge.ingress.context import Context
from edge.ingress.http1 import Http1Connection
from edge.ingress.limits import IngressLimits
from edge.message import Downstream, Request
from edge.problem import Refusal
from h2s.engine.session import Fields
from h2s.fields import content_length, request_error, trailer_error

from .case import Case, Target, reads
from .grammar import requests
from .oracle import Message, read_requests, read_response

__all__ = ["INGRESS"]

BEHAVIOURS = ("end", "end", "begin", "echo", "pausing", "silent", "trailers")
"""When a gateway answers: at the request's end, at its beginning, with each piece, after pauses, or not at all."""
TURNS = 6
"""Turns of the loop between two reads: enough for whatever is left to it."""


class Exchange:
    """The gateway's side of one request: it keeps what comes, and answers in its way."""

    def __init__(self, behaviour: str, request: Request, downstream: Downstream) -> None:
        self.behaviour = behaviour
        self.request = request
        self.downstream = downstream
        self.pieces: list[bytes] = []
        self.trailers: Fields = []
        self.ended = request.end_stream
        self.gone = 0
        self.answered = False

    @property
    def body(self) -> bytes:
        """What has come of the body."""
        return b"".join(self.pieces)

    def begin(self) -> None:
        """Answer what is to be answered before a body."""
        if self.behaviour == "echo":
            self.downstream.send_head(200, [], end_stream=self.ended)
            self.answered = self.ended
        elif self.behaviour == "begin" or self.ended:
            self._answer()

    def on_request_data(self, data: bytes, *, end_stream: bool) -> None:
        assert not self.ended
        assert not self.gone
        assert data or end_stream
        self.pieces.append(data)
        self.ended = end_stream
        if self.behaviour == "echo" and not self.answered:
            self.answered = end_stream
            self.downstream.send_data(data, end_stream=end_stream)
        elif self.behaviour == "pausing" and not end_stream and not self.answered:
            self.downstream.pause_request()
            asyncio.get_running_loop().call_soon(self._go_on)
        if end_stream:
            self._answer()

    def on_request_trailers(self, fields: Fields) -> None:
        assert not self.ended
        self.trailers, self.ended = fields, True
        self._answer()

    def on_downstream_drained(self) -> None:
        """Nothing was held back."""

    def on_client_gone(self, refused: Refusal | None = None) -> None:
        self.gone += 1

    def _go_on(self) -> None:
        if not self.gone and not self.ended:
            self.downstream.resume_request()

    def _answer(self) -> None:
        if self.answered or self.behaviour == "silent":
            return
        self.answered = True
        if self.behaviour == "echo":
            self.downstream.send_data(b"", end_stream=True)
        elif self.behaviour == "trailers":
            self.downstream.send_head(200, [], end_stream=False)
            self.downstream.send_data(b"hi", end_stream=False)
            self.downstream.send_trailers([(b"x-end", b"1")])
        else:
            self.downstream.send_head(200, [(b"content-length", b"2")], end_stream=False)
            self.downstream.send_data(b"hi", end_stream=True)


class Gateway:
    """Keeps every exchange."""

    def __init__(self, behaviour: str) -> None:
        self.draining = False
        self.has_room = True
        self.behaviour = behaviour
        self.exchanges: list[Exchange] = []

    def refused(self, request: Request, status: int, code: str) -> bytes:
        return b""

    def begin(self, request: Request, downstream: Downstream) -> Exchange:
        exchange = Exchange(self.behaviour, request, downstream)
        self.exchanges.append(exchange)
        exchange.begin()
        return exchange


class Transport(asyncio.Transport):
    """Delivers reads unless reading is paused, and keeps what is written."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__({"peername": ("192.0.2.1", 1)})
        self.protocol = protocol
        self.written = bytearray()
        self.aborted = False
        self._waiting: deque[bytes] = deque()
        self._paused = False
        self._closing = False

    def deliver(self, *data: bytes) -> None:
        self._waiting.extend(data)
        while self._waiting and not self._paused and not self._closing:
            self.protocol.data_received(self._waiting.popleft())

    def end(self) -> None:
        """The client closes, and with it the connection."""
        if not self._closing:
            self.protocol.eof_received()
        self.close()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self._closing
        self.written += data

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.aborted = True
        self.close()

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """The client is told that nothing follows."""

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        asyncio.get_running_loop().call_soon(self.deliver)


async def serve(case: Case) -> tuple[list[Exchange], Transport]:
    """Run a connection from its first read to its end; any error in a callback fails."""
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    gateway = Gateway(case.variant)
    context = Context(gateway, IngressLimits())
    connection = Http1Connection(context)
    transport = Transport(cast(asyncio.Protocol, connection))
    connection.connection_made(transport)
    for read in case.reads:
        transport.deliver(read)
        for _ in range(TURNS):
            await asyncio.sleep(0)
    transport.end()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not errors, errors
    assert not context.connections
    return gateway.exchanges, transport


def check(case: Case) -> None:
    """Serve a case, and look at it from all sides."""
    exchanges, transport = asyncio.run(serve(case))
    for exchange in exchanges:
        check_forwarded(exchange)
    check_against_h11(exchanges, case.data)
    check_responses(exchanges, transport)


def check_forwarded(exchange: Exchange) -> None:
    """A request can be said in HTTP/2, and the agent writes it as exactly one of HTTP/1.1."""
    request = exchange.request
    pseudo = [(b":method", request.method), (b":scheme", request.scheme), (b":path", request.path)]
    if request.upgrade is not None:
        pseudo[0] = (b":method", b"CONNECT")
        pseudo.append((b":protocol", request.upgrade))
    if request.authority:
        pseudo.append((b":authority", request.authority))
    fields = pseudo + request.fields
    assert request_error(fields) is None
    assert trailer_error(exchange.trailers) is None
    assert not any(name.startswith(b"h2s-") for name, _ in request.fields + exchange.trailers)
    head = encode_request(fields, end_stream=request.end_stream, host=b"upstream")
    framing = head.framing(end_stream=request.end_stream)
    data = head.data + b"".join(part for piece in exchange.pieces for part in framing.data(piece))
    if exchange.ended:
        data += b"".join(framing.end(exchange.trailers))
    seen = read_requests(ascii_target(data))
    assert len(seen) == 1, seen
    assert not seen[0].error, seen[0].error
    if request.upgrade is None:
        assert not seen[0].rest
        assert seen[0].body == exchange.body
        # Over HTTP/2 all of an announced length can have come before the stream ends, or breaks.
        assert seen[0].whole == (exchange.ended or length_came(exchange))


def length_came(exchange: Exchange) -> bool:
    """Whether as much has come over HTTP/2 as the head has announced."""
    length = content_length(exchange.request.fields)
    return exchange.request.version == "2" and length == len(exchange.body)


def check_against_h11(exchanges: list[Exchange], data: bytes) -> None:
    """What the gateway saw is what h11 finds in the same bytes, as far as the gateway saw any."""
    found = read_requests(data)
    for number, exchange in enumerate(exchanges):
        assert number < len(found), exchange.request
        request, theirs = exchange.request, found[number]
        if beyond_h11(theirs, data):
            return
        assert theirs.method == request.method, theirs
        if theirs.target[:1] in (b"/", b"*"):
            assert theirs.target == request.path
        if request.upgrade is not None or theirs.switched:
            return
        assert theirs.body.startswith(exchange.body)
        if exchange.ended:
            assert theirs.whole, theirs
            assert theirs.body == exchange.body


def beyond_h11(message: Message, data: bytes) -> bool:
    """Whether h11 refused what HTTP allows: octets above 0x7f in a target."""
    return bool(message.error) and any(octet >= 0x80 for octet in data)


def check_responses(exchanges: list[Exchange], transport: Transport) -> None:
    """Each request answered has one valid response, in order; one refusal may follow, and ends the connection."""
    data = bytes(transport.written)
    for exchange in exchanges:
        if not data:
            break
        request = exchange.request
        # A refusal has its body for HEAD too: it comes in place of an answer, and the connection ends with it.
        method = request.method if exchange.answered else b"GET"
        seen = read_response(data, method=method, upgrade=request.upgrade is not None)
        assert exchange.answered or transport.aborted or is_refusal(seen), (seen, data)
        assert seen.whole or transport.aborted, (seen, data)
        assert exchange is exchanges[-1] or not is_refusal(seen)
        data = seen.rest
        if seen.switched or transport.aborted:
            return
    if data:
        last = read_response(data, method=b"GET")
        assert is_refusal(last), (last, data)
        assert not last.rest


def is_refusal(message: Message) -> bool:
    """Whether this is the ingress's own answer, after which it closes."""
    return message.whole and message.status >= 400 and (b"connection", b"close") in message.fields


def ascii_target(data: bytes) -> bytes:
    """Replace what h11 does not take in a target although HTTP and browsers do."""
    line, end, rest = data.partition(b"\r\n")
    return bytes(octet if octet < 0x80 else 0x7E for octet in line) + end + rest


CASES = st.builds(Case, st.sampled_from(BEHAVIOURS), reads(requests))
INGRESS = Target("ingress", CASES, check)
