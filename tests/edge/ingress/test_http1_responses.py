"""What bytes an HTTP/1.1 connection makes of responses."""

from __future__ import annotations

import asyncio

import pytest

from edge.ingress import IngressLimits
from h2s.engine.session import Fields
from h2s.http1 import MalformedMessage

from .harness import Exchange, FakeGateway, Script, eventually, nothing, site

GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
GET10 = b"GET / HTTP/1.0\r\nHost: x\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: x\r\n"
CLOSE = b"Connection: close\r\n\r\n"
LENGTH3: Fields = [(b"content-length", b"3")]


def replies(status: int, fields: Fields, *pieces: bytes, trailers: Fields | None = None) -> Script:
    """A script that answers with a head and pieces of a body."""

    def answer(exchange: Exchange) -> None:
        downstream = exchange.downstream
        downstream.send_head(status, fields, end_stream=not pieces and trailers is None)
        for count, piece in enumerate(pieces, 1):
            downstream.send_data(piece, end_stream=count == len(pieces) and trailers is None)
        if trailers is not None:
            downstream.send_trailers(trailers)

    return answer


CASES = {
    "length": (GET + CLOSE, replies(200, LENGTH3, b"a", b"bc"), b"200 OK", b"content-length: 3", b"abc"),
    "chunked": (
        GET + CLOSE,
        replies(200, [], b"a", b"", b"bc"),
        b"200 OK",
        b"transfer-encoding: chunked",
        b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
    ),
    "trailers": (
        GET + CLOSE,
        replies(200, [], b"a", trailers=[(b"x-sum", b"1")]),
        b"200 OK",
        b"transfer-encoding: chunked",
        b"1\r\na\r\n0\r\nx-sum: 1\r\n\r\n",
    ),
    "trailers behind a length are left out": (
        GET + CLOSE,
        replies(200, LENGTH3, b"abc", trailers=[(b"x-sum", b"1")]),
        b"200 OK",
        b"content-length: 3",
        b"abc",
    ),
    "no body": (GET + CLOSE, replies(404, []), b"404 Not Found", b"content-length: 0", b""),
    "two lengths are none": (
        GET + CLOSE,
        replies(200, [*LENGTH3, *LENGTH3], b"abc"),
        b"200 OK",
        b"transfer-encoding: chunked",
        b"3\r\nabc\r\n0\r\n\r\n",
    ),
    "HEAD": (HEAD + CLOSE, replies(200, LENGTH3, b"abc"), b"200 OK", b"content-length: 3", b""),
    "HEAD without length": (HEAD + CLOSE, replies(200, []), b"200 OK", b"", b""),
    "304": (GET + CLOSE, replies(304, LENGTH3), b"304 Not Modified", b"content-length: 3", b""),
    "204": (GET + CLOSE, replies(204, LENGTH3, b"abc"), b"204 No Content", b"", b""),
    "unknown status": (GET + CLOSE, replies(299, LENGTH3, b"abc"), b"299 ", b"content-length: 3", b"abc"),
    "1.0 without length": (GET10 + b"\r\n", replies(200, [], b"a", b"bc"), b"200 OK", b"", b"abc"),
    "1.0 with trailers": (
        GET10 + b"Connection: keep-alive\r\n\r\n",
        replies(200, [], b"abc", trailers=[(b"x-sum", b"1")]),
        b"200 OK",
        b"",
        b"abc",
    ),
}


@pytest.mark.parametrize("case", list(CASES))
def test_response_is_framed_for_its_client(case: str) -> None:
    request, script, status, framing, body = CASES[case]

    async def run() -> bytes:
        async with site(FakeGateway(on_end=script)) as served:
            return await served.ask(request)

    line = framing + b"\r\n" if framing else b""
    assert asyncio.run(run()) == (
        b"HTTP/1.1 " + status + b"\r\n" + line + b"connection: close\r\n\r\n" + body
    )


def test_date_is_added_only_where_there_is_none() -> None:
    async def run() -> bytes:
        date = [(b"date", b"yesterday"), *LENGTH3]
        async with site(FakeGateway(on_end=replies(200, date, b"abc"))) as served:
            return await served.ask(GET + CLOSE)

    assert asyncio.run(run()).count(b"date: ") == 1


def test_http10_connection_is_kept_when_asked_for() -> None:
    async def run() -> None:
        async with site() as served:
            client = await served.connect()
            for _ in range(2):
                client.writer.write(GET10 + b"Connection: Keep-Alive\r\n\r\n")
                assert await client.read_head() == (
                    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\n"
                )
                assert await client.read(5) == b"hello"

    asyncio.run(run())


def test_continue_and_early_hints_come_before_the_response() -> None:
    def go_on(exchange: Exchange) -> None:
        assert exchange.request.fields[0] == (b"expect", b"100-continue")
        exchange.downstream.send_informational(103, [(b"link", b"</x>")])
        exchange.downstream.send_informational(100, [])

    async def run() -> None:
        async with site(FakeGateway(on_begin=go_on)) as served:
            client = await served.connect()
            client.send(b"POST / HTTP/1.1", b"Host: x", b"Expect: 100-continue", b"Content-Length: 2", b"")
            assert await client.read_head() == b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
            assert await client.read_head() == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.writer.write(b"hi")
            assert (await client.read_head()).startswith(b"HTTP/1.1 200 OK\r\n")

    asyncio.run(run())


def test_http10_client_gets_no_informational_response() -> None:
    def hint(exchange: Exchange) -> None:
        exchange.downstream.send_informational(103, [])
        exchange.answer()

    async def run() -> bytes:
        async with site(FakeGateway(on_end=hint)) as served:
            return await served.ask(GET10 + b"\r\n")

    assert asyncio.run(run()).startswith(b"HTTP/1.1 200 OK\r\n")


def test_field_with_a_line_break_is_refused() -> None:
    refused: list[Exception] = []

    def split(exchange: Exchange) -> None:
        try:
            exchange.downstream.send_head(200, [(b"x", b"a\r\nset-cookie: b")], end_stream=True)
        except MalformedMessage as error:
            refused.append(error)
            exchange.answer(status=502)

    async def run() -> bytes:
        async with site(FakeGateway(on_end=split)) as served:
            return await served.ask(GET + CLOSE)

    assert asyncio.run(run()).startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert len(refused) == 1


@pytest.mark.parametrize("fields", [[], [(b"content-length", b"100")]])
@pytest.mark.parametrize("request_bytes", [GET + b"\r\n", GET10 + b"\r\n"])
def test_cut_response_is_an_error_to_the_client(request_bytes: bytes, fields: Fields) -> None:
    def begin(exchange: Exchange) -> None:
        exchange.downstream.send_head(200, fields, end_stream=False)
        exchange.downstream.send_data(b"abc", end_stream=False)

    async def run() -> None:
        async with site(FakeGateway(on_end=begin)) as served:
            client = await served.connect()
            client.writer.write(request_bytes)
            await client.read_head()
            served.last.downstream.abort()
            with pytest.raises(ConnectionResetError):
                await client.read_all()
            assert served.last.gone == 0

    asyncio.run(run())


@pytest.mark.parametrize("pieces", [(b"ab",), (b"ab", b"cd")])
def test_response_that_contradicts_its_length_is_cut(pieces: tuple[bytes, ...]) -> None:
    async def run() -> None:
        async with site(FakeGateway(on_end=replies(200, LENGTH3, *pieces))) as served:
            with pytest.raises(ConnectionResetError):
                await served.ask(GET + b"\r\n")

    asyncio.run(run())


def test_early_error_is_read_by_a_client_that_is_still_sending() -> None:
    gateway = FakeGateway(on_begin=lambda exchange: exchange.answer(b"too much", 413), on_end=nothing)

    async def run() -> None:
        async with site(gateway) as served:
            client = await served.connect()
            client.send(b"POST / HTTP/1.1", b"Host: x", b"Content-Length: 100000000", b"")
            client.writer.write(b"x" * 200_000)
            assert await client.read_head() == (
                b"HTTP/1.1 413 Request Entity Too Large\r\ncontent-length: 8\r\nconnection: close\r\n\r\n"
            )
            client.writer.write(b"x" * 50_000)
            assert await client.read_all() == b"too much"

    asyncio.run(run())


def test_connection_goes_on_after_a_short_rest_of_a_body() -> None:
    def begin(exchange: Exchange) -> None:
        if not exchange.request.end_stream:
            exchange.answer()

    async def run() -> None:
        async with site(FakeGateway(on_begin=begin)) as served:
            client = await served.connect()
            client.send(b"POST / HTTP/1.1", b"Host: x", b"Transfer-Encoding: chunked", b"")
            assert await client.read_head() == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
            client.send(b"3", b"abc", b"0", b"", b"GET /next HTTP/1.1", b"Host: x", b"")
            assert await client.read(5) == b"hello"
            assert await client.read_head() == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
            assert served.last.request.path == b"/next"
            assert served.gateway.exchanges[0].body == b""

    asyncio.run(run())


def test_long_rest_of_a_body_ends_the_connection() -> None:
    async def run() -> None:
        gateway = FakeGateway(on_begin=lambda exchange: exchange.answer())
        async with site(gateway, limits=IngressLimits(discard=1000, linger_timeout=0.05)) as served:
            client = await served.connect()
            client.send(b"POST / HTTP/1.1", b"Host: x", b"Content-Length: 5000", b"")
            await client.read_head()
            client.writer.write(b"x" * 4000)
            assert await client.read(5) == b"hello"
            await eventually(lambda: served.ingress.connections == 0)

    asyncio.run(run())


@pytest.mark.parametrize("how", ["eof", "reset"])
@pytest.mark.parametrize(
    "request_bytes", [GET + b"\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab"]
)
def test_client_that_leaves_is_reported_once(request_bytes: bytes, how: str) -> None:
    async def run() -> None:
        async with site(FakeGateway(on_end=nothing)) as served:
            client = await served.connect()
            client.writer.write(request_bytes)
            await eventually(lambda: bool(served.gateway.exchanges))
            if how == "eof":
                client.writer.close()
            else:
                client.reset()
            await eventually(lambda: served.last.gone == 1)
            served.last.answer()
            await eventually(lambda: served.ingress.connections == 0)
            assert served.last.gone == 1

    asyncio.run(run())


def test_slow_reader_makes_the_gateway_wait_and_gets_everything() -> None:
    piece = b"x" * 65536
    total = 200

    def pour(exchange: Exchange) -> None:
        while exchange.gateway.left:  # type: ignore[attr-defined]
            exchange.gateway.left -= 1  # type: ignore[attr-defined]
            last = not exchange.gateway.left  # type: ignore[attr-defined]
            if not exchange.downstream.send_data(piece, end_stream=last):
                return

    def begin(exchange: Exchange) -> None:
        exchange.downstream.send_head(200, [], end_stream=False)
        pour(exchange)

    async def run() -> None:
        gateway = FakeGateway(on_end=begin, on_drained=pour)
        gateway.left = total  # type: ignore[attr-defined]
        async with site(gateway) as served:
            client = await served.connect()
            client.writer.write(GET + b"\r\n")
            await client.read_head()
            assert gateway.left > 0  # type: ignore[attr-defined]
            for _ in range(total):
                assert await client.read(7) == b"10000\r\n"
                assert await client.read(65538) == piece + b"\r\n"
            assert await client.read(5) == b"0\r\n\r\n"
            assert served.last.drained > 0

    asyncio.run(run())


def test_stopping_edge_says_close() -> None:
    async def run() -> bytes:
        async with site() as served:
            served.gateway.draining = True
            return await served.ask(GET + b"\r\n")

    assert asyncio.run(run()) == (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello")


def test_response_that_is_not_read_is_cut_and_one_that_is_read_slowly_is_not() -> None:
    size = 16 * 1024 * 1024
    gateway = FakeGateway(on_end=replies(200, [(b"content-length", b"%d" % size)], b"x" * size))

    async def run() -> None:
        async with site(gateway, limits=IngressLimits(stall_timeout=1.0)) as served:
            reader, idler = await served.connect(), await served.connect()
            for client in (reader, idler):
                client.writer.write(GET + b"\r\n")
                await client.read_head()
            idler.writer.transport.pause_reading()  # type: ignore[attr-defined]
            left = size
            while left:
                left -= len(await reader.reader.read(min(left, 65536 if left > size // 2 else left)))
                await asyncio.sleep(0.005 if left > size // 2 else 0)
            await eventually(lambda: served.ingress.connections == 1)

    asyncio.run(run())
