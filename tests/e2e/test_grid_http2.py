"""What an HTTP/2 client may not say, one row a case: what it gets, and that the app has seen nothing of it.

A head that is well-formed and means nothing good is answered, one that is malformed is reset (RFC 9113 §8.1.1); in both
cases the connection goes on. What leaves client and edge with different ideas of the connection ends it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from .rawapp import WAIT, Scene
from .wire2 import PREFACE, Headers, Octets, Sendable, Wire2, encode, head, headers

pytestmark = pytest.mark.e2e

PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED = 0x1, 0x3, 0x5
FRAME_SIZE_ERROR, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 0x6, 0x9, 0xB
NO_ERROR = 0x0
END = "END_STREAM"
WEBSOCKET = {"method": b"CONNECT", "protocol": b"websocket"}
VERSION = (b"sec-websocket-version", b"13")
POST = head(method=b"POST", path=b"/case")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One set of programs for the whole grid."""
    with Scene.at(tmp_path_factory.mktemp("http2")) as scene:
        yield scene


def length(*values: bytes) -> Headers:
    """A request with these Content-Lengths."""
    return head(*((b"content-length", value) for value in values), method=b"POST")


ANSWERED: dict[str, tuple[Headers, int]] = {
    "two lengths, equal": (length(b"0", b"0"), 400),
    "a fragment": (head(path=b"/a#b"), 400),
    "a path outside of ASCII": (head(path=b"/caf\xc3\xa9"), 400),
    "the scheme h2s": (head(scheme=b"h2s"), 400),
    "the scheme ws": (head(scheme=b"ws"), 400),
    "no host": (head(authority=None), 400),
    "an empty authority": (head(authority=b""), 400),
    **{
        f"authority {value!r}": (head(authority=value), 400)
        for value in (
            b"a,b",
            b".",
            b"a..b",
            b"a:b",
            b"a:99999",
            b"[::::]",
            b"::1",
            b"a%00b",
            b"caf\xc3\xa9",
            b"<a>",
        )
    },
    "Host is none": (head((b"host", b"a,b"), authority=None), 400),
    "an expectation that nobody meets": (head((b"expect", b"200-ok")), 417),
    "CONNECT": ([(b":method", b"CONNECT"), (b":authority", b"web.localhost:443")], 405),
    "h2c": (head(method=b"CONNECT", protocol=b"h2c"), 501),
    "H2": (head(method=b"CONNECT", protocol=b"H2"), 501),
    "a WebSocket without a version": (head(**WEBSOCKET), 400),
    "an old WebSocket": (head((b"sec-websocket-version", b"8"), **WEBSOCKET), 400),
    "two versions of WebSocket": (head(VERSION, (b"sec-websocket-version", b"8"), **WEBSOCKET), 400),
    "an upgrade with a body": (head(VERSION, (b"content-length", b"5"), **WEBSOCKET), 400),
    "a long path": (head(path=b"/" + b"x" * 16_384), 414),
    "a long method": (head(method=b"X" * 16_384), 414),
    "a large head": (head((b"a", b"x" * 35_000), (b"b", b"x" * 35_000)), 431),
    "many fields": (head(*[(b"a", b"b")] * 128), 431),
}


@pytest.mark.parametrize(("fields", "status"), ANSWERED.values(), ids=ANSWERED)
@pytest.mark.parametrize("ended", [True, False], ids=["whole", "with a body"])
def test_a_request_of_bad_meaning_is_answered_and_never_seen(
    scene: Scene, fields: Headers, status: int, *, ended: bool
) -> None:
    before = len(scene.app.seen)
    with Wire2(scene.secure.public, scene.certificate) as client:
        client.send(headers(1, fields, *[END] * ended))
        if not ended and (b"content-length", b"0") not in fields:
            client.send(DataFrame(1, b"GET /smuggled HTTP/1.1\r\n\r\n"))
        one = client.outcome(1)
        assert (one.status, one.ended) == (status, True)
        assert json.loads(one.body)["status"] == status
        if not ended:
            assert client.reset(1) == NO_ERROR
        assert client.ask(3).body == b"good"
        assert one.reset == (None if ended else NO_ERROR)
    assert scene.requests_since(before) == [b"GET / HTTP/1.1"]


MALFORMED: dict[str, Headers] = {
    **{
        f"length {value!r}": length(value)
        for value in (b"", b"+0", b"-1", b"0, 0", b"0x0", b"0_0", b"1.0", b"\xd9\xa0", b"0" * 19, b"1")
    },
    "two lengths": length(b"0", b"1"),
    "transfer-encoding": head((b"transfer-encoding", b"chunked")),
    "transfer-encoding and a length": head((b"transfer-encoding", b"chunked"), (b"content-length", b"0")),
    "connection": head((b"connection", b"close")),
    "keep-alive": head((b"keep-alive", b"timeout=5")),
    "proxy-connection": head((b"proxy-connection", b"close")),
    "upgrade": head((b"upgrade", b"h2c"), (b"http2-settings", b"AA")),
    "te": head((b"te", b"gzip")),
    "te with more": head((b"te", b"trailers, gzip")),
    **{
        f"name {name!r}": head((name, b"a"))
        for name in (
            b"",
            b"X-A",
            b"x a",
            b"x:a",
            b"x\x00",
            b"x\x7f",
            b"x\r\na",
            b"x\xe9",
            b"x(",
            b"x\t",
            b'"x"',
        )
    },
    **{
        f"value {value!r}": head((b"x", value))
        for value in (
            b"a\x00b",
            b"a\rb",
            b"a\nb",
            b"a\r\nb: c",
            b"a\x01",
            b"a\x0b",
            b"a\x7f",
            b" a",
            b"a ",
            b"\ta",
            b"a\t",
        )
    },
    **{
        f"path {path!r}": head(path=path)
        for path in (
            b"",
            b"a",
            b"*",
            b"?a",
            b"http://web.localhost/",
            b"/a b",
            b"/\t",
            b"/\x00",
            b"/\x7f",
            b"/\r\nx: y",
        )
    },
    "the path of CONNECT is *": head(VERSION, path=b"*", **WEBSOCKET),
    "authority with a user": head(authority=b"a@web.localhost"),
    "authority with a path": head(authority=b"web.localhost/x"),
    "authority with a space": head(authority=b"web localhost"),
    "authority with a line break": head(authority=b"web.localhost\r\nx: y"),
    "another Host": head((b"host", b"other")),
    "two Hosts": head((b"host", b"web.localhost"), (b"host", b"web.localhost"), authority=None),
    "no method": head(method=None),
    "method with a space": head(method=b"G T"),
    "method with a line break": head(method=b"GET / HTTP/1.1\r\nx:"),
    "no scheme": head(scheme=None),
    "scheme with a space": head(scheme=b"ht tp"),
    "no path": head(path=None),
    "two paths": [(b":path", b"/other"), *head()],
    "a pseudo-field behind others": [*head((b"x", b"y"), path=None), (b":path", b"/")],
    "an unknown pseudo-field": [(b":x", b"y"), *head()],
    ":status": [(b":status", b"200"), *head()],
    ":protocol without CONNECT": head(protocol=b"websocket"),
    ":protocol that is no token": head(method=b"CONNECT", protocol=b"TLS/1.3"),
    "CONNECT with a path": head(method=b"CONNECT"),
    "CONNECT without an authority": [(b":method", b"CONNECT")],
    "nothing but a field": [(b"x", b"y")],
}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_head_is_reset_and_never_seen(scene: Scene, fields: Headers) -> None:
    before = len(scene.app.seen)
    with Wire2(scene.secure.public, scene.certificate) as client:
        one = client.ask(1, fields)
        assert (one.status, one.reset) == (0, PROTOCOL_ERROR)
        assert client.ask(3).body == b"good"
    assert scene.requests_since(before) == [b"GET / HTTP/1.1"]


BODIES: dict[str, tuple[list[Sendable], int, int | None]] = {
    "shorter than its length": (
        [headers(1, length(b"5")), DataFrame(1, b"abc", flags=[END])],
        0,
        PROTOCOL_ERROR,
    ),
    "longer than its length": ([headers(1, length(b"2")), DataFrame(1, b"abc")], 0, PROTOCOL_ERROR),
    "trailers short of its length": (
        [headers(1, length(b"5")), DataFrame(1, b"abc"), headers(1, [(b"x", b"y")], END)],
        0,
        PROTOCOL_ERROR,
    ),
    "trailers that do not end": ([headers(1, POST), headers(1, [(b"x", b"y")])], 0, PROTOCOL_ERROR),
    "a second head": ([headers(1, POST), headers(1, POST, END)], 0, PROTOCOL_ERROR),
    **{
        f"trailer {name!r}: {value!r}": (
            [headers(1, POST), headers(1, [(name, value)], END)],
            0,
            PROTOCOL_ERROR,
        )
        for name, value in (
            (b":path", b"/"),
            (b"X", b"y"),
            (b"connection", b"x"),
            (b"x", b"a\r\nb"),
            (b"x\x00", b"y"),
        )
    },
    "many trailers": ([headers(1, POST), headers(1, [(b"x", b"y")] * 129, END)], 431, None),
    "large trailers": ([headers(1, POST), headers(1, [(b"x", b"y" * 35_000)] * 2, END)], 431, None),
    "huge trailers": (
        [headers(1, POST), headers(1, [(b"x", b"y" * 35_000)] * 5, END)],
        0,
        ENHANCE_YOUR_CALM,
    ),
    "a window that overflows": ([headers(1, POST), WindowUpdateFrame(1, 2**31 - 1)], 0, FLOW_CONTROL_ERROR),
}


@pytest.mark.parametrize(("frames", "status", "reset"), BODIES.values(), ids=BODIES)
def test_a_body_that_breaks_is_never_a_whole_request_to_the_app(
    scene: Scene, frames: list[Sendable], status: int, reset: int | None
) -> None:
    bodies = len(scene.app.bodies)
    with Wire2(scene.secure.public, scene.certificate) as client:
        client.send(*frames)
        one = client.outcome(1)
        assert (one.status, one.reset) == (status, reset)
        assert client.ask(3).body == b"good"
    assert not bytes(scene.app.bodies[bodies:]).endswith((b"0\r\n\r\n", b"ab"))


def test_a_head_far_too_large_is_reset(scene: Scene) -> None:
    with Wire2(scene.secure.public, scene.certificate) as client:
        assert client.ask(1, head(*[(b"a", b"x" * 35_000)] * 5)).reset == ENHANCE_YOUR_CALM
        assert client.ask(3).body == b"good"


def test_frames_behind_the_end_of_a_request_reach_nobody(scene: Scene) -> None:
    scene.app.go_on.clear()
    scene.app.answers["/waits"] = (WAIT,)
    with Wire2(scene.secure.public, scene.certificate) as client:
        for number, late in enumerate((DataFrame(1, b"late"), headers(3, POST, END))):
            stream_id, bodies = 1 + 2 * number, len(scene.app.bodies)
            client.send(headers(stream_id, head(path=b"/waits"), END), late)
            assert client.outcome(stream_id).reset == STREAM_CLOSED
            assert len(scene.app.bodies) == bodies
        assert client.ask(5).body == b"good"
    scene.app.go_on.set()


def test_octets_behind_an_upgrade_that_is_declined_are_no_request(scene: Scene) -> None:
    before, bodies = len(scene.app.seen), len(scene.app.bodies)
    scene.app.answers["/declined"] = (b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n",)
    with Wire2(scene.secure.public, scene.certificate) as client:
        client.send(
            headers(1, head(VERSION, path=b"/declined", **WEBSOCKET)),
            DataFrame(1, b"GET /smuggled HTTP/1.1\r\nHost: web.localhost\r\n\r\n"),
        )
        assert client.outcome(1).status == 404
        assert client.ask(3).body == b"good"
    assert scene.requests_since(before) == [b"GET /declined HTTP/1.1", b"GET / HTTP/1.1"]
    assert len(scene.app.bodies) == bodies


def raw(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> Octets:
    """A frame of any kind, well-formed or not."""
    return Octets(
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    )


def block(data: bytes) -> HeadersFrame:
    """A head that may not decompress."""
    return HeadersFrame(1, data, flags=["END_HEADERS", END])


BROKEN: dict[str, tuple[list[Sendable], int]] = {
    "DATA on a stream that was never opened": ([DataFrame(5, b"x")], PROTOCOL_ERROR),
    "RST_STREAM on one": ([RstStreamFrame(5, 8)], PROTOCOL_ERROR),
    "WINDOW_UPDATE on one": ([WindowUpdateFrame(5, 8)], PROTOCOL_ERROR),
    "DATA on stream 0": ([raw(0, b"x")], PROTOCOL_ERROR),
    "HEADERS on stream 0": ([raw(1, encode(head()), flags=5)], PROTOCOL_ERROR),
    "HEADERS on an even stream": ([headers(2, head(), END)], PROTOCOL_ERROR),
    "SETTINGS on a stream": ([raw(4, stream=1)], PROTOCOL_ERROR),
    "GOAWAY on a stream": ([raw(7, bytes(8), stream=1)], PROTOCOL_ERROR),
    "PING on a stream": ([raw(6, bytes(8), stream=1)], PROTOCOL_ERROR),
    "PUSH_PROMISE": (
        [PushPromiseFrame(1, 2, b"\x82", flags=["END_HEADERS"])],
        PROTOCOL_ERROR,
    ),
    "CONTINUATION of nothing": ([ContinuationFrame(1, b"\x82", flags=["END_HEADERS"])], PROTOCOL_ERROR),
    "a frame within a head": ([HeadersFrame(1, b"\x82"), PingFrame(0, b"12345678")], PROTOCOL_ERROR),
    "CONTINUATION of another": (
        [HeadersFrame(1, b"\x82"), ContinuationFrame(3, b"\x84", flags=["END_HEADERS"])],
        PROTOCOL_ERROR,
    ),
    "a second preface": ([Octets(PREFACE)], FRAME_SIZE_ERROR),
    "HTTP/1.1": ([Octets(b"GET / HTTP/1.1\r\nHost: web.localhost\r\n\r\n")], FRAME_SIZE_ERROR),
    "a stream that depends on itself": ([PriorityFrame(1, depends_on=1)], PROTOCOL_ERROR),
    "more padding than payload": ([raw(0, b"\xff", flags=8, stream=1)], PROTOCOL_ERROR),
    "a window opened by nothing": ([raw(8, bytes(4))], PROTOCOL_ERROR),
    "the connection's window overflows": ([WindowUpdateFrame(0, 2**31 - 1)], FLOW_CONTROL_ERROR),
    "a frame that is too large": ([raw(0, bytes(16_385), stream=1)], FRAME_SIZE_ERROR),
    "a short PING": ([raw(6, bytes(7))], FRAME_SIZE_ERROR),
    "a short SETTINGS": ([raw(4, bytes(5))], FRAME_SIZE_ERROR),
    "ENABLE_PUSH 2": ([SettingsFrame(0, {2: 2})], PROTOCOL_ERROR),
    "a window of 2**31": ([SettingsFrame(0, {4: 2**31})], FLOW_CONTROL_ERROR),
    "frames of 1 byte": ([SettingsFrame(0, {5: 1})], PROTOCOL_ERROR),
    "an index beyond the table": ([block(b"\xff\x20")], COMPRESSION_ERROR),
    "index 0": ([block(b"\x80")], COMPRESSION_ERROR),
    "an index without end": ([block(b"\xff" * 30)], COMPRESSION_ERROR),
    "a table larger than allowed": ([block(b"\x3f\xe2\xff\x03\x82")], COMPRESSION_ERROR),
    "Huffman code with an EOS": ([block(b"\x00\x84\xff\xff\xff\xff\x01a")], COMPRESSION_ERROR),
    "a string longer than the head": ([block(b"\x00\x7f\x80\x01a")], COMPRESSION_ERROR),
}


@pytest.mark.parametrize(("frames", "code"), BROKEN.values(), ids=BROKEN)
def test_a_connection_that_breaks_ends_with_the_right_code(
    scene: Scene, frames: list[Sendable], code: int
) -> None:
    before = len(scene.app.seen)
    with Wire2(scene.secure.public, scene.certificate) as client:
        client.send(*frames, headers(7, head(path=b"/smuggled"), END))
        assert client.ends() == code
    scene.serves()
    assert scene.requests_since(before) == [b"GET /good HTTP/1.1"]


GREETINGS = {
    "HTTP/1.1": (b"GET / HTTP/1.1\r\nHost: web.localhost\r\n\r\n", PROTOCOL_ERROR),
    "no SETTINGS": (PREFACE + headers(1, head(), END).serialize(), PROTOCOL_ERROR),
    "a lower case preface": (PREFACE.lower() + SettingsFrame(0).serialize(), PROTOCOL_ERROR),
    "GOAWAY first": (PREFACE + GoAwayFrame(0).serialize(), PROTOCOL_ERROR),
}


@pytest.mark.parametrize(("octets", "code"), GREETINGS.values(), ids=GREETINGS)
def test_a_greeting_that_is_none_ends_the_connection(scene: Scene, octets: bytes, code: int) -> None:
    before = len(scene.app.seen)
    with Wire2(scene.secure.public, scene.certificate, octets) as client:
        assert client.ends() == code
    scene.serves()
    assert scene.requests_since(before) == [b"GET /good HTTP/1.1"]


def test_no_row_has_cost_a_tunnel(scene: Scene) -> None:
    assert scene.secure.stderr.count('"event": "tunnel up"') == 1
    assert "Traceback" not in scene.secure.stderr + scene.agent.stderr
