"""Upstreams that speak HTTP/2 on loopback, whose every answer a test gives, and requests relayed to them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from agent.relay import Relay
from agent.upstream import Service, Upstream, UpstreamTimes
from h2s.connection import Connection
from h2s.engine import Limits, Role, create_session
from h2s.engine.session import Fields, Goaway

from ...h2s.loops import until
from ..forward.conftest import Recorder, Server, fields, new_loop

__all__ = ["Call", "Upstream2", "against", "get", "new_loop", "start"]

TIMEOUT = 10.0


class Call:
    """One request as the upstream sees it, and the way to answer it."""

    def __init__(self, connection: Connection, stream_id: int, head: Fields, ended: bool) -> None:
        self.connection = connection
        self.stream_id = stream_id
        self.head = head
        self.ended = ended
        self.body = b""
        self.trailers: Fields | None = None
        self.reset: int | None = None
        self.drained = 0

    def answer(self, status: bytes = b"200", body: bytes = b"hello", *more: tuple[bytes, bytes]) -> None:
        """Send a whole answer."""
        self.connection.send_head(self.stream_id, [(b":status", status), *more], end_stream=not body)
        if body:
            self.connection.send_data(self.stream_id, body, end_stream=True)

    def on_informational(self, fields: Fields) -> None:
        raise AssertionError

    def on_head(self, fields: Fields, end_stream: bool) -> None:
        raise AssertionError

    def on_data(self, data: bytes, flow: int, end_stream: bool) -> None:
        self.body += data
        self.ended = end_stream

    def on_trailers(self, fields: Fields) -> None:
        self.trailers = fields
        self.ended = True

    def on_reset(self, code: int, processed: bool) -> None:
        self.reset = code

    def on_drained(self) -> None:
        self.drained += 1


class Upstream2:
    """A server of HTTP/2 on loopback; it keeps its calls, and answers them by `handler` if there is one."""

    def __init__(self, handler: Callable[[Call], None] | None = None, limits: Limits | None = None) -> None:
        self.handler = handler
        self.limits = limits or Limits()
        self.calls: list[Call] = []
        self.connections: list[Connection] = []
        self.goaways = 0
        self.lost: list[Exception | None] = []

    async def __aenter__(self) -> Upstream2:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, "127.0.0.1", 0)
        self.url = f"h2c://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for connection in self.connections:
            connection.abort()
        await self.until(lambda: len(self.lost) == len(self.connections))
        await self._server.wait_closed()

    def _accept(self) -> Connection:
        connection = Connection(create_session(Role.SERVER, self.limits), self)
        self.connections.append(connection)
        return connection

    async def until(self, condition: Callable[[], object]) -> None:
        """Poll for what no event tells."""
        await until(condition, within=TIMEOUT)

    async def call(self, number: int = 1) -> Call:
        """Wait for so many calls, and return the last of them."""
        await self.until(lambda: len(self.calls) >= number)
        return self.calls[number - 1]

    def on_stream(self, connection: Connection, stream_id: int, fields: Fields, end_stream: bool) -> Call:
        call = Call(connection, stream_id, fields, end_stream)
        self.calls.append(call)
        if self.handler is not None:
            self.handler(call)
        return call

    def on_settings(self, connection: Connection, values: dict[int, int]) -> None:
        pass

    def on_goaway(self, connection: Connection, event: Goaway) -> None:
        self.goaways += 1

    def on_closed(self, connection: Connection, error: Exception | None) -> None:
        self.lost.append(error)


class EdgeRecorder(Recorder):
    """A recorder of a relay; `widen` and `queued` are those of its session."""

    relayed: list[Relay]

    def finished(self, relay: Relay) -> None:
        self.relayed.append(relay)
        self.changed.set()

    async def over(self) -> None:
        await self.until(lambda: self.relayed)
        assert len(self.relayed) == 1
        assert self.forgotten == [1]


def get(*more: tuple[bytes, bytes]) -> Fields:
    """Return the head of a request without a body."""
    return fields(b"GET", *more)


def start(
    service: Service, head: Fields | None = None, *, end_stream: bool = True
) -> tuple[EdgeRecorder, Relay]:
    """Relay a request."""
    recorder = EdgeRecorder()
    recorder.relayed = []
    connection = cast(Connection, recorder)
    relay = Relay.begin(connection, 1, head or get(), end_stream, service, on_done=recorder.finished)
    assert recorder.relayed == []
    return recorder, relay


def against(
    test: Callable[[Service, Upstream2], Awaitable[None]],
    handler: Callable[[Call], None] | None = None,
    *,
    limits: Limits | None = None,
    times: UpstreamTimes | None = None,
) -> None:
    """Run `test` with a service whose only upstream answers by `handler`; at its end nothing is left."""

    async def run() -> None:
        async with Upstream2(handler, limits) as upstream:
            service = Service("web", [Upstream(upstream.url)], times)
            try:
                await asyncio.wait_for(test(service, upstream), TIMEOUT)
                assert service.in_flight == 0
                assert service.budget.total == 0
            finally:
                await service.close()
            assert service.pools[0].connections == 0

    with asyncio.Runner(loop_factory=Server.new_loop) as runner:
        runner.run(run())
