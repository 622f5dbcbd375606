"""Real clients over TLS, on both event loops."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop
import websockets

from .harness import DEADLINE, Exchange, FakeGateway, Site, eventually, nothing, site

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on a loop of the kind."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else None

    def runner(coroutine: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=factory) as loop:
            loop.run(coroutine)

    return runner


@pytest.fixture
def curl(certificate: Path) -> Callable[..., Coroutine[Any, Any, bytes]]:
    """Run curl against a site and return what it printed; its failure is the test's."""
    program = shutil.which("curl")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("curl is missing")
        pytest.skip("curl is missing")

    async def call(served: Site, *options: str, data: bytes | None = None) -> bytes:
        process = await asyncio.create_subprocess_exec(
            program,
            *("--silent", "--show-error", "--max-time", "10", "--cacert", str(certificate), *options),
            f"https://localhost:{served.port}/",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(data), DEADLINE)
        assert process.returncode == 0, err
        return out

    return call


@pytest.mark.parametrize(("option", "version"), [("--http1.1", "1.1"), ("--http2", "2")])
def test_curl_gets_and_posts(
    run: Run,
    curl: Callable[..., Coroutine[Any, Any, bytes]],
    server_context: ssl.SSLContext,
    option: str,
    version: str,
) -> None:
    def echo(exchange: Exchange) -> None:
        exchange.answer(exchange.body or b"hello")

    body = os.urandom(500_000)

    async def talk() -> None:
        async with site(FakeGateway(on_end=echo), ssl_context=server_context) as served:
            assert await curl(served, option) == b"hello"
            assert served.last.request.version == version
            assert served.last.request.scheme == b"https"
            assert await curl(served, option, "--data-binary", "@-", data=body) == body
            assert await curl(served, option, "-T", "-", data=body) == body

    run(talk())


@pytest.mark.parametrize("option", ["--http1.1", "--http2"])
def test_curl_sees_an_early_answer_to_an_upload(
    run: Run, curl: Callable[..., Coroutine[Any, Any, bytes]], server_context: ssl.SSLContext, option: str
) -> None:
    gateway = FakeGateway(on_begin=lambda exchange: exchange.answer(b"too much", 413), on_end=nothing)

    async def talk() -> None:
        async with site(gateway, ssl_context=server_context) as served:
            answer = await curl(served, option, "-H", "Expect:", "--data-binary", "@-", data=b"x" * 3_000_000)
            assert answer == b"too much"

    run(talk())


def test_websocket_client_talks_and_closes(
    run: Run, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    def accept(exchange: Exchange) -> None:
        exchange.downstream.send_head(200, [], end_stream=False)
        exchange.downstream.send_data(b"\x81\x05hello", end_stream=False)

    def close(exchange: Exchange, data: bytes) -> None:
        exchange.downstream.send_data(b"\x88\x02\x03\xe8", end_stream=True)

    async def talk() -> None:
        gateway = FakeGateway(on_begin=accept, on_data=close, on_end=nothing)
        async with site(gateway, ssl_context=server_context) as served:
            uri = f"wss://localhost:{served.port}/chat"
            async with websockets.connect(uri, ssl=client_context, proxy=None) as client:
                assert await client.recv() == "hello"
                await client.close()
            await eventually(lambda: served.ingress.connections == 0)

    run(talk())


def test_client_without_alpn_gets_http1(
    run: Run, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async def talk() -> None:
        async with site(ssl_context=server_context) as served:
            client = await served.connect(client_context)
            client.send(b"GET / HTTP/1.1", b"Host: x", b"Connection: close", b"")
            assert (await client.read_all()).startswith(b"HTTP/1.1 200 OK\r\n")

    run(talk())


@pytest.mark.parametrize("tls", [False, True])
def test_cut_response_is_an_error_on_every_loop(
    run: Run, server_context: ssl.SSLContext, client_context: ssl.SSLContext, *, tls: bool
) -> None:
    def begin(exchange: Exchange) -> None:
        exchange.downstream.send_head(200, [], end_stream=False)
        exchange.downstream.send_data(b"abc", end_stream=False)

    async def talk() -> None:
        gateway = FakeGateway(on_end=begin)
        async with site(gateway, ssl_context=server_context if tls else None) as served:
            client = await served.connect(client_context if tls else None)
            client.send(b"GET / HTTP/1.0", b"")
            await client.read_head()
            served.last.downstream.abort()
            with pytest.raises((ConnectionResetError, ssl.SSLError)):
                await client.read_all()

    run(talk())
