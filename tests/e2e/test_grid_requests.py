"""Requests that may mean one thing to an edge and another to the app behind it, one row a case.

Each is refused with the right status, the connection is closed, and the app sees nothing of it: neither of the request
nor of what stands behind it, which another reader might take for a second one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from .client import Client
from .rawapp import Scene

pytestmark = pytest.mark.e2e

HOST = b"Host: web.localhost\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST
POST = b"POST / HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
CHUNKS = b"1\r\nx\r\n0\r\n\r\n"

# name: (octets, status)
Rows = dict[str, tuple[bytes, int]]


def lengths(*values: bytes, status: int = 400) -> Rows:
    """A row for each value of Content-Length."""
    return {f"CL {value!r}": (POST + b"Content-Length:%b\r\n\r\nx" % value, status) for value in values}


def codings(*values: bytes, status: int = 400) -> Rows:
    """A row for each value of Transfer-Encoding."""
    return {
        f"TE {value!r}": (POST + b"Transfer-Encoding:%b\r\n\r\n" % value + CHUNKS, status) for value in values
    }


def fields(*lines: bytes) -> Rows:
    """A row for each field line that is none."""
    return {f"field {line!r}": (GET + line + b"\r\n\r\n", 400) for line in lines}


def chunks(*bodies: bytes) -> Rows:
    """A row for each body that is not chunked, whatever it says."""
    return {f"chunks {body[:40]!r}": (CHUNKED + b"\r\n" + body, 400) for body in bodies}


def hosts(*values: bytes) -> Rows:
    """A row for each Host that is no host."""
    return {f"Host {value!r}": (b"GET / HTTP/1.1\r\nHost:%b\r\n\r\n" % value, 400) for value in values}


def lines(*rows: tuple[bytes, int]) -> Rows:
    """A row for each request line, and the status it gets."""
    return {f"line {line!r}": (line + b"\r\n" + HOST + b"\r\n", status) for line, status in rows}


FRAMING: Rows = {
    "CL then TE": (CHUNKED + b"Content-Length: 5\r\n\r\n" + CHUNKS, 400),
    "TE then CL": (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS, 400),
    "TE and an empty CL": (CHUNKED + b"Content-Length:\r\n\r\n" + CHUNKS, 400),
    "TE identity and CL": (POST + b"Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx", 400),
    "two CLs, equal": (POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
    "two CLs, unequal": (POST + b"Content-Length: 1\r\nContent-Length: 0\r\n\r\nx", 400),
    "two CLs, other case": (POST + b"Content-Length: 0\r\ncontent-length: 1\r\n\r\nx", 400),
    "two TEs": (CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS, 400),
    "two TEs, one unknown": (CHUNKED + b"Transfer-encoding: cow\r\n\r\n" + CHUNKS, 400),
    "two TEs, identity first": (
        POST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
        501,
    ),
    "TE on HTTP/1.0": (
        b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
        400,
    ),
    "TE on GET, not chunked": (GET + b"Transfer-Encoding: x\r\n\r\n", 400),
    **lengths(b"", b" ", b" +1", b" -1", b" 1, 1", b" 1,2", b" 0x1", b" 1_0", b" 1 1", b" 1;x", b" 1.0"),
    **lengths(b" \x0b1", b" 1\x0c", b" \xd9\xa1", b" \xef\xbc\x91", b' "1"', b" 1e1", b" one"),
    **lengths(b" 18446744073709551615", b" 18446744073709551616", b" 18446744073709551617"),
    **lengths(b" 9223372036854775808", b" " + b"0" * 19 + b"1"),
    **codings(b"", b" xchunked", b" chunkedx", b" chunked, identity", b" chunked, chunked", b" chunked,"),
    **codings(b" identity", b" gzip", b"\x0bchunked", b" \x0cchunked", b" chunked\x0b", b' "chunked"'),
    **codings(b" chunked;q=1", b" chunked; foo", b" chunke\xc2\xb5", b" chu\x00nked", b" chun ked"),
    **codings(b" ,chunked", b" gzip, chunked", b" identity, chunked", status=501),
}

CHUNKED_BODIES: Rows = {
    "chunk shorter than its size": (CHUNKED + b"\r\n5\r\nabc\r\n0\r\n\r\n" + SMUGGLED, 400),
    "a size that overflows": (CHUNKED + b"\r\n" + b"f" * 17 + b"\r\nx", 400),
    "a size that overflows to 1": (CHUNKED + b"\r\n10000000000000001\r\nx\r\n0\r\n\r\n", 400),
    "a size of many zeros": (CHUNKED + b"\r\n" + b"0" * 40 + b"1\r\nx\r\n0\r\n\r\n", 400),
    **chunks(
        b"-1\r\nx\r\n0\r\n\r\n", b"+1\r\nx\r\n0\r\n\r\n", b"0x1\r\nx\r\n0\r\n\r\n", b"\r\nx\r\n0\r\n\r\n"
    ),
    **chunks(
        b"g\r\nx\r\n", b"1_0\r\nx\r\n", b" 1\r\nx\r\n0\r\n\r\n", b"\x0b1\r\nx\r\n", b"\xd9\xa1\r\nx\r\n"
    ),
    **chunks(b"1\r\nxx\r\n0\r\n\r\n", b"1\r\nx0\r\n\r\n", b"1\r\nx\n0\r\n\r\n", b"1\r\nx\r0\r\n\r\n"),
    **chunks(
        b"1\nx\r\n0\r\n\r\n", b"1\rx\r\n0\r\n\r\n", b"1;a\nb\r\nx\r\n0\r\n\r\n", b"1;a\rb\r\nx\r\n0\r\n\r\n"
    ),
    **chunks(b"1;a=\x00\r\nx\r\n0\r\n\r\n", b"1 x\r\nx\r\n0\r\n\r\n", b"1;" + b"a" * 2000 + b"\r\nx\r\n"),
    **chunks(
        b"0\r\nbad trailer\r\n\r\n", b"0\r\nA : b\r\n\r\n", b"0\r\nA: b\nB: c\r\n\r\n", b"0\r\n A: b\r\n\r\n"
    ),
    **chunks(b"0\r\nA: \x00\r\n\r\n", b"0\r\nA: b\rB: c\r\n\r\n", b"1\r\nx\r\n0\n\r\n", b"0\n\n"),
    **chunks(b"0\r\nA: b\n\r\n", b"1\r\nx\r\n0\r\nA: b\n"),
}

SYNTAX: Rows = {
    "bare LF everywhere": (b"GET / HTTP/1.1\nHost: web.localhost\n\n", 400),
    "bare LF behind a field": (GET + b"A: b\nB: c\r\n\r\n", 400),
    "bare LF ends the head": (GET + b"A: b\r\n\n", 400),
    "bare CR in a value": (GET + b"A: b\rB: c\r\n\r\n", 400),
    "bare CR ends the request line": (b"GET / HTTP/1.1\rHost: web.localhost\r\n\r\n", 400),
    "CR CR LF": (GET + b"A: b\r\r\n\r\n", 400),
    "obs-fold": (GET + b"A: b\r\n c\r\n\r\n", 400),
    "obs-fold with a tab": (GET + b"A: b\r\n\tTransfer-Encoding: chunked\r\n\r\n", 400),
    "obs-fold of a length": (POST + b"Content-Length:\r\n 1\r\n\r\nx", 400),
    "the first field is indented": (b"GET / HTTP/1.1\r\n " + HOST + b"\r\n", 400),
    **fields(b"A : b", b"A\t: b", b" A: b", b": b", b"A", b"A\x00: b", b"A\x0b: b", b"A\x7f: b", b"A\xe9: b"),
    **fields(b"A B: c", b"A(: b", b"A/: b", b'"A": b', b"A: \x00", b"A: b\x01", b"A: b\x0bc", b"A: b\x0cc"),
    **fields(
        b"A: b\x1b[0m", b"A: \x7f", b"Transfer-Encoding : chunked", b"Content-Length\x00: 1", b"Host: x\x00"
    ),
    **lines((b"GET /\x00 HTTP/1.1", 400), (b"GET /\x01 HTTP/1.1", 400), (b"GET /\x7f HTTP/1.1", 400)),
    **lines((b"GET /a\tb HTTP/1.1", 400), (b"GET /a\x0bb HTTP/1.1", 400), (b"GET /a\x0cb HTTP/1.1", 400)),
    **lines((b"GET /a b HTTP/1.1", 400), (b"GET  / HTTP/1.1", 400), (b"GET /  HTTP/1.1", 400)),
    **lines(
        (b"GET / HTTP/1.1 ", 400), (b"GET\t/ HTTP/1.1", 400), (b" GET / HTTP/1.1", 400), (b"GET / ", 400)
    ),
    **lines((b"G\x00ET / HTTP/1.1", 400), (b"G(T / HTTP/1.1", 400), (b"GET /\xe9 HTTP/1.1", 400)),
    **lines((b"GET /a#b HTTP/1.1", 400), (b"GET http://web.localhost/#b HTTP/1.1", 400)),
    **lines((b"GET web.localhost HTTP/1.1", 400), (b"GET * HTTP/1.1", 400), (b"GET ?x HTTP/1.1", 400)),
    **lines((b"GET /", 400), (b"GET", 400), (b"GET / HTTP", 400), (b"GET / http/1.1", 400)),
    **lines(
        (b"GET / HTTP/0.9", 505), (b"GET / HTTP/1.2", 505), (b"GET / HTTP/2.0", 505), (b"GET / HTTP/3.7", 505)
    ),
    **lines(
        (b"GET / HTTP/1.10", 505), (b"GET / HTTP/01.1", 505), (b"PRI * HTTP/2.0", 505), (b"GET / HTTP/2", 505)
    ),
    **lines(
        (b"OPTIONS / RTSP/1.0", 400),
        (b"DESCRIBE rtsp://web.localhost/ RTSP/2.0", 400),
        (b"GET / ICAP/1.0", 400),
    ),
    "HTTP/2 by prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/0.9": (b"GET /\r\n", 400),
    "a TLS client": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 64, 400),
    "CONNECT": (b"CONNECT web.localhost:443 HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    "CONNECT without a Host": (b"CONNECT web.localhost:443 HTTP/1.0\r\n\r\n", 405),
    "an expectation that nobody meets": (POST + b"Expect: 200-ok\r\nContent-Length: 1\r\n\r\nx", 417),
    "an upgrade with a body": (GET + b"Upgrade: x\r\nConnection: upgrade\r\nContent-Length: 1\r\n\r\nx", 400),
    "an old WebSocket": (
        GET + b"Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 8\r\n\r\n",
        426,
    ),
}

TARGETS: Rows = {
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "no Host for an absolute target": (b"GET http://web.localhost/ HTTP/1.1\r\n\r\n", 400),
    "two Hosts, equal": (GET + HOST + b"\r\n", 400),
    "two Hosts": (GET + b"Host: other\r\n\r\n", 400),
    "two Hosts for an absolute target": (
        b"GET http://web.localhost/ HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
        400,
    ),
    "a bad Host beside an absolute target": (b"GET http://web.localhost/ HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "HTTP/1.0 with two Hosts": (b"GET / HTTP/1.0\r\n" + HOST + HOST + b"\r\n", 400),
    **hosts(
        b"", b" ", b" a b", b" a,b", b" a/b", b" a@b", b" user:pw@a", b" a?b", b" a#b", b" a\\b", b" a%00b"
    ),
    **hosts(
        b" a:b",
        b" a:99999",
        b" a:80:80",
        b" a:-1",
        b" :80",
        b" .",
        b" a..b",
        b" .a",
        b" [::::]",
        b" [::1",
        b" ::1",
    ),
    **hosts(
        b" [::1]x",
        b" [g::]",
        b" http://a",
        b" caf\xc3\xa9",
        b" a\tb",
        b' "a"',
        b" <a>",
        b" {a}",
        b" " + b"a" * 300,
    ),
    **lines(
        (b"GET http:// HTTP/1.1", 400), (b"GET http:///x HTTP/1.1", 400), (b"GET http://a@b/ HTTP/1.1", 400)
    ),
    **lines(
        (b"GET http://a:x/ HTTP/1.1", 400),
        (b"GET http://a%2fb/ HTTP/1.1", 400),
        (b"GET http:a HTTP/1.1", 400),
    ),
    **lines(
        (b"GET ftp://a/ HTTP/1.1", 400),
        (b"GET h2s://a/ HTTP/1.1", 400),
        (b"GET file:///etc/passwd HTTP/1.1", 400),
    ),
}

SIZES: Rows = {
    "request line": (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "request line without an end": (b"GET /" + b"x" * 20_000, 414),
    "method without an end": (b"G" * 20_000, 414),
    "field value": (GET + b"A: " + b"x" * 70_000 + b"\r\n\r\n", 431),
    "field value without an end": (GET + b"A: " + b"x" * 70_000, 431),
    "fields": (GET + b"A: b\r\n" * 128 + b"\r\n", 431),
    "trailer section": (CHUNKED + b"\r\n0\r\n" + b"A: b\r\n" * 15_000, 431),
    "trailer fields": (CHUNKED + b"\r\n0\r\n" + b"A: b\r\n" * 129 + b"\r\n", 431),
}

GRID = FRAMING | CHUNKED_BODIES | SYNTAX | TARGETS | SIZES


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One set of programs for the whole grid."""
    with Scene.at(tmp_path_factory.mktemp("requests")) as scene:
        yield scene


@pytest.mark.parametrize(("octets", "status"), GRID.values(), ids=GRID)
def test_refused_and_closed_and_nothing_reaches_the_app(scene: Scene, octets: bytes, status: int) -> None:
    before, bodies = len(scene.app.seen), len(scene.app.bodies)
    with Client(scene.plain.public) as client:
        client.send(octets + SMUGGLED if octets.endswith(b"\r\n") and octets != b"GET /\r\n" else octets)
        answer = client.received_until_the_end()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nconnection: close" in head
    assert json.loads(body)["status"] == status
    scene.serves()
    assert scene.requests_since(before) == [b"GET /good HTTP/1.1"]
    assert len(scene.app.bodies) == bodies


def test_nothing_pipelined_behind_a_bad_request_is_served(scene: Scene) -> None:
    before = len(scene.app.seen)
    with Client(scene.plain.public) as client:
        client.send(GET.replace(b"/ ", b"/first ", 1) + b"\r\n" + GET + b"A : b\r\n\r\n" + SMUGGLED * 3)
        answer = client.received_until_the_end()
    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert answer.count(b"HTTP/1.1 400 ") == 1
    scene.serves()
    assert scene.requests_since(before) == [b"GET /first HTTP/1.1", b"GET /good HTTP/1.1"]


def test_a_body_that_turns_bad_is_never_a_whole_request_to_the_app(scene: Scene) -> None:
    bodies = len(scene.app.bodies)
    with Client(scene.plain.public) as client:
        client.send(CHUNKED.replace(b"/ ", b"/turns-bad ", 1) + b"\r\n5\r\nfirst\r\n")
        scene.plain.wait_until(lambda: scene.app.seen[-1].lines[0].startswith(b"POST /turns-bad"), "it came")
        client.send(b"zz\r\n" + SMUGGLED)
        assert client.read_head().status == 400
    scene.serves()
    assert b"0\r\n\r\n" not in scene.app.bodies[bodies:]


def test_octets_behind_a_request_whose_upgrade_is_declined_are_no_request(scene: Scene) -> None:
    before = len(scene.app.seen)
    with Client(scene.plain.public) as client:
        client.send(GET + b"Upgrade: x\r\nConnection: upgrade\r\n\r\n" + SMUGGLED)
        answer = client.received_until_the_end()
    assert answer.count(b"HTTP/1.1 ") == 1
    scene.serves()
    assert b"GET /smuggled HTTP/1.1" not in scene.requests_since(before)
