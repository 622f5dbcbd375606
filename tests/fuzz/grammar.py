"""HTTP/1.1 as it should not be written: requests and responses that are almost valid (RFC 9112).

Most of what comes out is good, so that the bad part is met in every state; what is bad is the stuff of request
smuggling: two framings, odd line ends, white space where none belongs, sizes that are no sizes.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from .case import damaged, mostly

__all__ = ["requests", "responses"]

LINE_ENDS = mostly([b"\r\n"], [b"\n", b"\r", b"\r\r\n", b"\r\n ", b" \r\n", b"\0\r\n"], weight=200)
METHODS = mostly(
    [b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"DELETE"],
    [b"CONNECT", b"PRI", b"get", b"G T", b"", b"GET\t", b"M-SEARCH", b"SOURCE", b"\xc3", b"QUERY"],
    weight=12,
)
TARGETS = mostly(
    [b"/", b"/a?b=c", b"/a%20/../b", b"*", b"http://web.localhost/x", b"/{}|^`\"'"],
    [
        b"",
        b"a",
        b"/a b",
        b"/#f",
        b"//x",
        b"http://",
        b"http://u@h/",
        b"HTTP://h",
        b"https://h?q",
        b"ftp://h/",
        b"/\xff",
        b"/\x01",
        b"/\x7f",
        b"web.localhost:80",
        b"?",
    ],
    weight=10,
)
VERSIONS = mostly(
    [b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"],
    [b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"RTSP/1.0", b"HTTP/1.10", b"", b"HTTP/1.1 "],
    weight=20,
)
HOSTS = mostly(
    [b"Host: web.localhost", b"Host: [::1]:80", b"host:a"],
    [
        b"Host:",
        b"Host: a b",
        b"Host: a, b",
        b"Host: a/b",
        b"Host: u@a",
        b"X: y",
        b"Host : a",
        b"Host: a\r\nHost: a",
    ],
    weight=15,
)
LENGTHS = mostly(
    [b"%d"],
    [
        b"+%d",
        b"-%d",
        b"0x%x",
        b" %d ",
        b"%d, %d",
        b"0%d",
        b"%d.0",
        b"",
        b"9" * 19,
        b"1e1",
        b"%d\r\nContent-Length: %d",
    ],
    weight=8,
)
CODINGS = mostly(
    [b"chunked"],
    [
        b"Chunked",
        b"chunked, chunked",
        b"gzip, chunked",
        b"chunked, identity",
        b"identity",
        b"xchunked",
        b'"chunked"',
        b"\x0bchunked",
        b"chunked\r\nTransfer-Encoding: chunked",
        b"chunked;q=1",
        b"",
        b",chunked",
    ],
    weight=8,
)
FIELDS = mostly(
    [
        b"Accept: */*",
        b"h2s-control: 00",
        b"X-Empty:",
        b"Cookie: a=b",
        b"TE: trailers",
        b"Connection: keep-alive",
        b"Connection: close",
        b"X-Latin: caf\xe9",
        b"Expect: 100-continue",
        b"Connection: X-Empty, TE",
        b"Date: Thu, 01 Jan 1970 00:00:00 GMT",
    ],
    [
        b"H2S-Service: other",
        b"H2s-Control : 00",
        b"\th2s-control: 00",
        b"Upgrade: h2c\r\nConnection: upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        b"Upgrade: foo\r\nConnection: upgrade",
        b"Connection: host, content-length, transfer-encoding",
        b"Connection: \x00",
        b"Space : x",
        b" Fold: x",
        b"Empty",
        b": x",
        b"Na(me: x",
        b"X: a\x00b",
        b"X: a\x7fb",
        b"X: \x01",
        b"Expect: 200-ok",
        b"Proxy-Connection: keep-alive",
        b"Trailer: X",
        b"Sec-WebSocket-Accept: x",
        b"Content-Length : 5",
        b"Content_Length: 5",
        b"Transfer-Encoding\x0b: chunked",
    ],
    weight=5,
)
TRAILERS = mostly(
    [b"X-Checksum: 1", b"Grpc-Status: 0"],
    [
        b"h2s-control: 00",
        b"Content-Length: 9",
        b"Transfer-Encoding: chunked",
        b"Host: x",
        b"X : y",
        b" z",
        b"a\0: b",
    ],
)
BODIES = st.sampled_from(
    [b"", b"x", b"hello", b"GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n", b"0\r\n\r\n", b"\n" * 9]
)
SIZES = mostly(
    [b"%x"], [b"0%x", b"-%x", b"0x%x", b" %x", b"%x ", b"%x;a=b", b"%x;\r", b"", b"%x\t", b"f" * 17, b"+%x"]
)
STATUS_LINES = mostly(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 404 Not Found",
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 204 No",
        b"HTTP/1.1 304 No",
    ],
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK",
        b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK",
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 200",
        b"HTTP/1.1 99 x",
        b"HTTP/1.1 1000 x",
        b"HTTP/2 200 OK",
        b"HTTP/1.1 200 \x00",
        b"ICY 200 OK",
        b"HTTP/1.1  200 OK",
        b"",
    ],
    weight=3,
)


@st.composite
def lines(draw: DrawFn, fields: SearchStrategy[bytes], most: int) -> bytes:
    """Some field lines, most of which end as they should."""
    return b"".join(draw(fields) + draw(LINE_ENDS) for _ in range(draw(st.integers(0, most))))


@st.composite
def chunks(draw: DrawFn) -> bytes:
    """A chunked body, with trailers perhaps."""
    pieces = [piece for piece in draw(st.lists(BODIES, max_size=3)) if piece]
    body = b"".join(fill(draw(SIZES), len(p)) + draw(LINE_ENDS) + p + draw(LINE_ENDS) for p in pieces)
    trailers = draw(lines(TRAILERS, 2)) if draw(st.booleans()) else b""
    return (
        body
        + draw(mostly([b"0\r\n"], [b"0;x\r\n", b"00\r\n", b"0\n", b"0 \r\n", b""]))
        + trailers
        + draw(LINE_ENDS)
    )


@st.composite
def framed(draw: DrawFn) -> tuple[bytes, bytes]:
    """Fields that frame a body, and the body: by length, by chunks, by both, or by nothing."""
    body = draw(BODIES)
    length = b"Content-Length: " + fill(draw(LENGTHS), len(body)) + b"\r\n"
    coding = b"Transfer-Encoding: " + draw(CODINGS) + b"\r\n"
    match draw(mostly(("none", "length", "chunks"), ("both", "reversed"), weight=12)):
        case "length":
            return length, body
        case "chunks":
            return coding, draw(chunks())
        case "both":
            return length + coding, draw(chunks())
        case "reversed":
            return coding + length, body
        case _:
            return b"", b""


@st.composite
def request(draw: DrawFn) -> bytes:
    """One request."""
    start = b" ".join([draw(METHODS), draw(TARGETS), draw(VERSIONS)]) + draw(LINE_ENDS)
    framing, body = draw(framed())
    before, after = draw(lines(FIELDS, 2)), draw(lines(FIELDS, 1))
    blank = draw(mostly([b""], [b"\r\n", b"\n", b"\r"], weight=15))
    return blank + start + draw(HOSTS) + draw(LINE_ENDS) + before + framing + after + draw(LINE_ENDS) + body


@st.composite
def response(draw: DrawFn) -> bytes:
    """One response, perhaps behind interim ones."""
    framing, body = draw(framed())
    head = draw(STATUS_LINES) + draw(LINE_ENDS) + draw(lines(FIELDS, 2)) + framing + draw(LINE_ENDS)
    return head + (body or draw(BODIES))


def several(one: SearchStrategy[bytes], most: int) -> SearchStrategy[bytes]:
    """Put up to `most` messages behind each other, and damage some of them a little."""
    together = st.lists(one, min_size=1, max_size=most).map(b"".join)
    return together | together | damaged(together)


def fill(form: bytes, size: int) -> bytes:
    """Put a size into a form, wherever it asks for one."""
    return form % ((size,) * form.count(b"%"))


requests: SearchStrategy[bytes] = several(request(), 4)
"""A client's bytes: requests, pipelined."""
responses: SearchStrategy[bytes] = several(response(), 2)
"""An upstream's bytes: a response, perhaps with something behind it."""
