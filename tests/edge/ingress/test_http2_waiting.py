"""Public HTTP/2 clients that keep an edge waiting: for a body, in a tunnel, or for nothing at all."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import pytest

from edge.ingress import IngressLimits
from h2s.engine.session import Fields
from h2s.errors import ErrorCode

from .harness import DEADLINE, Exchange, FakeGateway, Site, eventually, nothing
from .test_http2 import Answer, Contexts, Peer, talk

SHORT = 0.05
"""A timeout that is to run out."""
Play = Callable[[Site, Peer], Awaitable[None]]


@pytest.fixture
def contexts(server_context: ssl.SSLContext, client_context: ssl.SSLContext) -> Contexts:
    return server_context, client_context


def run(contexts: Contexts, play: Play, gateway: FakeGateway, **limits: float) -> None:
    """Play against an ingress with these limits; rates are 0 if not given."""

    async def serve() -> None:
        taken = IngressLimits(**{"body_rate": 0, **limits})  # type: ignore[arg-type]
        async with talk(gateway, *contexts, taken) as (served, peer):
            await play(served, peer)

    asyncio.run(serve())


def upload(peer: Peer, data: bytes = b"x", *fields: tuple[bytes, bytes]) -> Answer:
    """Begin a request with a body."""
    answer = peer.ask(*fields, method=b"POST", end_stream=False)
    peer.connection.send_data(answer.stream_id, data, end_stream=False)
    return answer


def tunnel(peer: Peer) -> Answer:
    """Ask for an upgrade."""
    fields: Fields = [(b":method", b"CONNECT"), (b":protocol", b"raw"), (b":scheme", b"https")]
    fields += [(b":authority", b"app.example"), (b":path", b"/")]
    return peer.send(fields, end_stream=False)


def accept(exchange: Exchange) -> None:
    """Accept an upgrade, or begin a response."""
    exchange.downstream.send_head(200, [], end_stream=False)


async def trickle(peer: Peer, answer: Answer, until: Callable[[], bool]) -> None:
    """Send a byte each millisecond for as long as the client may be waited for."""
    async with asyncio.timeout(DEADLINE):
        while not until():
            peer.connection.send_data(answer.stream_id, b"x", end_stream=False)
            await asyncio.sleep(0.001)


def test_a_body_that_does_not_come_is_a_408(contexts: Contexts) -> None:
    async def play(served: Site, peer: Peer) -> None:
        answer = upload(peer)
        await eventually(lambda: answer.reset is not None)
        assert (answer.status, answer.ended, answer.reset) == (b"408", True, ErrorCode.NO_ERROR)
        assert b'"code":"timeout"' in answer.body
        assert (served.last.gone, served.last.ended) == (1, False)
        assert served.last.refused is not None
        assert served.last.refused.status == 408
        other = peer.ask()
        await eventually(lambda: other.ended)

    run(contexts, play, FakeGateway(), body_timeout=SHORT)


def test_a_body_slower_than_the_rate_is_a_408(contexts: Contexts) -> None:
    async def play(served: Site, peer: Peer) -> None:
        answer = upload(peer)
        await trickle(peer, answer, lambda: answer.reset is not None)
        assert answer.status == b"408"

    run(contexts, play, FakeGateway(), body_timeout=SHORT, body_rate=1_000_000)


def test_a_body_that_keeps_coming_is_taken(contexts: Contexts) -> None:
    async def play(served: Site, peer: Peer) -> None:
        answer = upload(peer)
        began = asyncio.get_running_loop().time()
        await trickle(peer, answer, lambda: asyncio.get_running_loop().time() - began > 2.0)
        assert answer.reset is None
        peer.connection.send_data(answer.stream_id, b"", end_stream=True)
        await eventually(lambda: answer.ended)
        assert answer.status == b"200"

    run(contexts, play, FakeGateway(), body_timeout=0.5, body_rate=1)


def test_a_body_that_the_gateway_has_wait_is_waited_for(contexts: Contexts) -> None:
    gateway = FakeGateway(on_begin=lambda exchange: exchange.downstream.pause_request())

    async def play(served: Site, peer: Peer) -> None:
        paused, other = upload(peer), None
        await eventually(lambda: bool(served.gateway.exchanges))
        gateway.on_begin = nothing
        for _ in range(3):
            other = upload(peer)
            await eventually(lambda other=other: other.reset is not None)
        assert paused.head == []
        served.gateway.exchanges[0].downstream.resume_request()
        await eventually(lambda: paused.reset is not None)
        assert paused.status == b"408"

    run(contexts, play, gateway, body_timeout=SHORT)


def test_an_answer_that_has_begun_is_cut_when_nothing_moves_either_way(contexts: Contexts) -> None:
    async def play(served: Site, peer: Peer) -> None:
        answer = upload(peer)
        await eventually(lambda: answer.reset is not None)
        assert (answer.status, answer.ended, answer.reset) == (b"200", False, ErrorCode.CANCEL)
        assert served.last.gone == 1

    run(contexts, play, FakeGateway(on_begin=accept), body_timeout=SHORT, tunnel_timeout=SHORT)


def test_a_stream_both_ways_may_be_silent_for_longer_than_a_body(contexts: Contexts) -> None:
    async def play(served: Site, peer: Peer) -> None:
        both = upload(peer)
        await eventually(lambda: both.head != [])
        served.gateway.on_begin = nothing
        for _ in range(2):
            late = upload(peer)
            await eventually(lambda late=late: late.reset is not None)
        assert both.reset is None

    run(contexts, play, FakeGateway(on_begin=accept), body_timeout=SHORT, tunnel_timeout=60)


def test_a_tunnel_in_which_nothing_moves_is_closed(contexts: Contexts) -> None:
    async def play(served: Site, peer: Peer) -> None:
        answer = tunnel(peer)
        await eventually(lambda: answer.reset is not None)
        assert (answer.status, answer.reset, served.last.gone) == (b"200", ErrorCode.CANCEL, 1)

    run(contexts, play, FakeGateway(on_begin=accept, on_end=nothing), tunnel_timeout=SHORT)


@pytest.mark.parametrize("side", ["client", "gateway"])
def test_a_tunnel_in_which_something_moves_one_way_stays(contexts: Contexts, side: str) -> None:
    async def play(served: Site, peer: Peer) -> None:
        answer, idle = tunnel(peer), tunnel(peer)
        await eventually(lambda: answer.head != [] and idle.head != [])
        again = idle
        for _ in range(2):
            while again.reset is None:
                if side == "client":
                    peer.connection.send_data(answer.stream_id, b"x", end_stream=False)
                else:
                    served.gateway.exchanges[0].downstream.send_data(b"x", end_stream=False)
                await asyncio.sleep(0.001)
            again = tunnel(peer)
        assert answer.reset is None

    run(contexts, play, FakeGateway(on_begin=accept, on_end=nothing), tunnel_timeout=0.3)


def test_the_last_half_of_a_tunnel_is_waited_for_as_an_idle_connection(contexts: Contexts) -> None:
    async def play(served: Site, peer: Peer) -> None:
        answer = tunnel(peer)
        await eventually(lambda: answer.head != [])
        served.last.downstream.send_data(b"bye", end_stream=True)
        await eventually(lambda: answer.reset is not None)
        assert (answer.body, answer.ended, served.last.gone) == (b"bye", True, 1)

    run(contexts, play, FakeGateway(on_begin=accept, on_end=nothing), tunnel_timeout=60, idle_timeout=SHORT)


def test_an_upgrade_that_is_not_answered_yet_is_no_late_body(contexts: Contexts) -> None:
    async def play(served: Site, peer: Peer) -> None:
        waiting = tunnel(peer)
        late = upload(peer)
        await eventually(lambda: late.reset is not None)
        assert waiting.reset is None

    run(contexts, play, FakeGateway(on_end=nothing), body_timeout=SHORT)


def test_a_trailer_section_that_is_too_large_is_answered(contexts: Contexts) -> None:
    async def play(served: Site, peer: Peer) -> None:
        answer = upload(peer)
        peer.connection.send_trailers(answer.stream_id, [(b"x", b"y")] * 129)
        await eventually(lambda: answer.ended)
        assert (answer.status, answer.reset) == (b"431", None)
        assert (served.last.ended, served.last.gone) == (False, 1)

    run(contexts, play, FakeGateway())


def test_a_connection_that_asks_nothing_is_closed(contexts: Contexts) -> None:
    async def play(served: Site, peer: Peer) -> None:
        await asyncio.wait_for(peer.closed.wait(), DEADLINE)
        assert [goaway.code for goaway in peer.goaways] == [ErrorCode.NO_ERROR]

    run(contexts, play, FakeGateway(), head_timeout=SHORT)


@pytest.mark.parametrize("who", ["client", "gateway"])
def test_a_request_that_is_cut_is_the_beginning_of_the_idle_time(contexts: Contexts, who: str) -> None:
    async def play(served: Site, peer: Peer) -> None:
        [connection] = served.ingress._context.connections
        answer = peer.ask()
        await eventually(lambda: bool(served.gateway.exchanges))
        connection._deadline.set(asyncio.get_running_loop().time() + 1e6)  # type: ignore[attr-defined]
        if who == "client":
            peer.connection.reset(answer.stream_id, ErrorCode.CANCEL)
        else:
            served.last.downstream.abort()
        await asyncio.wait_for(peer.closed.wait(), DEADLINE)

    run(contexts, play, FakeGateway(on_end=nothing), idle_timeout=SHORT)
