"""What requests an HTTP/1.1 connection makes of bytes."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.ingress import IngressLimits
from edge.ingress.head import HeadParser, check_unfinished
from edge.message import Request
from edge.problem import Refusal

from .harness import Exchange, FakeGateway, eventually, nothing, site

HOST = b"Host: app.example\r\n"


def ask(request: bytes, *, limits: IngressLimits | None = None) -> tuple[bytes, list[Exchange]]:
    """Send a request that ends the connection; return the answer and what the gateway saw."""

    async def run() -> tuple[bytes, list[Exchange]]:
        async with site(limits=limits) as served:
            answer = await served.ask(request)
            return answer, served.gateway.exchanges

    return asyncio.run(run())


def request_of(request: bytes) -> Request:
    _, exchanges = ask(request)
    assert len(exchanges) == 1
    return exchanges[0].request


def test_request_is_handed_over_without_what_belongs_to_the_connection() -> None:
    request = request_of(
        b"GET /a%2Fb?q=1 HTTP/1.1\r\nHost: App.Example:80\r\nX-One: 1 \t\r\nConnection: close, X-Two, TE\r\n"
        b"X-Two: 2\r\nTE: gzip;q=0.5, trailers\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\nH2S-Control: x\r\n"
        b"Accept: */*\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAA\r\nX-Empty:\r\n\r\n"
    )
    assert request.method == b"GET"
    assert request.scheme == b"http"
    assert request.authority == b"App.Example:80"
    assert request.path == b"/a%2Fb?q=1"
    assert request.fields == [
        (b"x-one", b"1"),
        (b"accept", b"*/*"),
        (b"x-empty", b""),
        (b"te", b"trailers"),
    ]
    assert request.upgrade is None
    assert request.version == "1.1"
    assert request.peer == "127.0.0.1"
    assert request.end_stream


@pytest.mark.parametrize(
    ("target", "authority", "path"),
    [
        (b"http://other.example/x?y", b"other.example", b"/x?y"),
        (b"HTTP://other.example:8080", b"other.example:8080", b"/"),
        (b"https://other.example?y", b"other.example", b"/?y"),
        (b"//x/y", b"app.example", b"//x/y"),
    ],
)
def test_absolute_target_takes_precedence_over_host(target: bytes, authority: bytes, path: bytes) -> None:
    request = request_of(b"GET " + target + b" HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")
    assert (request.authority, request.path) == (authority, path)


@pytest.mark.parametrize("target", [b"*", b"http://app.example"])
def test_options_of_the_whole_server_has_the_path_asterisk(target: bytes) -> None:
    request = request_of(b"OPTIONS " + target + b" HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")
    assert request.path == b"*"


def test_http10_request_may_have_no_host() -> None:
    request = request_of(b"GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n")
    assert (request.authority, request.version, request.fields) == (b"", "1.0", [])


G = b"GET / HTTP/1.1\r\n" + HOST
P = b"POST / HTTP/1.1\r\n" + HOST


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400, "bad_host"),
        (G + HOST + b"\r\n", 400, "bad_host"),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "bad_authority"),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "bad_authority"),
        (b"GET http://u@app.example/ HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_authority"),
        (b"GET ftp://app.example/ HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_target"),
        (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_target"),
        (b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_target"),
        (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_request_line"),
        (b"GET /\r\n" + HOST + b"\r\n", 400, "bad_request_line"),
        (b"OPTIONS / RTSP/1.0\r\n\r\n", 400, "bad_request_line"),
        (b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 505, "http_version"),
        (b"GET / HTTP/0.9\r\n\r\n", 505, "http_version"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "http_version"),
        (b"F(O / HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_request_line"),
        (b"GET /\r\n", 400, "bad_request_line"),
        (b"GET / HTTP/3.7\r\n", 505, "http_version"),
        (b"GET / HTTP/1.1\r\nHost: x\n", 400, "bad_line_end"),
        (P + b"Transfer-Encoding: ,chunked\r\n\r\n", 501, "transfer_coding"),
        (b"CONNECT app.example:443 HTTP/1.1\r\n" + HOST + b"\r\n", 405, "connect_refused"),
        (G + b"A : b\r\n\r\n", 400, "bad_request"),
        (G + b"A: b\r\n c\r\n\r\n", 400, "bad_request"),
        (G + b"A: b\nB: c\r\n\r\n", 400, "bad_line_end"),
        (b"GET / HTTP/1.1\nHost: x\n\n", 400, "bad_line_end"),
        (G + b"A: b\rc\r\n\r\n", 400, "bad_line_end"),
        (G + b"A: b\x00c\r\n\r\n", 400, "bad_request"),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400, "bad_request_line"),
        (P + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400, "bad_length"),
        (P + b"Content-Length: 1, 1\r\n\r\n", 400, "bad_length"),
        (P + b"Content-Length: +1\r\n\r\n", 400, "bad_length"),
        (P + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "bad_framing"),
        (P + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400, "bad_framing"),
        (P + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "transfer_coding"),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "bad_framing"),
        (P + b"Expect: the-moon\r\n\r\n", 417, "bad_expectation"),
        (P + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400, "bad_chunk"),
        (P + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", 400, "bad_chunk"),
        (P + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400, "bad_chunk"),
        (P + b"Transfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n", 400, "bad_chunk"),
        (P + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA b: c\r\n\r\n", 400, "bad_request"),
        (b"GET /" + b"x" * 20_000, 414, "target_too_long"),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", 414, "target_too_long"),
        (G + b"A: " + b"x" * 70_000, 431, "head_too_large"),
        (G + b"A: " + b"x" * 70_000 + b"\r\n\r\n", 431, "head_too_large"),
        (G + b"A: b\r\n" * 128 + b"\r\n", 431, "too_many_fields"),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
            426,
            "websocket_version",
        ),
        (G + b"Upgrade: x\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nhi", 400, "upgrade_with_body"),
    ],
)
def test_bad_request_is_answered_with_a_problem_and_the_end(
    request_bytes: bytes, status: int, code: str
) -> None:
    answer, exchanges = ask(request_bytes)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nconnection: close" in head
    assert b"\r\ncontent-type: application/problem+json\r\n" in head
    assert json.loads(body)["code"] == code
    assert all(exchange.gone == 1 for exchange in exchanges)


BODIES = {
    b"Content-Length: 11\r\n\r\nhello world": [],
    b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n006\r\n world\r\n0\r\n\r\n": [],
    b"Transfer-Encoding: Chunked\r\n\r\nB\r\nhello world\r\n0\r\nX-Sum: 1\r\nHost: x\r\nh2s-control: y\r\n\r\n": [
        (b"x-sum", b"1")
    ],
}


@settings(max_examples=60, deadline=None)
@given(body=st.sampled_from(list(BODIES)), cuts=st.sets(st.integers(1, 200), max_size=12))
def test_any_split_of_the_bytes_gives_the_same_requests(body: bytes, cuts: set[int]) -> None:
    wire = b"\r\nPOST /a HTTP/1.1\r\nHost: x\r\nX-Y: z\r\n" + body + b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n"
    edges = [0, *sorted(cut for cut in cuts if cut < len(wire)), len(wire)]

    async def run() -> None:
        async with site() as served:
            client = await served.connect()
            gateway = served.gateway
            await eventually(lambda: bool(served.ingress._context.connections))
            connection = next(iter(served.ingress._context.connections))
            for start, end in itertools.pairwise(edges):
                connection.data_received(wire[start:end])  # type: ignore[attr-defined]
            post, get = gateway.exchanges
            assert (post.request.path, post.body, post.ended) == (b"/a", b"hello world", True)
            assert post.trailers == BODIES[body]
            assert (get.request.path, get.ended) == (b"/b", True)
            assert await client.read_head() == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"

    asyncio.run(run())


def test_pipelined_requests_wait_for_the_response_before() -> None:
    async def run() -> None:
        async with site(FakeGateway(on_end=nothing)) as served:
            client = await served.connect()
            client.send(
                b"GET /1 HTTP/1.1", b"Host: x", b"", b"GET /2 HTTP/1.1", b"Host: x", b"Connection: close", b""
            )
            await eventually(lambda: len(served.gateway.exchanges) == 1)
            served.last.answer(b"one")
            await eventually(lambda: len(served.gateway.exchanges) == 2)
            served.last.answer(b"two")
            assert await client.read_all() == (
                b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none"
                b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\ntwo"
            )

    asyncio.run(run())


def test_pipelined_requests_answered_at_once_do_not_recurse() -> None:
    async def run() -> None:
        async with site() as served:
            client = await served.connect()
            client.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3000)
            one = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
            for _ in range(3000):
                assert await client.read_head() + await client.read(5) == one
            assert len(served.gateway.exchanges) == 3000

    asyncio.run(run())


def test_pipeline_above_its_bound_stops_reading_and_loses_nothing() -> None:
    async def run() -> None:
        async with site(FakeGateway(on_end=nothing), limits=IngressLimits(max_pipeline=1000)) as served:
            client = await served.connect()
            client.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
            await client.writer.drain()
            for count in range(1, 201):
                await eventually(lambda count=count: len(served.gateway.exchanges) == count)  # type: ignore[misc]
                served.last.answer()
                await client.read_head()
                await client.read(5)

    asyncio.run(run())


def test_paused_request_gets_no_data_until_it_is_resumed() -> None:
    gateway = FakeGateway(on_begin=lambda exchange: exchange.downstream.pause_request())
    size = 3_000_000

    async def run() -> None:
        async with site(gateway) as served:
            client = await served.connect()
            client.send(b"POST / HTTP/1.1", b"Host: x", b"Content-Length: %d" % size, b"")
            client.writer.write(b"x" * size)
            await eventually(lambda: bool(gateway.exchanges))
            await asyncio.sleep(0)
            assert served.last.body == b""
            served.last.downstream.resume_request()
            assert (await client.read_head()).startswith(b"HTTP/1.1 200 OK\r\n")
            assert served.last.body == b"x" * size

    asyncio.run(run())


def test_pausing_within_every_piece_keeps_the_bytes_in_order() -> None:
    def pause(exchange: Exchange, data: bytes) -> None:
        exchange.downstream.pause_request()
        asyncio.get_running_loop().call_soon(exchange.downstream.resume_request)

    wire = b"".join(b"%x\r\n%b\r\n" % (size, b"%04d" % size * (size // 4)) for size in range(4, 2000, 4))

    async def run() -> None:
        async with site(FakeGateway(on_data=pause)) as served:
            client = await served.connect()
            client.send(b"POST / HTTP/1.1", b"Host: x", b"Transfer-Encoding: chunked", b"")
            client.writer.write(wire + b"0\r\n\r\n")
            await client.read_head()
            assert served.last.body == b"".join(b"%04d" % size * (size // 4) for size in range(4, 2000, 4))

    asyncio.run(run())


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHo", b"HTTP/1.1 408 Request Timeout\r\n"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab", b"HTTP/1.1 408 Request Timeout\r\n"),
        (b"", b""),
    ],
)
def test_slow_client_is_let_go(sent: bytes, status: bytes) -> None:
    async def run() -> None:
        async with site(limits=IngressLimits(head_timeout=0.05, body_timeout=0.05)) as served:
            answer = await served.ask(sent)
            assert answer.startswith(status)
            assert bool(answer) is bool(status)

    asyncio.run(run())


def test_idle_connection_is_closed_after_its_time() -> None:
    async def run() -> None:
        async with site(limits=IngressLimits(idle_timeout=0.05)) as served:
            answer = await served.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert answer == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"

    asyncio.run(run())


def test_a_method_that_nobody_knows_is_handed_over() -> None:
    assert request_of(b"BREW / HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n").method == b"BREW"


def test_names_with_underscores_are_dropped_from_heads_and_trailers() -> None:
    octets = (
        P
        + b"Connection: close\r\nTransfer-Encoding: chunked\r\nX_A: 1\r\nX-B: 2_2\r\n\r\n0\r\nY_A: 1\r\nY-B: 2\r\n\r\n"
    )
    _, [exchange] = ask(octets)
    assert exchange.request.fields == [(b"x-b", b"2_2")]
    assert exchange.trailers == [(b"y-b", b"2")]


@pytest.mark.parametrize("body", [b"xyz\r\n", b"1\r\nxx\r\n", b"0\r\nA : b\r\n\r\n"])
def test_bad_chunks_that_come_with_the_head_keep_it_from_the_gateway(body: bytes) -> None:
    answer, exchanges = ask(P + b"Transfer-Encoding: chunked\r\n\r\n" + body)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert exchanges == []


@given(st.lists(st.integers(1, 60), max_size=12))
def test_any_split_of_a_head_is_judged_the_same_way(sizes: list[int]) -> None:
    good = G + b"A: b\r\nC: d\r\n\r\n"
    for octets, bad in (
        (good, False),
        (good.replace(b"b\r\n", b"b\n"), True),
        (good[1:].replace(b"1.1", b"x"), True),
    ):
        assert refused(octets, sizes) is bad


def refused(octets: bytes, sizes: list[int]) -> bool:
    """Whether a head that comes in pieces of these sizes is refused before its end, or at it."""
    limits, checked = IngressLimits(), 0
    try:
        for end in itertools.accumulate(sizes):
            if end < len(octets):
                check_unfinished(octets[:end], 0, limits, checked=checked)
                checked = end
        HeadParser(limits).parse(octets)
    except Refusal:
        return True
    return False


# -- slow clients --------------------------------------------------------------------------------------------------


def test_body_slower_than_the_rate_is_refused() -> None:
    async def run() -> None:
        async with site(limits=IngressLimits(body_timeout=0.1, body_rate=1000)) as served:
            client = await served.connect()
            client.send(b"POST / HTTP/1.1", b"Host: x", b"Content-Length: 100000", b"")
            answer = asyncio.create_task(client.read_all())
            while not answer.done():
                client.writer.write(b"x")
                await asyncio.sleep(0.02)
            assert answer.result().startswith(b"HTTP/1.1 408 ")

    asyncio.run(run())


def test_body_may_take_its_time_once_the_response_has_begun() -> None:
    def begin(exchange: Exchange) -> None:
        exchange.downstream.send_head(200, [], end_stream=False)

    def end(exchange: Exchange) -> None:
        exchange.downstream.send_data(exchange.body, end_stream=True)

    async def run() -> None:
        limits = IngressLimits(body_timeout=0.1, body_rate=100_000)
        async with site(FakeGateway(on_begin=begin, on_end=end), limits=limits) as served:
            client = await served.connect()
            client.send(b"POST / HTTP/1.1", b"Host: x", b"Content-Length: 10", b"")
            for _ in range(10):
                client.writer.write(b"x")
                await asyncio.sleep(0.03)
            await client.read_head()
            assert await client.read(20) == b"a\r\nxxxxxxxxxx\r\n0\r\n\r\n"

    asyncio.run(run())
