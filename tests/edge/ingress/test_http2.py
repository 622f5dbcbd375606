"""Public HTTP/2, driven frame by frame through a client session."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

import pytest

from edge.ingress import IngressLimits
from edge.ingress import http2 as public_http2
from h2s.connection import Connection
from h2s.engine import Limits, Role, create_session
from h2s.engine.session import Fields, Goaway
from h2s.errors import ErrorCode

from .harness import DEADLINE, Exchange, FakeGateway, Site, eventually, nothing, site


class Answer:
    """What the client saw on one stream."""

    def __init__(self) -> None:
        self.informational: list[Fields] = []
        self.head: Fields = []
        self.body = b""
        self.trailers: Fields = []
        self.ended = False
        self.reset: int | None = None
        self.drained = 0
        self.stream_id = 0

    @property
    def status(self) -> bytes:
        return dict(self.head)[b":status"]

    def on_informational(self, fields: Fields) -> None:
        self.informational.append(fields)

    def on_head(self, fields: Fields, end_stream: bool) -> None:
        self.head, self.ended = fields, end_stream

    def on_data(self, data: bytes, flow: int, end_stream: bool) -> None:
        self.body += data
        self.ended = end_stream

    def on_trailers(self, fields: Fields) -> None:
        self.trailers, self.ended = fields, True

    def on_reset(self, code: int, processed: bool) -> None:
        self.reset = code

    def on_drained(self) -> None:
        self.drained += 1


class Peer:
    """A client's connection."""

    def __init__(self) -> None:
        self.goaways: list[Goaway] = []
        self.closed = asyncio.Event()
        self.settings: dict[int, int] = {}
        self.connection = Connection(create_session(Role.CLIENT, Limits()), self)

    def on_stream(self, connection: Connection, stream_id: int, fields: Fields, end_stream: bool) -> None:
        raise AssertionError("a server opens no streams")

    def on_settings(self, connection: Connection, values: dict[int, int]) -> None:
        self.settings = values

    def on_goaway(self, connection: Connection, event: Goaway) -> None:
        self.goaways.append(event)

    def on_closed(self, connection: Connection, error: Exception | None) -> None:
        self.closed.set()

    def ask(self, *extra: tuple[bytes, bytes], method: bytes = b"GET", end_stream: bool = True) -> Answer:
        fields = [
            (b":method", method),
            (b":scheme", b"https"),
            (b":authority", b"app.example"),
            (b":path", b"/x"),
            *extra,
        ]
        return self.send(fields, end_stream=end_stream)

    def send(self, fields: Fields, *, end_stream: bool) -> Answer:
        answer = Answer()
        answer.stream_id = self.connection.open(fields, answer, end_stream=end_stream)
        return answer


@contextlib.asynccontextmanager
async def talk(
    gateway: FakeGateway,
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    limits: IngressLimits | None = None,
) -> AsyncIterator[tuple[Site, Peer]]:
    async with (
        site(gateway, ssl_context=server_context, limits=limits) as served,
        connected(served, client_context) as peer,
    ):
        yield served, peer


@contextlib.asynccontextmanager
async def connected(served: Site, client_context: ssl.SSLContext) -> AsyncIterator[Peer]:
    client_context.set_alpn_protocols(["h2"])
    peer = Peer()
    await asyncio.get_running_loop().create_connection(
        lambda: peer.connection, "127.0.0.1", served.port, ssl=client_context, server_hostname="localhost"
    )
    await eventually(lambda: bool(peer.settings))
    try:
        yield peer
    finally:
        peer.connection.abort()
        await asyncio.wait_for(peer.closed.wait(), DEADLINE)


@pytest.fixture
def contexts(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return server_context, client_context


Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


def test_request_is_handed_over_and_answered(contexts: Contexts) -> None:
    async def run() -> None:
        async with talk(FakeGateway(), *contexts) as (served, peer):
            answer = peer.ask(
                (b"cookie", b"a=1"),
                (b"h2s-control", b"x"),
                (b"te", b"trailers"),
                (b"cookie", b"b=2"),
                (b"x-y", b"z"),
            )
            await eventually(lambda: answer.ended)
            request = served.last.request
            assert (request.method, request.scheme, request.authority) == (b"GET", b"https", b"app.example")
            assert (request.path, request.version, request.peer) == (b"/x", "2", "127.0.0.1")
            assert request.fields == [(b"x-y", b"z"), (b"cookie", b"a=1; b=2"), (b"te", b"trailers")]
            assert request.end_stream
            assert request.upgrade is None
            assert answer.head[:2] == [(b":status", b"200"), (b"content-length", b"5")]
            assert [name for name, _ in answer.head].count(b"date") == 1
            assert answer.body == b"hello"
            assert (
                not served.ingress._context.connections
                or next(iter(served.ingress._context.connections)).idle
            )

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([(b":method", b"CONNECT"), (b":authority", b"x:1")], b"405"),
        ([(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/")], b"400"),
        ([(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"[a"), (b":path", b"/")], b"400"),
        (
            [
                (b":method", b"GET"),
                (b":scheme", b"https"),
                (b":authority", b"a"),
                (b":path", b"/"),
                (b"expect", b"x"),
            ],
            b"417",
        ),
        (
            [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/")]
            + [(b"x", b"y")] * 128,
            b"431",
        ),
    ],
)
def test_bad_request_is_answered_with_a_problem(contexts: Contexts, fields: Fields, status: bytes) -> None:
    async def run() -> None:
        async with talk(FakeGateway(), *contexts) as (served, peer):
            answer = peer.send(fields, end_stream=True)
            await eventually(lambda: answer.ended)
            assert answer.status == status
            assert (b"content-type", b"application/problem+json") in answer.head
            assert not served.gateway.exchanges

    asyncio.run(run())


def test_bodies_and_trailers_pass_both_ways(contexts: Contexts) -> None:
    def reply(exchange: Exchange) -> None:
        exchange.downstream.send_informational(103, [(b"link", b"</x>")])
        exchange.downstream.send_head(200, [], end_stream=False)
        exchange.downstream.send_data(exchange.body, end_stream=False)
        exchange.downstream.send_trailers(exchange.trailers)

    async def run() -> None:
        async with talk(FakeGateway(on_end=reply), *contexts) as (served, peer):
            answer = peer.ask(method=b"POST", end_stream=False)
            for _ in range(40):
                peer.connection.send_data(answer.stream_id, b"x" * 10_000, end_stream=False)
            peer.connection.send_trailers(answer.stream_id, [(b"x-sum", b"1"), (b"h2s-control", b"y")])
            await eventually(lambda: served.gateway.exchanges != [] and served.last.ended)
            assert served.last.trailers == [(b"x-sum", b"1")]
            await eventually(lambda: len(answer.body) > 200_000)
            peer.connection.credit(answer.stream_id, 200_000)
            await eventually(lambda: answer.ended)
            assert len(answer.informational) == 1
            assert answer.body == b"x" * 400_000
            assert answer.trailers == [(b"x-sum", b"1")]

    asyncio.run(run())


def test_head_and_204_have_no_body(contexts: Contexts) -> None:
    def reply(exchange: Exchange) -> None:
        status = 204 if exchange.request.method == b"GET" else 200
        exchange.answer(b"hello", status)

    async def run() -> None:
        async with talk(FakeGateway(on_end=reply), *contexts) as (_, peer):
            head, get = peer.ask(method=b"HEAD"), peer.ask()
            await eventually(lambda: head.ended and get.ended)
            assert (head.body, get.body) == (b"", b"")
            assert (b"content-length", b"5") in head.head
            assert b"content-length" not in dict(get.head)

    asyncio.run(run())


def test_cut_response_is_a_reset(contexts: Contexts) -> None:
    async def run() -> None:
        async with talk(FakeGateway(on_end=nothing), *contexts) as (served, peer):
            answers = [peer.ask() for _ in range(2)]
            await eventually(lambda: len(served.gateway.exchanges) == 2)
            first, second = (exchange.downstream for exchange in served.gateway.exchanges)
            first.send_head(200, [], end_stream=False)
            first.abort()
            second.send_head(200, [(b"content-length", b"9")], end_stream=False)
            second.send_data(b"short", end_stream=True)
            await eventually(lambda: all(answer.reset is not None for answer in answers))
            assert [answer.reset for answer in answers] == [ErrorCode.INTERNAL_ERROR] * 2
            assert [exchange.gone for exchange in served.gateway.exchanges] == [0, 0]

    asyncio.run(run())


def test_response_that_ends_before_its_request_is_followed_by_no_error(contexts: Contexts) -> None:
    gateway = FakeGateway(on_begin=lambda exchange: exchange.answer(b"x" * 100_000, 413), on_end=nothing)

    async def run() -> None:
        async with talk(gateway, *contexts) as (_, peer):
            answer = peer.ask(method=b"POST", end_stream=False)
            await eventually(lambda: answer.reset is not None)
            assert answer.ended
            assert len(answer.body) == 100_000
            assert answer.reset == ErrorCode.NO_ERROR

    asyncio.run(run())


def test_client_that_cancels_or_leaves_is_reported_once(contexts: Contexts) -> None:
    async def run() -> None:
        async with talk(FakeGateway(on_end=nothing), *contexts) as (served, peer):
            first, _ = peer.ask(), peer.ask()
            await eventually(lambda: len(served.gateway.exchanges) == 2)
            peer.connection.reset(first.stream_id, ErrorCode.CANCEL)
            await eventually(lambda: served.gateway.exchanges[0].gone == 1)
            peer.connection.abort()
            await eventually(lambda: served.gateway.exchanges[1].gone == 1)
            assert [exchange.gone for exchange in served.gateway.exchanges] == [1, 1]

    asyncio.run(run())


def test_client_that_goes_on_cancelling_is_closed(contexts: Contexts) -> None:
    limits = IngressLimits(reset_burst=5, resets_per_second=0.1)

    async def run() -> None:
        async with talk(FakeGateway(on_end=nothing), *contexts, limits=limits) as (served, peer):
            for count in range(1, 8):
                answer = peer.ask()
                await eventually(
                    lambda count=count: peer.closed.is_set() or len(served.gateway.exchanges) == count
                )
                peer.connection.reset(answer.stream_id, ErrorCode.CANCEL)
            await asyncio.wait_for(peer.closed.wait(), DEADLINE)
            assert peer.goaways[-1].code == ErrorCode.ENHANCE_YOUR_CALM
            assert len(served.gateway.exchanges) == 6

    asyncio.run(run())


def test_paused_request_stops_at_the_stream_window(contexts: Contexts) -> None:
    size = 1_000_000
    gateway = FakeGateway(on_begin=lambda exchange: exchange.downstream.pause_request())

    async def run() -> None:
        async with talk(gateway, *contexts) as (served, peer):
            answer = peer.ask(method=b"POST", end_stream=False)
            peer.connection.send_data(answer.stream_id, b"x" * size, end_stream=True)
            window = Limits().stream_window
            await eventually(lambda: served.gateway.exchanges != [] and len(served.last.body) == window)
            other = peer.ask()
            served.gateway.on_begin = nothing
            served.last.downstream.resume_request()
            await eventually(lambda: answer.ended or len(served.gateway.exchanges) == 2)
            for exchange in served.gateway.exchanges:
                exchange.downstream.resume_request()
            await eventually(lambda: answer.ended and other.ended)
            assert len(served.gateway.exchanges[0].body) == size

    asyncio.run(run())


@pytest.mark.parametrize("has_room", [True, False])
def test_the_window_of_a_body_that_goes_on_at_once_grows_while_memory_has_room(
    contexts: Contexts, has_room: bool
) -> None:
    window = Limits().stream_window
    gateway = FakeGateway()
    gateway.has_room = has_room

    async def run() -> None:
        async with talk(gateway, *contexts) as (served, peer):
            answer = peer.ask(method=b"POST", end_stream=False)
            peer.connection.send_data(answer.stream_id, b"x" * (2 * window), end_stream=False)
            await eventually(lambda: served.gateway.exchanges != [] and len(served.last.body) == 2 * window)
            served.last.downstream.pause_request()
            peer.connection.send_data(answer.stream_id, b"x" * (8 * window), end_stream=True)
            session = peer.connection.session
            await eventually(
                lambda: 0 < session.queued(answer.stream_id) == 10 * window - len(served.last.body)
            )
            open_at_the_pause = len(served.last.body) - 2 * window
            assert (open_at_the_pause > window) is has_room
            served.last.downstream.resume_request()
            await eventually(lambda: answer.ended)
            assert len(served.last.body) == 10 * window

    asyncio.run(run())


def test_gateway_waits_for_a_client_that_does_not_read(contexts: Contexts) -> None:
    async def run() -> None:
        async with talk(FakeGateway(on_end=nothing), *contexts) as (served, peer):
            answer = peer.ask()
            await eventually(lambda: bool(served.gateway.exchanges))
            downstream = served.last.downstream
            downstream.send_head(200, [], end_stream=False)
            sent = 0
            while downstream.send_data(b"x" * 65536, end_stream=False):
                sent += 65536
                await asyncio.sleep(0)
            assert sent >= Limits().queue_high
            assert served.last.drained == 0
            await eventually(lambda: len(answer.body) == Limits().stream_window)
            peer.connection.credit(answer.stream_id, len(answer.body))
            await eventually(lambda: served.last.drained == 1)

    asyncio.run(run())


def test_extended_connect_is_an_upgrade_whose_ways_end_by_themselves(contexts: Contexts) -> None:
    async def run() -> None:
        async with talk(FakeGateway(on_end=nothing), *contexts) as (served, peer):
            assert peer.settings[0x8] == 1
            answer = peer.ask(method=b"CONNECT", end_stream=False)
            await eventually(lambda: answer.reset is not None)
            fields = [
                (b":method", b"CONNECT"),
                (b":protocol", b"websocket"),
                (b":scheme", b"https"),
                (b":path", b"/chat"),
                (b":authority", b"app.example"),
                (b"sec-websocket-version", b"13"),
            ]
            tunnel = peer.send(fields, end_stream=False)
            await eventually(lambda: bool(served.gateway.exchanges))
            assert served.last.request.upgrade == b"websocket"
            served.last.downstream.send_head(200, [], end_stream=False)
            served.last.downstream.send_data(b"bye", end_stream=True)
            await eventually(lambda: tunnel.ended)
            peer.connection.send_data(tunnel.stream_id, b"later", end_stream=True)
            await eventually(lambda: served.last.ended)
            assert (tunnel.body, served.last.body, tunnel.reset) == (b"bye", b"later", None)

    asyncio.run(run())


def test_draining_names_no_stream_first_and_the_last_one_later(
    contexts: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_http2, "GOAWAY_MOMENT", 0.05)

    async def run() -> None:
        async with talk(FakeGateway(on_end=nothing), *contexts) as (served, peer):
            answer = peer.ask()
            await eventually(lambda: bool(served.gateway.exchanges))
            draining = asyncio.create_task(served.ingress.drain(5.0))
            await eventually(lambda: len(peer.goaways) == 2)
            assert [goaway.last_stream_id for goaway in peer.goaways] == [2**31 - 1, answer.stream_id]
            served.last.answer()
            await asyncio.wait_for(peer.closed.wait(), DEADLINE)
            assert answer.body == b"hello"
            await draining

    asyncio.run(run())


def test_idle_connection_is_closed(contexts: Contexts) -> None:
    async def run() -> None:
        limits = IngressLimits(idle_timeout=0.1)
        async with talk(FakeGateway(), *contexts, limits=limits) as (_, peer):
            answer = peer.ask()
            await eventually(lambda: answer.ended)
            await asyncio.wait_for(peer.closed.wait(), DEADLINE)

    asyncio.run(run())
