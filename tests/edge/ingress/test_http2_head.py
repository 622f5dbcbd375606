"""HTTP/2 heads: what the rules of HTTP/1.1 make of them."""

from __future__ import annotations

import pytest

from edge.ingress.http2_head import understand, understand_trailers
from edge.ingress.limits import IngressLimits
from edge.message import Request
from edge.problem import Refusal
from h2s.engine.session import Field, Fields
from h2s.fields import request_error

GET: dict[bytes, bytes] = {
    b":method": b"GET",
    b":scheme": b"https",
    b":authority": b"app.example",
    b":path": b"/x",
}
WEBSOCKET = (b"sec-websocket-version", b"13")


def head(*fields: Field, without: bytes = b"", **changed: bytes) -> Fields:
    """Return a head that a session would let pass, with these pseudo-fields changed and these fields added."""
    pseudo = GET | {b":" + name.encode(): value for name, value in changed.items()}
    found = [*((name, value) for name, value in pseudo.items() if name != without), *fields]
    assert request_error(found) is None
    return found


def make(fields: Fields, limits: IngressLimits | None = None, *, end_stream: bool = True) -> Request:
    return understand(
        fields,
        limits=limits or IngressLimits(),
        scheme=b"https",
        peer="192.0.2.1",
        started=0.0,
        end_stream=end_stream,
    )


REFUSED = {
    "a fragment": (head(path=b"/a#b"), 400),
    "a path outside of ASCII": (head(path=b"/\xe9"), 400),
    "another scheme": (head(scheme=b"h2s"), 400),
    "a scheme that is a field": (head(scheme=b"h2s-control"), 400),
    "no host": (head(without=b":authority"), 400),
    "an empty authority": (head(authority=b""), 400),
    "an authority that is no host": (head(authority=b"a..b"), 400),
    "a host that is none": (head((b"host", b"a/b"), without=b":authority"), 400),
    "two equal lengths": (head((b"content-length", b"1"), (b"content-length", b"1"), method=b"POST"), 400),
    "two lengths alike": (head((b"content-length", b"1"), (b"content-length", b"01"), method=b"POST"), 400),
    "an unknown expectation": (head((b"expect", b"200-ok")), 417),
    "two expectations": (head((b"expect", b"100-continue"), (b"expect", b"x")), 417),
    "a long path": (head(path=b"/" + b"x" * 16 * 1024), 414),
    "a long method": (head(method=b"X" * 16 * 1024), 414),
    "a large head": (head((b"a", b"x" * 32_768), (b"b", b"x" * 32_768)), 431),
    "many fields": (head(*[(b"x", b"y")] * 128), 431),
    "plain CONNECT": ([(b":method", b"CONNECT"), (b":authority", b"app.example:443")], 405),
    "h2c": (head(method=b"CONNECT", protocol=b"h2c"), 501),
    "h2 in other letters": (head(method=b"CONNECT", protocol=b"H2"), 501),
    "a WebSocket of no version": (head(method=b"CONNECT", protocol=b"websocket"), 400),
    "an old WebSocket": (
        head((b"sec-websocket-version", b"8"), method=b"CONNECT", protocol=b"WebSocket"),
        400,
    ),
    "two versions": (head(WEBSOCKET, WEBSOCKET, method=b"CONNECT", protocol=b"websocket"), 400),
    "an upgrade with a body": (head((b"content-length", b"1"), method=b"CONNECT", protocol=b"x"), 400),
}


@pytest.mark.parametrize(("fields", "status"), REFUSED.values(), ids=REFUSED)
def test_a_well_formed_head_of_bad_meaning_is_refused(fields: Fields, status: int) -> None:
    with pytest.raises(Refusal) as refused:
        make(fields)
    assert refused.value.status == status
    assert not {b"connection", b"upgrade"} & {name for name, _ in refused.value.fields}


def test_an_old_websocket_is_told_the_version() -> None:
    with pytest.raises(Refusal) as refused:
        make(head((b"sec-websocket-version", b"8"), method=b"CONNECT", protocol=b"websocket"))
    assert refused.value.fields == [(b"sec-websocket-version", b"13")]


@pytest.mark.parametrize(
    "fields",
    [
        head(),
        head(scheme=b"HTTP"),
        head(path=b"/{}|^`\"'%zz?//"),
        head(method=b"OPTIONS", path=b"*"),
        head((b"host", b"APP.example")),
        head((b"host", b"app.example"), without=b":authority"),
        head(*[(b"x", b"y")] * 127),
        head(*[(b"cookie", b"a=b")] * 500),
        head((b"expect", b"100-Continue"), (b"content-length", b"0")),
        head(path=b"/" + b"x" * (16 * 1024 - len("GET / HTTP/1.1"))),
    ],
)
def test_an_honest_head_passes(fields: Fields) -> None:
    assert make(fields).authority.lower() == b"app.example"


def test_a_websocket_goes_on_without_key_and_length() -> None:
    key = (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==")
    fields = head(WEBSOCKET, key, (b"content-length", b"0"), method=b"CONNECT", protocol=b"WebSocket")
    request = make(fields, end_stream=False)
    assert request.upgrade == b"websocket"
    assert request.fields == [WEBSOCKET]


def test_what_belongs_to_the_connection_stays_behind() -> None:
    dropped = [
        (b"http2-settings", b"AA"),
        (b"proxy-authorization", b"x"),
        (b"x_y", b"1"),
        (b"h2s-control", b"0"),
    ]
    request = make(head(*dropped, (b"te", b"trailers"), (b"cookie", b"a"), (b"x", b"y"), (b"cookie", b"b")))
    assert request.fields == [(b"x", b"y"), (b"cookie", b"a; b"), (b"te", b"trailers")]


@pytest.mark.parametrize("fields", [[(b"x", b"y")] * 129, [(b"x", b"y" * 70_000)]], ids=["many", "large"])
def test_a_trailer_section_is_held_to_the_limits_of_a_head(fields: Fields) -> None:
    with pytest.raises(Refusal) as refused:
        understand_trailers(fields, IngressLimits())
    assert refused.value.status == 431


def test_a_trailer_section_says_nothing_that_a_head_may_not() -> None:
    fields = [(b"h2s-control", b"0"), (b"x_y", b"1"), (b"host", b"x"), (b"x-sum", b"1")]
    assert understand_trailers(fields, IngressLimits()) == [(b"x-sum", b"1")]
