"""Listening and stopping."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest

from edge.ingress import Ingress, IngressLimits

from .harness import FakeGateway, eventually, nothing, site

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"


def test_connections_in_the_backlog_are_served_by_a_draining_ingress() -> None:
    async def run() -> None:
        async with site() as served:
            clients = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(20)]
            for client in clients:
                client.sendall(GET)
            draining = asyncio.create_task(served.ingress.drain(5.0))
            for client in clients:
                client.settimeout(5.0)
                answer = await asyncio.to_thread(_read_all, client)
                assert (
                    answer.endswith(b"\r\nconnection: close\r\n\r\nhello")
                    or b"connection: close\r\n" in answer
                )
                client.close()
            await draining

    asyncio.run(run())


def _read_all(client: socket.socket) -> bytes:
    answer = b""
    while piece := client.recv(65536):
        answer += piece
    return answer


def test_drain_waits_for_the_request_under_way() -> None:
    async def run() -> None:
        async with site(FakeGateway(on_end=nothing)) as served:
            client = await served.connect()
            client.writer.write(GET)
            await eventually(lambda: bool(served.gateway.exchanges))
            draining = asyncio.create_task(served.ingress.drain(5.0))
            await eventually(lambda: not served.ingress.addresses)
            served.last.answer()
            assert await client.read_all() == LAST
            client.writer.close()
            await draining
            assert served.ingress.connections == 0

    asyncio.run(run())


def test_idle_connection_has_a_chance_for_a_last_request_and_is_closed() -> None:
    async def run() -> None:
        async with site() as served:
            idle, late = await served.connect(), await served.connect()
            for client in (idle, late):
                client.writer.write(GET)
                await client.read_head()
                await client.read(5)
            draining = asyncio.create_task(served.ingress.drain(5.0))
            await eventually(lambda: not served.ingress.addresses)
            late.writer.write(GET)
            assert await late.read_all() == LAST
            assert await idle.read_all() == b""
            for client in (idle, late):
                client.writer.close()
            await draining

    asyncio.run(run())


def test_drain_cuts_what_does_not_end_in_time() -> None:
    async def run() -> None:
        async with site(FakeGateway(on_end=nothing)) as served:
            client = await served.connect()
            client.writer.write(GET)
            await eventually(lambda: bool(served.gateway.exchanges))
            await served.ingress.drain(0.1)
            assert served.last.gone == 1
            await eventually(lambda: served.ingress.connections == 0)

    asyncio.run(run())


def test_port_can_be_shared() -> None:
    async def run() -> None:
        first, second = Ingress(FakeGateway()), Ingress(FakeGateway())
        host, port = await first.start("127.0.0.1", 0, reuse_port=True)
        assert await second.start(host, port, reuse_port=True) == (host, port)
        await first.close()
        await second.close()

    asyncio.run(run())


def test_connection_of_an_address_that_has_too_many_is_answered_and_closed_at_once() -> None:
    async def run() -> None:
        async with site(limits=IngressLimits(max_connections_per_address=2)) as served:
            kept = [await served.connect() for _ in range(2)]
            for client in kept:
                client.writer.write(GET)
                await client.read_head()
            answer = await served.ask(GET)
            assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert b"\r\nretry-after: 1\r\n" in answer
            assert b"\r\nconnection: close\r\n" in answer
            assert len(served.gateway.exchanges) == 2
            kept[0].reset()
            await eventually(lambda: served.ingress.connections == 1)
            client = await served.connect()
            client.writer.write(GET)
            assert (await client.read_head()).startswith(b"HTTP/1.1 200 ")

    asyncio.run(run())


def test_connection_beyond_those_in_all_is_closed_before_its_handshake(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async def run() -> None:
        async with site(limits=IngressLimits(max_connections=1), ssl_context=server_context) as served:
            silent = socket.create_connection(("127.0.0.1", served.port))
            await eventually(lambda: served.ingress.connections == 1)
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await served.connect(client_context)
            silent.close()
            await eventually(lambda: served.ingress.connections == 0)
            await served.connect(client_context)

    asyncio.run(run())
