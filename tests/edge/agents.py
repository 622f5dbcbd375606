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
from h2s.control import Channel, Code, accept_channel, control_nonce
from h2s.engine.session import Fields, Goaway
from h2s.liveness import Liveness, LivenessTimes
from h2s.messages import AgentMessage, Credentials, EdgeMessage, Hello, Report, ServiceOffer
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
    """One tunnel; an `h2s.connection.Owner`. Reports `report` as soon as it is asked, unless that is None."""

    def __init__(self, hello: Hello, report: Report | None) -> None:
        self.hello = hello
        self.report = report
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
            make_owner=lambda welcome: agent,
            liveness=Liveness(LivenessTimes(), now=asyncio.get_running_loop().time()),
        )
        return agent

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
    ) -> Call | Channel:
        if control_nonce(fields) is None:
            call = Call(connection, stream_id, fields)
            self.calls.append(call)
            return call
        self.sync = accept_channel(connection, stream_id, on_message=self._on_message, on_end=self._on_end)
        if self.report is not None:
            self.send(AgentMessage(report=self.report))
        return self.sync

    def on_settings(self, connection: Connection, values: dict[int, int]) -> None: ...

    def on_goaway(self, connection: Connection, event: Goaway) -> None: ...

    def on_closed(self, connection: Connection, error: Exception | None) -> None:
        self.closed = True

    def _on_message(self, payload: bytes) -> None:
        self.messages.append(EdgeMessage.model_validate_json(payload))

    def _on_end(self, code: Code, message: str) -> None: ...
