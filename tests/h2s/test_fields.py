"""What heads and trailers may hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2s.fields import (
    HOP_BY_HOP,
    content_length,
    request_error,
    response_error,
    trailer_error,
    unsendable,
    without_hop_by_hop,
)

METHOD, SCHEME = (b":method", b"GET"), (b":scheme", b"https")
AUTHORITY, PATH = (b":authority", b"a.example:8443"), (b":path", b"/a?b=c")
GET = [METHOD, SCHEME, AUTHORITY, PATH]
OK = [(b":status", b"200")]
CONNECT = (b":method", b"CONNECT")
WEBSOCKET = (b":protocol", b"websocket")


@pytest.mark.parametrize(
    "fields",
    [
        GET,
        [PATH, AUTHORITY, SCHEME, METHOD],
        [METHOD, SCHEME, PATH],
        [METHOD, SCHEME, PATH, (b"host", b"a.example")],
        [*GET, (b"host", b"A.example:8443")],
        [*GET, (b"te", b"trailers"), (b"content-length", b"0")],
        [*GET, (b"x", b"\x80\xff\t caf\xc3\xa9"), (b"x-empty", b"")],
        [*GET, (b"!#$%&'*+-.^_`|~09az", b"token")],
        [(b":method", b"OPTIONS"), SCHEME, AUTHORITY, (b":path", b"*")],
        [CONNECT, AUTHORITY],
        [CONNECT, WEBSOCKET, SCHEME, AUTHORITY, PATH],
        [METHOD, SCHEME, AUTHORITY, (b":path", b"/\xe4?%zz#\\")],
    ],
)
def test_well_formed_requests_pass(fields: list[tuple[bytes, bytes]]) -> None:
    assert request_error(fields) is None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([], "no :method"),
        ([SCHEME, AUTHORITY, PATH], "no :method"),
        ([METHOD, AUTHORITY, PATH], "no :scheme"),
        ([METHOD, SCHEME, AUTHORITY], "no :path"),
        ([METHOD, SCHEME, AUTHORITY, (b":path", b"")], "invalid :path"),
        ([METHOD, SCHEME, AUTHORITY, (b":path", b"a")], "invalid :path"),
        ([METHOD, SCHEME, AUTHORITY, (b":path", b"*")], "invalid :path"),
        ([METHOD, SCHEME, AUTHORITY, (b":path", b"/ HTTP/1.1")], "invalid :path"),
        ([METHOD, SCHEME, AUTHORITY, (b":path", b"/\r\nx: y")], "invalid :path"),
        ([METHOD, SCHEME, (b":authority", b"user@a.example"), PATH], "invalid :authority"),
        ([METHOD, SCHEME, (b":authority", b"a.example/x"), PATH], "invalid :authority"),
        ([METHOD, SCHEME, (b":authority", b"a b"), PATH], "invalid :authority"),
        ([(b":method", b"GET /"), SCHEME, AUTHORITY, PATH], "invalid :method"),
        ([(b":method", b""), SCHEME, AUTHORITY, PATH], "invalid :method"),
        ([METHOD, (b":scheme", b"ht tp"), AUTHORITY, PATH], "invalid :scheme"),
        ([*GET, PATH], "more than one :path"),
        ([*GET, (b":status", b"200")], "unknown"),
        ([*GET, (b":x", b"y")], "unknown"),
        ([*GET, (b"x", b"y"), (b":protocol", b"z")], "out of its place"),
        ([*GET, WEBSOCKET], "invalid :protocol"),
        ([CONNECT, WEBSOCKET, AUTHORITY], "no :scheme"),
        ([CONNECT, WEBSOCKET, SCHEME, AUTHORITY], "no :path"),
        ([CONNECT, SCHEME, AUTHORITY, PATH], "CONNECT with"),
        ([CONNECT], "CONNECT without"),
        ([*GET, (b"host", b"b.example")], "more than one host"),
        ([METHOD, SCHEME, PATH, (b"host", b"a"), (b"host", b"a")], "more than one host"),
    ],
)
def test_malformed_targets_are_named(fields: list[tuple[bytes, bytes]], reason: str) -> None:
    assert reason in (request_error(fields) or "nothing")


BAD_FIELDS = [
    (b"Upper", b"x"),
    (b"", b"x"),
    (b"a b", b"x"),
    (b"a\xff", b"x"),
    (b"a:b", b"x"),
    (b"x\n", b"x"),
    (b"x", b"a\x00"),
    (b"x", b"a\rb"),
    (b"x", b"a\n"),
    (b"x", b"a\x0bb"),
    (b"x", b"\x7f"),
    (b"x", b" a"),
    (b"x", b"a\t"),
    (b"x", b" "),
    (b"connection", b"close"),
    (b"keep-alive", b"1"),
    (b"proxy-connection", b"close"),
    (b"transfer-encoding", b"chunked"),
    (b"upgrade", b"h2c"),
    (b"te", b"gzip"),
    (b"te", b"trailers, gzip"),
    (b"content-length", b"-1"),
    (b"content-length", b"+1"),
    (b"content-length", b""),
    (b"content-length", b"1, 1"),
    (b"content-length", b"1" * 5000),
]


@pytest.mark.parametrize("field", BAD_FIELDS)
def test_bad_fields_are_malformed_everywhere(field: tuple[bytes, bytes]) -> None:
    assert request_error([*GET, (b"a", b"b"), field]) is not None
    assert response_error([*OK, (b"a", b"b"), field]) is not None
    assert trailer_error([(b"a", b"b"), field]) is not None
    assert unsendable([(b"a", b"b"), field]) == field[0]


@pytest.mark.parametrize("status", [b"", b"20", b"2000", b"abc", b"099", b" 200", b"200\n", b"101"])
def test_bad_statuses_are_malformed(status: bytes) -> None:
    assert response_error([(b":status", status)]) is not None


@pytest.mark.parametrize("fields", [[], [(b"x", b"y")], [(b"x", b"y"), *OK], [*OK, *OK], [*OK, METHOD]])
def test_responses_have_one_status_in_its_place(fields: list[tuple[bytes, bytes]]) -> None:
    assert response_error(fields) is not None


@pytest.mark.parametrize("status", [b"100", b"103", b"200", b"599", b"999"])
def test_statuses_are_three_digits(status: bytes) -> None:
    assert response_error([(b":status", status), (b"x", b"y")]) is None


def test_trailers_hold_no_pseudo_fields() -> None:
    assert trailer_error([(b"grpc-status", b"0")]) is None
    assert trailer_error(OK) is not None


def test_lengths_may_be_repeated_but_not_contradict() -> None:
    one, two = (b"content-length", b"10"), (b"content-length", b"11")
    assert response_error([*OK, one, one]) is None
    assert response_error([*OK, one, two]) is not None
    assert content_length([*OK, one, one]) == 10
    assert content_length(OK) is None


def test_reasons_never_hold_values() -> None:
    assert "secret" not in (request_error([*GET, (b"authorization", b"secret\x00")]) or "")


def test_hop_by_hop_fields_are_dropped() -> None:
    fields = [(name, b"x") for name in sorted(HOP_BY_HOP)]
    kept = [(b"accept", b"*/*"), (b"trailer", b"x"), (b"cookie", b"a")]
    assert without_hop_by_hop([kept[0], *fields, *kept[1:]]) == kept


def test_fields_that_connection_lists_are_dropped() -> None:
    fields = [(b"x-one", b"1"), (b"connection", b"X-One ,close"), (b"connection", b"x-two"), (b"x-two", b"2")]
    assert without_hop_by_hop([*fields, (b"x-three", b"3")]) == [(b"x-three", b"3")]


@pytest.mark.parametrize(
    ("value", "kept"),
    [(b"trailers", True), (b"Trailers", False), (b"gzip", False), (b"trailers, gzip", False)],
)
def test_only_te_trailers_is_passed_on(value: bytes, kept: bool) -> None:
    result = without_hop_by_hop([(b"connection", b"te"), (b"te", value)])
    assert result == ([(b"te", b"trailers")] if kept else [])


def test_nothing_is_unsendable_in_an_ordinary_answer() -> None:
    assert unsendable([(b"content-type", b"text/html"), (b"content-length", b"5"), (b"x", b"\xff")]) is None


def test_an_app_cannot_smuggle_a_pseudo_field() -> None:
    assert unsendable([(b":status", b"200")]) == b":status"


field = st.tuples(st.binary(max_size=8), st.binary(max_size=8))


@given(st.lists(field, max_size=4))
def test_no_fields_raise(fields: list[tuple[bytes, bytes]]) -> None:
    for check in (request_error, response_error, trailer_error):
        reason = check(fields)
        assert reason is None or reason.isascii()
    request_error([*GET, *fields])
    name = unsendable(fields)
    assert name is None or name in dict(fields)


@given(st.lists(field, max_size=6))
def test_what_is_sendable_is_well_formed(fields: list[tuple[bytes, bytes]]) -> None:
    passed = without_hop_by_hop(fields)
    if unsendable(passed) is None:
        assert response_error([*OK, *passed]) in (None, "contradicting content-length")


def test_host_means_nothing_in_a_response() -> None:
    hosts = [(b"host", b"a"), (b"host", b"b")]
    assert unsendable(hosts) is None
    assert response_error([*OK, *hosts]) is None
    assert trailer_error(hosts) is None
