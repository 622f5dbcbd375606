"""A recording stand-in for the tunnel's connection, and raw upstreams that do whatever a test wants.

Every test here runs on asyncio's own event loop and on uvloop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
import uvloop

from agent.forward import Forward
from agent.upstream import Service, Upstream, UpstreamTimes
from h2s.connection import Connection
from h2s.engine.session import Field, Fields, Limits

OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"Content-Length: 5\r\n\r\nhello"
TIMEOUT = 10.0


@pytest.fixture(
    params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"], autouse=True
)
def new_loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test on both event loops."""
    monkeypatch.setattr(Server, "new_loop", staticmethod(request.param))


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Recorder:
    """Records what a Forward asks of its connection; `full` makes it refuse to take more."""

    def __init__(self) -> None:
        self.informational: list[Fields] = []
        self.head: Fields | None = None
        self.body = bytearray()
        self.trailers: Fields | None = None
        self.ended = False
        self.resets: list[int] = []
        self.late_resets: list[int] = []
        self.credited = 0
        self.forgotten: list[int] = []
        self.done: list[Forward] = []
        self.full = False
        self.widened = 0
        self.session = self
        self.limits = Limits()
        self.changed = asyncio.Event()

    def queued(self, stream_id: int) -> int:
        return len(self.body) if self.full else 0

    def widen(self, stream_id: int, size: int) -> None:
        self.widened += size

    def send_informational(self, stream_id: int, fields: Fields) -> None:
        assert self.head is None
        self.informational.append(fields)
        self.changed.set()

    def send_head(self, stream_id: int, fields: Fields, *, end_stream: bool) -> None:
        assert self.head is None
        self.head = fields
        self._sent(end_stream)

    def send_data(self, stream_id: int, data: bytes, *, end_stream: bool) -> bool:
        assert self.head is not None
        self.body += data
        self._sent(end_stream)
        return not self.full

    def send_trailers(self, stream_id: int, fields: Fields) -> None:
        self.trailers = fields
        self._sent(True)

    def credit(self, stream_id: int, size: int) -> None:
        self.credited += size
        self.changed.set()

    def reset(self, stream_id: int, code: int) -> None:
        self.resets.append(code)
        self.changed.set()

    def reset_when_sent(self, stream_id: int, code: int) -> None:
        assert self.ended
        self.late_resets.append(code)
        self.changed.set()

    def forget(self, stream_id: int) -> None:
        self.forgotten.append(stream_id)

    def on_done(self, forward: Forward) -> None:
        self.done.append(forward)
        self.changed.set()

    def _sent(self, end_stream: bool) -> None:
        assert not self.ended
        self.ended = end_stream
        self.changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(TIMEOUT):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def over(self) -> None:
        await self.until(lambda: self.done)
        assert len(self.done) == 1
        assert self.forgotten == [1]

    @property
    def status(self) -> bytes:
        assert self.head is not None
        return dict(self.head)[b":status"]

    @property
    def error(self) -> tuple[bytes, bytes]:
        assert self.head is not None
        return self.status, dict(self.head).get(b"h2s-error", b"")


class Server:
    """A raw upstream; each connection is given to `handler`."""

    new_loop: Callable[[], asyncio.AbstractEventLoop] = staticmethod(asyncio.new_event_loop)

    def __init__(self, handler: Handler) -> None:
        self.connections = 0
        self.reached = asyncio.Event()
        self.lost = asyncio.Event()
        self._handler = handler
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.reached.set()
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.lost.set()
            writer.transport.abort()


def fields(method: bytes = b"GET", *more: Field) -> Fields:
    return [(b":method", method), (b":scheme", b"http"), (b":authority", b"app"), (b":path", b"/"), *more]


def websocket(protocol: bytes = b"websocket") -> Fields:
    return [*fields(b"CONNECT")[:1], (b":protocol", protocol), *fields()[1:]]


def start(
    service: Service, head: Fields | None = None, *, end_stream: bool = True
) -> tuple[Recorder, Forward]:
    recorder = Recorder()
    connection = cast(Connection, recorder)
    forward = Forward.begin(connection, 1, head or fields(), end_stream, service, on_done=recorder.on_done)
    assert recorder.done == []
    return recorder, forward


def against(
    handler: Handler, test: Callable[[Service, Server], Awaitable[None]], times: UpstreamTimes | None = None
) -> None:
    """Run `test` with a service whose only upstream is `handler`; at its end nothing is left."""

    async def run() -> None:
        async with Server(handler) as server:
            service = Service("web", [Upstream(server.url)], times)
            try:
                await asyncio.wait_for(test(service, server), TIMEOUT)
                assert service.in_flight == 0
            finally:
                await service.close()
            assert service.pools[0].connections == 0

    with asyncio.Runner(loop_factory=Server.new_loop) as runner:
        runner.run(run())


def answering(*responses: bytes, then_close: bool = False) -> Handler:
    """Answer each bodiless request of a connection with the next response."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for response in responses:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(response)
            await writer.drain()
        if then_close:
            writer.close()
            await writer.wait_closed()
        else:
            await reader.read()

    return handler


async def eventually(condition: Callable[[], object]) -> None:
    """Poll for what no event tells."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + TIMEOUT
    while not condition():
        assert loop.time() < deadline
        await asyncio.sleep(0.002)


async def ended_idle(service: Service) -> None:
    """Wait until no connection is left."""
    await eventually(lambda: not service.pools[0].connections)
    assert len(service.pools[0].idle) == 0
