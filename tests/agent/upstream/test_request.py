"""Request heads and bodies from the tunnel, written as HTTP/1.1."""

from __future__ import annotations

import pytest

from agent.upstream.errors import MalformedRequest
from agent.upstream.request import encode_request
from h2s.engine.session import Fields


def head(
    method: bytes = b"GET",
    path: bytes = b"/",
    *fields: tuple[bytes, bytes],
    authority: bytes = b"app.example",
    end_stream: bool = True,
) -> bytes:
    pseudo: Fields = [
        (b":method", method),
        (b":scheme", b"https"),
        (b":authority", authority),
        (b":path", path),
    ]
    return encode_request(pseudo + list(fields), end_stream=end_stream, host=b"127.0.0.1:3000").data


def connect(protocol: bytes, *fields: tuple[bytes, bytes]) -> Fields:
    return [
        (b":method", b"CONNECT"),
        (b":protocol", protocol),
        (b":scheme", b"https"),
        (b":authority", b"app.example"),
        (b":path", b"/chat"),
        *fields,
    ]


def test_head_is_request_line_host_and_fields_in_order() -> None:
    assert head(b"GET", b"/a//b/../c?q=%2e&\xff", (b"b", b"2"), (b"a", b"1"), (b"b", b"\xe9")) == (
        b"GET /a//b/../c?q=%2e&\xff HTTP/1.1\r\nHost: app.example\r\nb: 2\r\na: 1\r\nb: \xe9\r\n\r\n"
    )


def test_asterisk_target_is_kept() -> None:
    assert head(b"OPTIONS", b"*").startswith(b"OPTIONS * HTTP/1.1\r\n")


def test_upstream_address_stands_in_for_an_empty_authority() -> None:
    assert head(authority=b"") == b"GET / HTTP/1.1\r\nHost: 127.0.0.1:3000\r\n\r\n"


def test_host_field_stands_in_for_an_absent_authority() -> None:
    fields = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b"host", b"x")]
    assert encode_request(fields, end_stream=True, host=b"u").data == b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def test_cookie_fields_are_joined_where_the_first_one_stood() -> None:
    assert head(b"GET", b"/", (b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2")).endswith(
        b"\r\ncookie: a=1; b=2\r\nx: y\r\n\r\n"
    )


def test_internal_and_hop_by_hop_fields_stay_behind() -> None:
    dropped = [
        (b"h2s-service", b"web"),
        (b"connection", b"x"),
        (b"keep-alive", b"1"),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"h2c"),
        (b"te", b"gzip"),
    ]
    assert head(b"GET", b"/", *dropped) == b"GET / HTTP/1.1\r\nHost: app.example\r\n\r\n"


def test_te_trailers_is_said_with_its_connection_option() -> None:
    assert head(b"GET", b"/", (b"te", b"trailers")).endswith(b"\r\nTE: trailers\r\nConnection: TE\r\n\r\n")


def test_expect_is_passed_on_as_a_field() -> None:
    assert b"\r\nexpect: 100-continue\r\n" in head(
        b"POST", b"/", (b"expect", b"100-continue"), end_stream=False
    )


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH"])
def test_method_that_expects_a_body_says_that_there_is_none(method: bytes) -> None:
    assert head(method).endswith(b"\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"PROPFIND"])
def test_other_method_without_body_has_no_framing_field(method: bytes) -> None:
    assert b"ength" not in head(method)
    assert b"Transfer-Encoding" not in head(method)


def test_body_of_unknown_length_is_chunked() -> None:
    request = encode_request(
        [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/")], end_stream=False, host=b"u"
    )
    framing = request.framing(end_stream=False)
    assert request.data.endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert b"".join(framing.data(b"x" * 17)) == b"11\r\n" + b"x" * 17 + b"\r\n"
    assert framing.data(b"") == ()
    assert b"".join(framing.end([])) == b"0\r\n\r\n"


def test_trailers_follow_the_last_chunk_without_framing_and_internal_fields() -> None:
    request = encode_request(
        [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/")], end_stream=False, host=b"u"
    )
    trailers = [(b"grpc-status", b"0"), (b"content-length", b"9"), (b"host", b"x"), (b"h2s-a", b"b")]
    assert b"".join(request.framing(end_stream=False).end(trailers)) == b"0\r\ngrpc-status: 0\r\n\r\n"


def lengthy(value: bytes, *, end_stream: bool = False) -> Fields:
    return [(b":method", b"PUT"), (b":scheme", b"http"), (b":path", b"/"), (b"content-length", value)]


def test_announced_length_is_kept_and_the_body_goes_raw() -> None:
    request = encode_request(lengthy(b"3"), end_stream=False, host=b"u")
    framing = request.framing(end_stream=False)
    assert request.data == b"PUT / HTTP/1.1\r\nHost: u\r\ncontent-length: 3\r\n\r\n"
    assert framing.data(b"abc") == (b"abc",)
    assert framing.end([(b"a", b"b")]) == ()


def test_body_longer_than_announced_is_refused() -> None:
    framing = encode_request(lengthy(b"3"), end_stream=False, host=b"u").framing(end_stream=False)
    with pytest.raises(MalformedRequest):
        framing.data(b"abcd")


def test_body_shorter_than_announced_is_refused() -> None:
    framing = encode_request(lengthy(b"3"), end_stream=False, host=b"u").framing(end_stream=False)
    framing.data(b"ab")
    with pytest.raises(MalformedRequest):
        framing.end([])


@pytest.mark.parametrize("value", [b"", b"-1", b"1 ", b"1,1", b"9" * 19])
def test_length_that_is_none_is_refused(value: bytes) -> None:
    with pytest.raises(MalformedRequest):
        encode_request(lengthy(value), end_stream=False, host=b"u")


def test_two_lengths_are_one_only_when_equal() -> None:
    equal = [*lengthy(b"3"), (b"content-length", b"3")]
    assert encode_request(equal, end_stream=False, host=b"u").data.count(b"content-length") == 1
    with pytest.raises(MalformedRequest):
        encode_request([*lengthy(b"3"), (b"content-length", b"4")], end_stream=False, host=b"u")


@pytest.mark.parametrize(
    ("method", "path", "authority"),
    [
        (b"GET", b"/ HTTP/1.1\r\nx: y", b"a"),
        (b"GET", b"/a b", b"a"),
        (b"GET", b"", b"a"),
        (b"G ET", b"/", b"a"),
        (b"GET\r\n", b"/", b"a"),
        (b"GET", b"/", b"a\r\nb: c"),
        (b"GET", b"/", b"a b"),
        (b"CONNECT", b"/", b"a:1"),
    ],
)
def test_head_that_would_not_be_one_request_is_refused(method: bytes, path: bytes, authority: bytes) -> None:
    with pytest.raises(MalformedRequest):
        head(method, path, authority=authority)


@pytest.mark.parametrize("value", [b"a\r\nx: y", b"a\nb", b"a\rb"])
def test_field_that_would_break_out_of_its_line_is_refused(value: bytes) -> None:
    with pytest.raises(MalformedRequest):
        head(b"GET", b"/", (b"a", value))


def test_websocket_upgrade_has_a_key_of_our_own() -> None:
    fields = connect(
        b"websocket",
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-key", b"theirs"),
        (b"te", b"trailers"),
        (b"content-length", b"0"),
    )
    lines = encode_request(fields, end_stream=False, host=b"u").data.split(b"\r\n")
    assert lines[0] == b"GET /chat HTTP/1.1"
    assert lines[1:5] == [
        b"Host: app.example",
        b"sec-websocket-version: 13",
        b"Connection: Upgrade",
        b"Upgrade: websocket",
    ]
    assert lines[5].startswith(b"Sec-WebSocket-Key: ")
    assert len(lines[5]) == len(b"Sec-WebSocket-Key: ") + 24
    assert lines[6:] == [b"", b""]


def test_other_upgrade_has_no_key_and_a_raw_body() -> None:
    request = encode_request(connect(b"raw/2"), end_stream=False, host=b"u")
    assert request.data.endswith(b"\r\nConnection: Upgrade\r\nUpgrade: raw/2\r\n\r\n")
    assert request.framing(end_stream=False).data(b"abc") == (b"abc",)
    assert not request.idempotent


def test_protocol_that_is_no_token_is_refused() -> None:
    with pytest.raises(MalformedRequest):
        encode_request(connect(b"a\r\nb: c"), end_stream=False, host=b"u")


@pytest.mark.parametrize("protocol", [b"h2c", b"H2C", b"h2"])
def test_nobody_upgrades_to_http2_at_the_upstream(protocol: bytes) -> None:
    with pytest.raises(MalformedRequest):
        encode_request(connect(protocol), end_stream=False, host=b"x")
