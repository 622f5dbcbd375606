"""A scripted agent: a real tunnel over loopback, behind which a test answers by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.identity import DataDirectory, Identity
from edge.snapshot import JoinGrant, Snapshot
from h2s.connection import Connection
from h2s.control import INSPECT, POLL, SYNC, CallServer, Channel, Duplex, Unary, control_nonce
from h2s.engine.session import Fields, Goaway
from h2s.liveness import Liveness, LivenessTimes
from h2s.messages import (
    AgentMessage,
    Credentials,
    EdgeMessage,
    Hello,
    Inspection,
    InspectRequest,
    PollRequest,
    Report,
    ServiceOffer,
    Welcome,
)
from h2s.token import JoinToken
from h2s.tunnel import agent_ssl_context, dial

from .fakes import VERSION, make_report

PATIENCE = 10.0
"""Seconds that anything may take before a test has failed."""


def load_identity(folder: Path) -> Identity:
    """Return an edge's identity, made anew in `folder`."""
    with DataDirectory.open(folder) as data:
        return Identity.load_or_create(data, None)


def make_snapshot(identity: Identity) -> Snapshot:
    """Return what the edge of `identity` serves from: its one token, any service."""
    [record] = identity.tokens.join
    grant = JoinGrant(token_id=record.id, secret_sha256=record.sha256)
    return Snapshot(version=VERSION, edge_id=identity.edge_id, grants=(grant,))


async def eventually(condition: Callable[[], Any], what: str) -> Any:
    """Wait until `condition` holds and return what it gave."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not in time: {what}"
        await asyncio.sleep(0.005)
    return found


class Call:
    """A request that came through the tunnel, to be answered by the test; an `h2s.connection.Stream`."""

    def __init__(self, connection: Connection, stream_id: int, fields: Fields) -> None:
        self.connection = connection
        self.stream_id = stream_id
        self.fields = dict(fields)
        self.body = b""
        self.reset = False

    def answer(self, body: bytes, *, end_stream: bool = True) -> None:
        self.connection.send_head(self.stream_id, [(b":status", b"200")], end_stream=False)
        self.connection.send_data(self.stream_id, body, end_stream=end_stream)

    def on_informational(self, fields: Fields) -> None: ...

    def on_head(self, fields: Fields, end_stream: bool) -> None: ...

    def on_data(self, data: bytes, flow: int, end_stream: bool) -> None:
        self.body += data

    def on_trailers(self, fields: Fields) -> None: ...

    def on_reset(self, code: int, processed: bool) -> None:
        self.reset = True

    def on_drained(self) -> None: ...


class ScriptedAgent:
    """One tunnel; an `h2s.connection.Owner`. Reports `report` as soon as it is asked, unless that is None.

    `polled` is what it answers to a Poll; None: `report`.
    """

    def __init__(self, hello: Hello, report: Report | None) -> None:
        self.hello = hello
        self.report = report
        self.polled: Report | None = None
        self.polls = 0
        self.welcome: Callable[[], Welcome]
        self.server = CallServer(
            (
                Duplex(SYNC, self._on_sync, self._on_message, lambda code, text: None),
                Unary(POLL, self._on_poll),
                Unary(INSPECT, self._on_inspect),
            )
        )
        self.calls: list[Call] = []
        self.messages: list[EdgeMessage] = []
        self.sync: Channel | None = None
        self.connection: Connection
        self.closed = False

    @classmethod
    async def connect(
        cls,
        identity: Identity,
        address: str,
        *,
        agent_id: str = "a",
        generation: int = 1,
        service: str = "web",
        report: Report | None = make_report(),  # noqa: B008
    ) -> ScriptedAgent:
        """Dial the edge; it has its Report when this returns, but may not have acted on it."""
        assert identity.join_token is not None
        token = JoinToken.parse(identity.join_token.read_text())
        hello = Hello(
            agent_id=agent_id,
            generation=generation,
            version="1",
            services=[ServiceOffer(name=service)],
            credentials=Credentials(join_secret=token.secret.hex()),
        )
        agent = cls(hello, report)
        host, _, port = address.rpartition(":")
        agent.connection, _ = await dial(
            host,
            int(port),
            context=agent_ssl_context(identity.ca_certificate.read_text()),
            hello=hello,
            make_owner=agent._know,
            liveness=Liveness(LivenessTimes(), now=asyncio.get_running_loop().time()),
        )
        return agent

    def _know(self, welcome: Callable[[], Welcome]) -> ScriptedAgent:
        self.welcome = welcome
        return self

    def send(self, message: AgentMessage) -> None:
        """Say something on Sync."""
        assert self.sync is not None
        self.sync.send(message)

    async def call(self) -> Call:
        """Wait for the next request and return it."""
        await eventually(lambda: self.calls, "a request")
        return self.calls.pop(0)

    def on_stream(
        self, connection: Connection, stream_id: int, fields: Fields, end_stream: bool
    ) -> Call | Channel | None:
        if control_nonce(fields) is None:
            call = Call(connection, stream_id, fields)
            self.calls.append(call)
            return call
        nonce = self.welcome().control_nonce
        return self.server.take(connection, stream_id, fields, end_stream, nonce=nonce)

    def on_settings(self, connection: Connection, values: dict[int, int]) -> None: ...

    def on_goaway(self, connection: Connection, event: Goaway) -> None: ...

    def on_closed(self, connection: Connection, error: Exception | None) -> None:
        self.closed = True

    def _on_sync(self, channel: Channel) -> None:
        self.sync = channel
        if self.report is not None:
            self.send(AgentMessage(report=self.report))

    def _on_message(self, message: EdgeMessage) -> None:
        self.messages.append(message)

    def _on_poll(self, request: PollRequest) -> Report:
        self.polls += 1
        return self.polled or self.report or make_report(0)

    def _on_inspect(self, request: InspectRequest) -> Inspection:
        hello = self.hello
        return Inspection(
            agent_id=hello.agent_id,
            generation=hello.generation,
            version=hello.version,
            uptime=1.0,
            in_flight=len(self.calls),
        )
