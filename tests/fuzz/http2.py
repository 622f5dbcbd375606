"""The public HTTP/2 ingress against clients that do not keep to HTTP.

A case's bytes go into a connection without sockets, as those of `ingress` do. Afterwards each request that came through
is said in HTTP/1.1: the ingress has to take it there too, and to understand the same, for there is one set of rules.
And it is written as the agent would for the app, of which h11 has to make exactly one request. What the client got
makes sense for each of its streams.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any, cast

from hyperframe.frame import DataFrame, Frame, HeadersFrame, RstStreamFrame
from hypothesis import strategies as st

from edge.ingress.context import Context
from edge.ingress.head import HeadParser
from edge.ingress.http2 import Http2Connection
from edge.ingress.limits import IngressLimits
from edge.message import Request
from h2s.engine.session import Fields
from h2s.wire import H2_PREFACE

from . import ingress
from .case import Case, Target, damaged, mostly, reads
from .frames import DATA, END_HEADERS, END_STREAM, HEADERS, block, frame, frames, settings_frame

__all__ = ["HTTP2"]

GREETING = H2_PREFACE + settings_frame()
KEY = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
METHODS = mostly(
    [b"GET", b"POST", b"HEAD", b"OPTIONS"], [b"CONNECT", b"PRI", b"get", b"G T", b"", b"\xc3"], weight=10
)
SCHEMES = mostly([b"https", b"http"], [b"HTTP", b"h2s", b"ws", b"", b"h t", b"https:"], weight=10)
PATHS = mostly(
    [b"/", b"/a?b=c", b"/a%20/../b", b"//x", b"/{}|^`\"'", b"/", b"/#f", b"/\xff", b"/" + b"x" * 17_000],
    [
        b"*",
        b"",
        b"a",
        b"/a b",
        b"http://a/",
        b"/\x01",
        b"/\x7f",
        b"/\r\nx: y",
    ],
    weight=10,
)
HOSTS = mostly(
    [b"web.localhost", b"[::1]:80", b"a"],
    [b"", b"a b", b"a,b", b"a/b", b"u@a", b"a..b", b"::1", b"a:b", b"caf\xc3\xa9", b"A", b"a\r\nb"],
    weight=10,
)
PROTOCOLS = st.sampled_from([b"websocket", b"WebSocket", b"raw", b"h2c", b"h2", b"TLS/1.3", b""])
MEANT_WELL = [
    (b"accept", b"*/*"),
    (b"cookie", b"a=b"),
    (b"te", b"trailers"),
    (b"expect", b"100-continue"),
    (b"content-length", b"5"),
    (b"sec-websocket-version", b"13"),
    (b"x-latin", b"caf\xe9"),
]
MEANT_ILL = [
    (b"h2s-control", b"00"),
    (b"x_y", b"1"),
    (b"content-length", b"5"),
    (b"content-length", b"05"),
    (b"content-length", b"0"),
    (b"expect", b"200-ok"),
    (b"http2-settings", b"AA"),
    (b"sec-websocket-version", b"8"),
    (b"sec-websocket-key", b"x"),
    (b"large", b"x" * 15_000),
]
MALFORMED = [
    (b"content-length", b"-1"),
    (b"te", b"gzip"),
    (b"connection", b"close"),
    (b"upgrade", b"h2c"),
    (b"transfer-encoding", b"chunked"),
    (b"Upper", b"x"),
    (b"x", b"a\r\nb: c"),
    (b"x", b" a"),
    (b"", b"x"),
    (b":path", b"/late"),
]
FIELDS = mostly(MEANT_WELL * 2 + MEANT_ILL, MALFORMED, weight=20)
TRAILERS = mostly(
    [(b"grpc-status", b"0")],
    [
        (b"h2s-control", b"00"),
        (b"content-length", b"9"),
        (b"host", b"x"),
        (b"x_y", b"1"),
        (b"X", b"y"),
        (b":path", b"/"),
    ],
)


class Transport(ingress.Transport):
    """A transport that can change its protocol, and to which the end of a client comes as a surprise."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = cast(asyncio.Protocol, protocol)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.is_closing():
            super().write(data)


async def serve(case: Case) -> tuple[list[ingress.Exchange], Transport]:
    """Run a connection from its first read to its end; any error in a callback fails."""
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    gateway = ingress.Gateway(case.variant)
    context = Context(gateway, IngressLimits())
    transport = Transport(asyncio.Protocol())
    Http2Connection(context, transport).start()
    for read in case.reads:
        transport.deliver(read)
        for _ in range(ingress.TURNS):
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
        ingress.check_forwarded(exchange)
        check_in_http1(exchange.request)
    check_frames(bytes(transport.written))


def check_in_http1(request: Request) -> None:
    """The same request over HTTP/1.1 is taken, and means the same."""
    head = HeadParser(IngressLimits()).parse(in_http1(request))
    said = head.request(scheme=request.scheme, peer=request.peer, started=0.0)
    assert (said.authority, said.path, said.upgrade) == (request.authority, request.path, request.upgrade)
    assert sorted(said.fields) == sorted(request.fields)
    assert request.upgrade is not None or said.method == request.method


def in_http1(request: Request) -> bytes:
    """Write a request's head as a client of HTTP/1.1 would."""
    method = b"GET" if request.upgrade is not None else request.method
    lines = [b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (method, request.path, request.authority)]
    lines += [b"%b: %b\r\n" % field for field in request.fields]
    options = [b"TE"] if (b"te", b"trailers") in request.fields else []
    if request.upgrade is not None:
        options.append(b"upgrade")
        lines += [b"Upgrade: %b\r\n" % request.upgrade, KEY if request.upgrade == b"websocket" else b""]
    elif not request.end_stream and not any(name == b"content-length" for name, _ in request.fields):
        lines.append(b"Transfer-Encoding: chunked\r\n")
    if options:
        lines.append(b"Connection: %b\r\n" % b", ".join(options))
    return b"".join(lines) + b"\r\n"


def check_frames(written: bytes) -> None:
    """Each stream has one head, a body perhaps, and one end, behind which comes nothing but a reset."""
    begun: defaultdict[int, bool] = defaultdict(bool)
    ended: defaultdict[int, bool] = defaultdict(bool)
    view = memoryview(written)
    while view:
        read, size = Frame.parse_frame_header(view[:9])
        view = view[9 + size :]
        stream_id = read.stream_id
        if isinstance(read, HeadersFrame | DataFrame):
            assert not ended[stream_id]
            assert begun[stream_id] or isinstance(read, HeadersFrame)
            begun[stream_id] = True
            ended[stream_id] = "END_STREAM" in read.flags
        elif isinstance(read, RstStreamFrame):
            ended[stream_id] = True


@st.composite
def head(draw: st.DrawFn) -> Fields:
    """A request's head, in which one thing or another may be wrong."""
    protocol = draw(mostly([None], [PROTOCOLS], weight=5))
    fields = [
        (b":method", draw(METHODS) if protocol is None else b"CONNECT"),
        (b":scheme", draw(SCHEMES)),
        (b":authority", draw(HOSTS)),
        (b":path", draw(PATHS)),
    ]
    if protocol is not None:
        fields.append((b":protocol", draw(protocol)))
    if not draw(mostly([True], [False], weight=15)):
        del fields[draw(st.integers(0, len(fields) - 1))]
    if draw(mostly([False], [True], weight=8)):
        fields.append((b"host", draw(HOSTS)))
    fields += draw(st.lists(FIELDS, max_size=4))
    if draw(mostly([False], [True], weight=6)):
        fields += [draw(FIELDS)] * draw(st.sampled_from((2, 5, 128, 300)))
    return fields


@st.composite
def message(draw: st.DrawFn, stream_id: int) -> bytes:
    """A request: a head, and perhaps a body and trailers."""
    pieces = draw(st.lists(st.sampled_from([b"hello", b"x", b""]), max_size=2))
    trailers = draw(st.lists(TRAILERS, min_size=1, max_size=3)) if draw(mostly([False], [True])) else []
    payloads = [(HEADERS, block(draw(head())))] + [(DATA, piece) for piece in pieces]
    if trailers:
        payloads.append((HEADERS, block(trailers * draw(mostly([1], [129], weight=8)))))
    said = b""
    for number, (kind, payload) in enumerate(payloads, start=1):
        flags = END_STREAM if number == len(payloads) else 0
        parts = [payload[at : at + 16_384] for at in range(0, len(payload), 16_384)] or [b""]
        for part in parts[:-1]:
            said += frame(kind, part, flags=flags, stream_id=stream_id)
            kind, flags = 9, 0
        last = 0 if kind == DATA else END_HEADERS
        said += frame(kind, parts[-1], flags=flags | last, stream_id=stream_id)
    return said


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A greeting and some requests, perhaps with other frames between them, or damaged."""
    together = b""
    for stream_id in range(1, 2 * draw(st.integers(1, 4)), 2):
        together += draw(message(stream_id))
        if draw(mostly([False], [True], weight=8)):
            together += draw(frames())
    whole = st.just(GREETING + together)
    return Case(draw(st.sampled_from(ingress.BEHAVIOURS)), draw(reads(whole | whole | damaged(whole))))


HTTP2 = Target("http2", cases(), check)
