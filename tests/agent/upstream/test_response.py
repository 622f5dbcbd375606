"""An upstream's bytes as events, however they are split."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.upstream.errors import UpstreamClosed, UpstreamInvalid
from agent.upstream.response import (
    MAX_HEAD,
    MAX_INFORMATIONAL,
    Body,
    Event,
    Head,
    Informational,
    ResponseReader,
    Trailers,
)
from agent.upstream.upgrade import Upgrade
from h2s.engine.session import Fields

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
STATUS_200 = (b":status", b"200")


def read(*reads: bytes, method: bytes = b"GET", eof: bool = False) -> tuple[list[Event], ResponseReader]:
    reader = ResponseReader(method=method)
    events = [event for data in reads for event in reader.feed(data)]
    if eof:
        events += reader.eof()
    return events, reader


def invalid(*reads: bytes, method: bytes = b"GET") -> str:
    with pytest.raises(UpstreamInvalid) as caught:
        read(*reads, method=method)
    return str(caught.value)


def whole(events: list[Event]) -> tuple[list[Fields], Fields, bytes, Fields, int]:
    """What the events say, independent of how many there are; the last number counts the ends."""
    informational = [event.fields for event in events if isinstance(event, Informational)]
    head = next(event for event in events if isinstance(event, Head))
    body = b"".join(event.data for event in events if isinstance(event, Body))
    trailers = [field for event in events if isinstance(event, Trailers) for field in event.fields]
    ends = [isinstance(event, Trailers) or getattr(event, "end_stream", False) for event in events]
    assert not any(ends[:-1])
    return informational, head.fields, body, trailers, sum(ends)


def test_small_response_is_a_head_and_an_ending_body() -> None:
    events, reader = read(OK + b"Content-Type: Text/Plain\r\nContent-Length: 2\r\n\r\nhi")
    assert events == [
        Head([STATUS_200, (b"content-type", b"Text/Plain"), (b"content-length", b"2")], False),
        Body(b"hi", True),
    ]
    assert reader.reusable


def test_response_without_body_ends_with_its_head() -> None:
    events, reader = read(OK + b"Content-Length: 0\r\n\r\n")
    assert events == [Head([STATUS_200, (b"content-length", b"0")], True)]
    assert reader.reusable


def test_hop_by_hop_listed_and_internal_fields_are_dropped() -> None:
    events, _ = read(
        OK + b"Connection: keep-alive, X-Hop\r\nKeep-Alive: 5\r\nX-Hop: 1\r\nH2S-Error: x\r\nUpgrade: h2c\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    assert events == [Head([STATUS_200, (b"content-length", b"0")], True)]


def test_repeated_fields_keep_their_order_and_bytes() -> None:
    events, _ = read(OK + b"Set-Cookie: b=\xff\r\nX: 1 \t\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n")
    head = events[0]
    assert isinstance(head, Head)
    assert head.fields[1:4] == [(b"set-cookie", b"b=\xff"), (b"x", b"1"), (b"set-cookie", b"a=1")]


def test_chunks_that_came_together_leave_together() -> None:
    events, reader = read(CHUNKED + b"1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n")
    assert events == [Head([STATUS_200], False), Body(b"abc", True)]
    assert reader.reusable


def test_trailers_end_the_response() -> None:
    events, _ = read(CHUNKED + b"1\r\na\r\n0\r\nGrpc-Status: 0\r\nH2s-X: 1\r\nConnection: x\r\n\r\n")
    assert events == [Head([STATUS_200], False), Body(b"a", False), Trailers([(b"grpc-status", b"0")])]


def test_informational_responses_come_first() -> None:
    events, _ = read(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        + OK
        + b"Content-Length: 0\r\n\r\n"
    )
    assert events == [
        Informational([(b":status", b"100")]),
        Informational([(b":status", b"103"), (b"link", b"</a>")]),
        Head([STATUS_200, (b"content-length", b"0")], True),
    ]


def test_informational_responses_are_counted() -> None:
    assert "too many" in invalid(b"HTTP/1.1 103 x\r\n\r\n" * (MAX_INFORMATIONAL + 1))


@pytest.mark.parametrize("framing", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b""])
def test_head_response_is_over_after_its_head(framing: bytes) -> None:
    events, reader = read(OK + framing + b"\r\n", method=b"HEAD")
    assert [type(event) for event in events] == [Head]
    assert events[0].end_stream  # type: ignore[union-attr]
    assert reader.reusable


@pytest.mark.parametrize("framing", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b""])
@pytest.mark.parametrize("surplus", [b"5", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"H"])
def test_bytes_behind_a_head_response_spoil_the_connection(framing: bytes, surplus: bytes) -> None:
    _, reader = read(OK + framing + b"\r\n" + surplus, method=b"HEAD")
    assert reader.complete
    assert not reader.reusable


WHOLE = [
    (OK + b"Content-Length: 0\r\n\r\n", b"GET"),
    (OK + b"Content-Length: 2\r\n\r\nhi", b"GET"),
    (OK + b"Content-Length: 6\r\n\r\na\r\n\r\n\n", b"GET"),
    (OK + b"Content-Length: 4\r\n\r\n\r\n\r\n", b"GET"),
    (b"HTTP/1.1 100 x\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi", b"GET"),
    (b"HTTP/1.1 100 x\r\n\r\nHTTP/1.1 204 x\r\n\r\n", b"GET"),
    (b"HTTP/1.1 204 \r\n\r\n", b"GET"),
    (b"HTTP/1.1 304 x\r\nContent-Length: 9\r\nA:\r\n\r\n", b"GET"),
    (OK + b"Content-Length: 9\r\n\r\n", b"HEAD"),
    (CHUNKED, b"HEAD"),
    (CHUNKED + b"0\r\n\r\n", b"GET"),
    (CHUNKED + b"4\r\n\r\n\r\n\r\n0;x=y\r\n\r\n", b"GET"),
    (CHUNKED + b"2\r\nhi\r\n0\r\nGrpc-Status: 0\r\nX:\r\n\r\n", b"GET"),
]


@pytest.mark.parametrize(("response", "method"), WHOLE)
@pytest.mark.parametrize("surplus", [b"\n", b"\r\n", b"\r\n\r\n", b"\n\n\n\n", b"\r\n" * 100, b"\r\n\n"])
def test_empty_lines_behind_a_response_spoil_the_connection(
    response: bytes, method: bytes, surplus: bytes
) -> None:
    for at in range(len(response) + 1):
        reads = (response[:at], response[at:])
        assert read(*filter(None, reads), method=method)[1].reusable
        for split in (at, len(response) + 1):
            data = response + surplus
            events, reader = read(*filter(None, (data[:split], data[split:])), method=method)
            assert not reader.reusable
            assert said(events) == said(read(response, method=method)[0])


@pytest.mark.parametrize("line", [b"\r\n", b"\n", b"\r\n\r\n"])
def test_an_empty_line_in_front_of_a_response_is_left_over_from_something(line: bytes) -> None:
    events, reader = read(line + OK + b"Content-Length: 2\r\n\r\nhi")
    assert events[-1] == Body(b"hi", True)
    assert not reader.reusable


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 204 x\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_framing_that_must_not_be_spoils_the_connection(response: bytes) -> None:
    assert not read(response)[1].reusable


def said(events: list[Event]) -> object:
    """What the events say of a response, which may have no body."""
    return whole([event for event in events if event != Body(b"", True)])[:4]


@pytest.mark.parametrize("surplus", [b"x", b"H", OK, OK + b"A: b\r\nContent-Length: 0\r\n\r\n"])
@pytest.mark.parametrize(
    "response", [OK + b"Content-Length: 1\r\n\r\na", CHUNKED + b"1\r\na\r\n0\r\nt: u\r\n\r\n"]
)
def test_surplus_spoils_the_connection_but_not_the_response(response: bytes, surplus: bytes) -> None:
    clean, _ = read(response)
    events, reader = read(response + surplus)
    assert events == clean
    assert not reader.reusable
    events, reader = read(response, surplus)
    assert events == clean
    assert not reader.reusable


@pytest.mark.parametrize(("status", "kept"), [(b"204", []), (b"304", [(b"content-length", b"5")])])
def test_bodiless_status_ends_with_its_head_and_only_a_304_has_a_length(status: bytes, kept: Fields) -> None:
    events, reader = read(b"HTTP/1.1 " + status + b" x\r\nContent-Length: 5\r\nEtag: e\r\n\r\n")
    assert events == [Head([(b":status", status), *kept, (b"etag", b"e")], True)]
    assert reader.reusable is (status == b"304")


def test_connection_close_and_http_1_0_are_respected() -> None:
    assert not read(OK + b"Connection: Close\r\nContent-Length: 0\r\n\r\n")[1].reusable
    assert not read(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")[1].reusable
    assert read(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n")[1].reusable


def test_response_without_framing_ends_with_the_connection() -> None:
    events, reader = read(OK + b"\r\nabc", b"def", eof=True)
    assert events == [Head([STATUS_200], False), Body(b"abc", False), Body(b"def", False), Body(b"", True)]
    assert not reader.reusable


@pytest.mark.parametrize(
    "response", [OK + b"Content-Length: 5\r\n\r\nabc", CHUNKED + b"3\r\nabc\r\n", OK, b""]
)
def test_framed_response_is_not_ended_by_the_connection(response: bytes) -> None:
    with pytest.raises(UpstreamClosed):
        read(response, eof=True)


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "Expected HTTP/"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "version 2.0"),
        (b"HTTP/1.1 099 x\r\n\r\n", "status 99"),
        (b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "without being asked"),
        (OK + b"Bad Name: x\r\n\r\n", "name"),
        (OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", "Duplicate Content-Length"),
        (OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding"),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "transfer-encoding"),
        (OK + b"Transfer-Encoding: gzip\r\n\r\n", "transfer-encoding"),
        (OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "transfer-encoding"),
        (CHUNKED + b"zz\r\n", "chunk size"),
    ],
)
def test_rubbish_is_named(response: bytes, said: str) -> None:
    assert said in invalid(response)


def test_field_that_http2_cannot_carry_is_named() -> None:
    assert "x-bad" in invalid(OK + b"A: b\r\nX-Bad: a\x01b\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("start", [OK, OK + b"A: ", CHUNKED + b"1;a=", CHUNKED + b"0\r\nt: "])
def test_nothing_is_collected_without_bound(start: bytes) -> None:
    assert invalid(start, *[b"a" * 1000] * (2 * MAX_HEAD // 1000))


def test_head_of_many_small_fields_is_bounded_as_http2_counts() -> None:
    assert "head" in invalid(OK + b"a:\r\n" * 2000 + b"\r\n")


def test_trailers_of_many_small_fields_are_bounded_as_http2_counts() -> None:
    assert "trailer" in invalid(CHUNKED + b"0\r\n" + b"a:\r\n" * 2000 + b"\r\n")


def test_large_body_is_not_held_to_the_limit_of_heads() -> None:
    events, reader = read(OK + b"Content-Length: %d\r\n\r\n" % (4 * MAX_HEAD), *[b"x" * MAX_HEAD] * 4)
    assert len(whole(events)[2]) == 4 * MAX_HEAD
    assert reader.reusable


def switching(upgrade: Upgrade, *lines: bytes) -> list[Event]:
    reader = ResponseReader(method=b"GET", upgrade=upgrade)
    events = reader.feed(b"\r\n".join([b"HTTP/1.1 101 Switching", *lines, b"", b"raw"]))
    return events + reader.feed(b"more") + reader.eof()


def test_switching_protocols_is_a_200_and_then_raw_bytes() -> None:
    lines = (b"Connection: Upgrade", b"Upgrade: Raw", b"X: y")
    assert switching(Upgrade(b"raw"), *lines) == [
        Head([STATUS_200, (b"x", b"y")], False),
        Body(b"raw", False),
        Body(b"more", False),
        Body(b"", True),
    ]


@pytest.mark.parametrize(
    ("protocol", "lines", "said"),
    [
        (b"raw", (b"Connection: Upgrade", b"Upgrade: other"), "upgrade"),
        (b"raw", (), "upgrade"),
        (b"websocket", (b"Connection: Upgrade", b"Upgrade: websocket"), "accept"),
        (
            b"websocket",
            (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Accept: rubbish"),
            "accept",
        ),
    ],
)
def test_switch_to_something_else_is_invalid(protocol: bytes, lines: tuple[bytes, ...], said: str) -> None:
    with pytest.raises(UpstreamInvalid, match=said):
        switching(Upgrade(protocol), *lines)


def test_success_without_switching_does_not_look_like_an_upgrade() -> None:
    reader = ResponseReader(method=b"GET", upgrade=Upgrade(b"websocket"))
    with pytest.raises(UpstreamInvalid, match="status 200"):
        reader.feed(OK + b"Content-Length: 0\r\n\r\n")


def test_switch_behind_a_complete_response_is_surplus() -> None:
    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nEVIL"
    events, reader = read(OK + b"Content-Length: 1\r\n\r\nx" + switch)
    assert whole(events)[-1] == 1
    assert b"EVIL" not in b"".join(event.data for event in events if isinstance(event, Body))
    assert not reader.upgraded
    assert not reader.reusable


RESPONSES = [
    OK + b"Content-Length: 10\r\nX: a \r\n\r\n0123456789",
    CHUNKED + b"1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n",
    CHUNKED + b"a\r\n0123456789\r\n0\r\nA: b\r\nC: d\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: y\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nab",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    OK + b"Connection: close\r\n\r\nuntil the end",
]


@given(st.sampled_from(RESPONSES), st.lists(st.integers(0, 120)))
def test_any_split_of_the_bytes_says_the_same(response: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cut for cut in cuts if cut < len(response)), len(response)]
    pieces = [response[a:b] for a, b in pairwise(places) if a < b]
    together, one = read(response, eof=True)
    split, many = read(*pieces, eof=True)
    assert whole(split) == whole(together)
    assert whole(split)[-1] == 1
    assert many.reusable == one.reusable


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_bytes_are_a_response_or_an_upstream_error(reads: list[bytes]) -> None:
    try:
        events, reader = read(*reads, eof=True)
    except (UpstreamInvalid, UpstreamClosed):
        return
    assert reader.complete
    assert whole(events)[-1] == 1
