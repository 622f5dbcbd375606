"""Public HTTP/2 clients that waste what is not theirs: they lose their stream or their connection, and only that."""

from __future__ import annotations

import asyncio
import ssl

from edge.ingress import IngressLimits
from h2s.engine.session import Limits
from h2s.errors import ErrorCode

from .harness import DEADLINE, Exchange, FakeGateway, eventually, nothing
from .test_http2 import connected, talk

BODY = b"x" * (2 * Limits().stream_window)


def test_a_response_that_nobody_reads_is_reset(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    limits = IngressLimits(stall_timeout=0.05)
    gateway = FakeGateway(on_end=lambda exchange: exchange.answer(BODY))

    async def run() -> None:
        async with talk(gateway, server_context, client_context, limits) as (_, peer):
            unread = peer.ask()
            await eventually(lambda: unread.reset is not None)
            assert unread.reset == ErrorCode.CANCEL
            assert len(unread.body) == Limits().stream_window
            gateway.on_end = Exchange.answer
            other = peer.ask()
            await eventually(lambda: other.ended)

    asyncio.run(run())


def test_the_gateway_hears_of_a_response_that_nobody_reads_while_it_is_made(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    def begin(exchange: Exchange) -> None:
        exchange.downstream.send_head(200, [], end_stream=False)
        exchange.downstream.send_data(BODY, end_stream=False)

    async def run() -> None:
        gateway = FakeGateway(on_begin=begin, on_end=nothing)
        limits = IngressLimits(stall_timeout=0.05)
        async with talk(gateway, server_context, client_context, limits) as (served, peer):
            peer.ask()
            await eventually(lambda: bool(served.gateway.exchanges) and served.last.gone == 1)

    asyncio.run(run())


def test_a_slow_reader_keeps_its_response(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    limits = IngressLimits(stall_timeout=0.05, stall_bytes=100)
    gateway = FakeGateway(on_end=lambda exchange: exchange.answer(BODY))

    async def run() -> None:
        async with talk(gateway, server_context, client_context, limits) as (_, peer):
            answer = peer.ask()
            await eventually(lambda: len(answer.body) == Limits().stream_window)
            while not answer.ended:
                assert answer.reset is None
                peer.connection.credit(answer.stream_id, Limits().stream_window // 4)
                await asyncio.sleep(0.01)
            assert answer.body == BODY

    asyncio.run(run())


def test_a_flood_ends_its_connection_and_no_other(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    limits = IngressLimits(overhead_burst=50, overhead_per_second=1.0)

    async def run() -> None:
        async with (
            talk(FakeGateway(), server_context, client_context, limits) as (served, flooder),
            connected(served, client_context) as bystander,
        ):
            for _ in range(100):
                flooder.connection.session.ping(b"12345678")
            flooder.connection.flush_soon()
            await asyncio.wait_for(flooder.closed.wait(), DEADLINE)
            assert flooder.goaways[-1].code == ErrorCode.ENHANCE_YOUR_CALM
            answer = bystander.ask()
            await eventually(lambda: answer.ended)

    asyncio.run(run())
