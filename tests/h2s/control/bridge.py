"""Both ends of control calls on plain HTTP/2 connections, as stock gRPC libraries speak it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from h2s.connection import Connection, Stream
from h2s.control import (
    INSPECT,
    POLL,
    SYNC,
    CallServer,
    Channel,
    Code,
    Duplex,
    Unary,
    call_unary,
    control_nonce,
)
from h2s.engine import Limits, Role, create_session
from h2s.engine.session import Fields
from h2s.messages import (
    AgentMessage,
    ConfigAck,
    EdgeMessage,
    Inspection,
    InspectRequest,
    InstanceReport,
    Message,
    PollRequest,
    Report,
)

from ..loops import until
from ..memory import RecordingOwner
from ..said import NONCE

__all__ = ["INSPECTION", "REPORT", "Agent", "calling", "serving"]

REPORT = Report(instances=[InstanceReport(service="web", healthy=1, total=2)])
INSPECTION = Inspection(agent_id="a", generation=1, version="1", uptime=1.5, in_flight=0)


class Agent(RecordingOwner):
    """The agent's end: takes Sync and acknowledges each config; answers Poll and Inspect, or raises `error`."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.sync: Channel
        self.ends: list[tuple[Code, str]] = []
        self.server = CallServer(
            (
                Duplex(
                    SYNC, self._on_sync, self._on_message, lambda code, text: self.ends.append((code, text))
                ),
                Unary(POLL, self._on_poll),
                Unary(INSPECT, self._on_inspect),
            )
        )

    def on_stream(
        self, connection: Connection, stream_id: int, fields: Fields, end_stream: bool
    ) -> Stream | None:
        self.requests.append((stream_id, fields, end_stream))
        assert control_nonce(fields) is not None
        return self.server.take(connection, stream_id, fields, end_stream, nonce=NONCE)

    def _on_sync(self, channel: Channel) -> None:
        self.sync = channel
        channel.send(AgentMessage(report=REPORT))

    def _on_message(self, message: EdgeMessage) -> None:
        if message.config is not None:
            self.sync.send(AgentMessage(config_ack=ConfigAck(version=message.config.version)))

    def _on_poll(self, request: PollRequest) -> Report:
        if self.error is not None:
            raise self.error
        return REPORT

    def _on_inspect(self, request: InspectRequest) -> Inspection:
        return INSPECTION


@asynccontextmanager
async def serving(agent: Agent) -> AsyncIterator[int]:
    """Serve control calls on a port of loopback; give it."""
    connections: list[Connection] = []

    def accept() -> Connection:
        connections.append(Connection(create_session(Role.SERVER, Limits()), agent))
        return connections[-1]

    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in connections:
            connection.abort()
        await until(lambda: all(connection.closed for connection in connections))
        await server.wait_closed()


class Edge:
    """The edge's end."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def ask(self, method: Any, request: Message, **options: Any) -> Any:
        """Make a unary call; return the answer, or the ControlError."""
        answers: list[Any] = []
        call_unary(self.connection, method, request, nonce=NONCE, on_done=answers.append, **options)
        await until(lambda: answers)
        return answers[0]


@asynccontextmanager
async def calling(port: int) -> AsyncIterator[Edge]:
    """Connect to a server of gRPC on loopback, and wait until it takes calls."""
    loop = asyncio.get_running_loop()
    connection = Connection(create_session(Role.CLIENT, Limits()), cast(Any, RecordingOwner()))
    await loop.create_connection(lambda: connection, "127.0.0.1", port)
    try:
        await until(lambda: connection.free_streams)
        yield Edge(connection)
    finally:
        connection.abort()
        await until(lambda: connection.closed)
