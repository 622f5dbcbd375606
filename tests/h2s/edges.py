"""An edge reduced to its tunnel port, and servers that are no edges."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from h2s.connection import Connection, Owner
from h2s.control import INSPECT, Channel, Code, call_unary, open_channel
from h2s.liveness import Liveness, LivenessTimes
from h2s.messages import (
    AgentMessage,
    EdgeMessage,
    Hello,
    Inspection,
    InspectRequest,
    Refusal,
    Report,
    Welcome,
)
from h2s.tunnel import Acceptor, Registration, dial

from .loops import until
from .memory import RecordingOwner, RecordingStream
from .said import HELLO, WELCOME

__all__ = ["Edge", "Relay", "Tunnel", "connect", "serving"]

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


class Tunnel(RecordingOwner):
    """The edge's end of one tunnel; it opens Sync by itself if its edge does."""

    def __init__(self, edge: Edge, registration: Registration) -> None:
        super().__init__()
        self.edge = edge
        self.registration = registration
        self.connection: Connection
        self.sync: Channel | None = None
        self.messages: list[AgentMessage] = []
        self.sync_ends: list[tuple[Code, str]] = []

    def on_settings(self, connection: Connection, values: dict[int, int]) -> None:
        super().on_settings(connection, values)
        if self.edge.opens_sync:
            self.sync = self.call("Sync")

    def call(self, method: str, *, nonce: str | None = None) -> Channel:
        """Open a control call."""
        return open_channel(
            self.connection,
            method,
            nonce=nonce or self.registration.welcome.control_nonce,
            on_message=lambda payload: self.messages.append(AgentMessage.model_validate_json(payload)),
            on_end=lambda code, message: self.sync_ends.append((code, message)),
        )

    async def inspect(self) -> Inspection:
        """Ask the agent how it is."""
        answers: list[object] = []
        nonce = self.registration.welcome.control_nonce
        call_unary(self.connection, INSPECT, InspectRequest(), nonce=nonce, on_done=answers.append)
        await until(lambda: answers)
        assert isinstance(answers[0], Inspection), answers[0]
        return answers[0]

    def say(self, message: EdgeMessage) -> None:
        """Send a message on Sync."""
        assert self.sync is not None
        self.sync.send(message)

    @property
    def reports(self) -> list[Report]:
        """What the agent has reported, oldest first."""
        return [message.report for message in self.messages if message.report is not None]

    @property
    def is_draining(self) -> bool:
        """Whether the agent has said that it is leaving."""
        return any(message.draining is not None for message in self.messages)

    def request(self, service: str, path: str = "/", *, end_stream: bool = True) -> RecordingStream:
        """Open a request of the public."""
        fields = [
            (b":method", b"GET" if end_stream else b"POST"),
            (b":scheme", b"https"),
            (b":authority", b"web.example"),
            (b":path", path.encode()),
            (b"h2s-service", service.encode()),
        ]
        stream = RecordingStream()
        self.connection.open(fields, stream, end_stream=end_stream)
        return stream


class Edge:
    """Lets agents in as `decide` says, and keeps what they do."""

    def __init__(self, *, opens_sync: bool = True, liveness: LivenessTimes | None = None) -> None:
        self.opens_sync = opens_sync
        self.decide: Callable[[Hello], Welcome | Refusal | None] = lambda hello: WELCOME
        self.hellos: list[Hello] = []
        self.tunnels: list[Tunnel] = []
        self.over: list[Exception | None] = []
        self.acceptors: set[Acceptor] = set()
        self.port = 0
        self._liveness = liveness or LivenessTimes()
        self._server: asyncio.Server | None = None

    @asynccontextmanager
    async def serving(self, context: ssl.SSLContext) -> AsyncIterator[Edge]:
        """Listen on loopback until the block ends, on the same port if it is done again."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, "127.0.0.1", self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            await self.close()

    async def close(self) -> None:
        """Stop listening, abort what is open, and wait until it is gone."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for acceptor in list(self.acceptors):
            acceptor.abort()
        for tunnel in self.tunnels:
            tunnel.connection.abort()
        await until(lambda: not self.acceptors and all(tunnel.closed for tunnel in self.tunnels))
        await server.wait_closed()

    async def tunnel(self, index: int = 0) -> Tunnel:
        """Wait for the tunnel of that number, with the first report on it if there is to be one."""
        await until(lambda: len(self.tunnels) > index)
        tunnel = self.tunnels[index]
        if self.opens_sync:
            await until(lambda: tunnel.reports)
        return tunnel

    def _accept(self) -> Acceptor:
        acceptor = Acceptor(
            decide=self._on_hello,
            make_owner=lambda registration: Tunnel(self, registration),
            make_liveness=lambda: Liveness(self._liveness, now=asyncio.get_running_loop().time()),
            on_tunnel=self._on_tunnel,
            on_over=self._on_over,
        )
        self.acceptors.add(acceptor)
        return acceptor

    def _on_hello(self, hello: Hello, peer: str) -> Welcome | Refusal | None:
        assert peer == "127.0.0.1"
        self.hellos.append(hello)
        return self.decide(hello)

    def _on_tunnel(self, connection: Connection) -> None:
        tunnel = connection.owner
        assert isinstance(tunnel, Tunnel)
        tunnel.connection = connection
        self.tunnels.append(tunnel)

    def _on_over(self, acceptor: Acceptor, error: Exception | None) -> None:
        self.acceptors.remove(acceptor)
        self.over.append(error)


@asynccontextmanager
async def serving(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object],
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """Run a server on loopback that does whatever `handler` does; give its port."""
    writers: set[asyncio.StreamWriter] = set()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        writers.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            answer = handler(reader, writer)
            if asyncio.iscoroutine(answer):
                await answer
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*tasks)
        await server.wait_closed()


class Relay:
    """Passes bytes between its port and another, until it is told to swallow them: a half-open link."""

    def __init__(self) -> None:
        self.stalled = False

    @asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator[int]:
        """Relay to `port` on loopback; give the port to dial."""

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection("127.0.0.1", port)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pump(reader, back))
                    group.create_task(self._pump(there, writer))
            finally:
                back.transport.abort()

        async with serving(relay) as relay_port:
            yield relay_port

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if not self.stalled:
                    writer.write(data)
        if not self.stalled:
            writer.transport.abort()


async def connect(
    port: int,
    context: ssl.SSLContext,
    *,
    owner: Owner | None = None,
    hello: Hello = HELLO,
    times: LivenessTimes | None = None,
    timeout: float = 5.0,
) -> tuple[Connection, Welcome]:
    """Dial an edge on loopback."""
    made = owner or RecordingOwner()
    return await dial(
        "127.0.0.1",
        port,
        context=context,
        hello=hello,
        make_owner=lambda welcome: made,
        liveness=Liveness(times or LivenessTimes(), now=asyncio.get_running_loop().time()),
        timeout=timeout,
    )
