"""Upgrades: tunnels of raw bytes, refusals, and h2c, which is none."""

from __future__ import annotations

import asyncio

import pytest

from edge.ingress import IngressLimits

from .harness import Client, FakeGateway, Site, eventually, nothing, site

GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
UPGRADE = (
    b"GET /chat HTTP/1.1",
    b"Host: x",
    b"Connection: keep-alive, Upgrade",
    b"Upgrade: WebSocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Protocol: chat",
    b"",
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nsec-websocket-protocol: chat\r\nconnection: upgrade\r\n"
    b"upgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


async def upgraded(served: Site, *, early: bytes = b"") -> Client:
    client = await served.connect()
    client.send(*UPGRADE)
    client.writer.write(early)
    await eventually(lambda: bool(served.gateway.exchanges))
    request = served.last.request
    assert (request.upgrade, request.method, request.end_stream) == (b"websocket", b"GET", False)
    assert request.fields == [(b"sec-websocket-version", b"13"), (b"sec-websocket-protocol", b"chat")]
    served.last.downstream.send_head(200, [(b"sec-websocket-protocol", b"chat")], end_stream=False)
    assert await client.read_head() == SWITCHED
    return client


@pytest.mark.parametrize("first", ["client", "server"])
def test_tunnel_carries_bytes_both_ways_and_each_way_ends_by_itself(first: str) -> None:
    async def run() -> None:
        async with site(FakeGateway(on_end=nothing)) as served:
            client = await upgraded(served, early=b"GET / HTTP/1.1\r\n\r\n")
            await eventually(lambda: served.last.body == b"GET / HTTP/1.1\r\n\r\n")
            assert served.last.downstream.send_data(b"\x81\x00", end_stream=False)
            assert await client.read(2) == b"\x81\x00"
            if first == "client":
                client.writer.write_eof()
                await eventually(lambda: served.last.ended)
                served.last.downstream.send_data(b"bye", end_stream=True)
                assert await client.read_all() == b"bye"
            else:
                served.last.downstream.send_data(b"bye", end_stream=True)
                assert await client.read_all() == b"bye"
                client.writer.write(b"later")
                client.writer.write_eof()
                await eventually(lambda: served.last.ended)
                assert served.last.body.endswith(b"later")
            await eventually(lambda: served.ingress.connections == 0)
            assert served.last.gone == 0

    asyncio.run(run())


def test_client_that_leaves_a_tunnel_is_reported() -> None:
    async def run() -> None:
        async with site(FakeGateway(on_end=nothing)) as served:
            client = await upgraded(served)
            client.reset()
            await eventually(lambda: served.last.gone == 1)

    asyncio.run(run())


def test_refused_upgrade_is_an_ordinary_response_and_the_end() -> None:
    async def run() -> None:
        async with site(FakeGateway(on_begin=lambda exchange: exchange.answer(b"no", 403))) as served:
            client = await served.connect()
            client.send(*UPGRADE)
            assert await client.read_all() == (
                b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno"
            )

    asyncio.run(run())


@pytest.mark.parametrize("body", [b"", b"hello"])
def test_h2c_is_neither_forwarded_nor_honoured(body: bytes) -> None:
    async def run() -> None:
        async with site() as served:
            client = await served.connect()
            client.send(
                b"POST / HTTP/1.1",
                b"Host: x",
                b"Connection: Upgrade, HTTP2-Settings",
                b"Upgrade: h2c",
                b"HTTP2-Settings: AAMAAABkAAQAAP__",
                b"Content-Length: %d" % len(body),
                b"",
            )
            client.writer.write(body + GET + b"\r\n")
            for _ in range(2):
                assert await client.read_head() == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
                await client.read(5)
            posted = served.gateway.exchanges[0]
            assert posted.request.upgrade is None
            assert posted.request.fields == [(b"content-length", b"%d" % len(body))]
            assert posted.body == body

    asyncio.run(run())


@pytest.mark.parametrize("active", ["client", "server", "nobody"])
def test_tunnel_on_which_nothing_moves_is_closed(active: str) -> None:
    async def run() -> None:
        limits = IngressLimits(tunnel_timeout=0.1)
        async with site(FakeGateway(on_end=nothing), limits=limits) as served:
            client = await upgraded(served)
            if active != "nobody":
                for _ in range(20):
                    if active == "client":
                        client.writer.write(b"x")
                    else:
                        served.last.downstream.send_data(b"x", end_stream=False)
                    await asyncio.sleep(0.02)
                assert served.last.gone == 0
            await eventually(lambda: served.last.gone == 1)

    asyncio.run(run())
