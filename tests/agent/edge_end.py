"""An edge's end of a tunnel to an `AgentTunnel`, in memory, and requests that are answered by hand."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

import agent.tunnel
from agent.tunnel import AgentTunnel
from agent.upstream import Service
from h2s.connection import Connection
from h2s.control import Channel, Code, Method, call_unary, open_channel
from h2s.engine.session import Fields
from h2s.messages import (
    AgentMessage,
    Drain,
    EdgeMessage,
    Inspection,
    InstanceReport,
    Message,
    Report,
)

from ..h2s.memory import Pair, RecordingOwner, RecordingStream, settle
from ..h2s.said import NONCE, WELCOME

__all__ = ["INSPECTION", "REPORT", "EdgeEnd", "SlowForward", "by_hand"]

REPORT = Report(instances=[InstanceReport(service="web", healthy=1, total=1)])
INSPECTION = Inspection(agent_id="a", generation=1, version="1", uptime=1.5, in_flight=0)


class SlowForward(RecordingStream):
    """A `Forward` that answers when the test says so."""

    running: list[SlowForward]

    @classmethod
    def begin(
        cls,
        connection: Connection,
        stream_id: int,
        fields: Fields,
        end_stream: bool,
        service: Service,
        *,
        on_done: Callable[[SlowForward], None],
    ) -> SlowForward:
        forward = cls()
        forward.connection = connection
        forward.stream_id = stream_id
        forward.on_done = on_done
        cls.running.append(forward)
        return forward

    connection: Connection
    stream_id: int
    on_done: Callable[[SlowForward], None]

    def answer(self, size: int) -> None:
        """Answer with `size` bytes and be done, whatever of it is still queued."""
        self.connection.send_head(self.stream_id, [(b":status", b"200")], end_stream=False)
        self.connection.send_data(self.stream_id, b"x" * size, end_stream=True)
        self.connection.forget(self.stream_id)
        self.on_done(self)

    def on_reset(self, code: int, processed: bool) -> None:
        super().on_reset(code, processed)
        self.on_done(self)


class EdgeEnd:
    """An edge's end of a tunnel to an `AgentTunnel`, in memory."""

    def __init__(self) -> None:
        self.drains: list[Drain] = []
        self.messages: list[AgentMessage] = []
        self.ends: list[tuple[Code, str]] = []
        self.owner = RecordingOwner()
        self.agent = AgentTunnel(
            lambda: WELCOME,
            services={b"web": cast(Service, SimpleNamespace(http2=False))},
            report=lambda: REPORT,
            inspect=lambda: INSPECTION,
            on_drain=self.drains.append,
        )
        self.pair = Pair(client_owner=self.owner, server_owner=self.agent)
        self.sync: Channel

    async def start(self, *, sync: bool = True) -> EdgeEnd:
        """Connect, and open Sync."""
        await self.pair.start()
        self.agent.start(self.pair.server)
        if sync:
            self.sync = await self.call("Sync")
            assert self.messages == [AgentMessage(report=REPORT)]
            self.messages.clear()
        return self

    async def call(self, method: str, nonce: str = NONCE) -> Channel:
        """Open a control call and let the agent hear of it."""
        channel = open_channel(
            self.pair.client,
            method,
            nonce=nonce,
            on_message=lambda payload: self.messages.append(AgentMessage.model_validate_json(payload)),
            on_end=lambda code, message: self.ends.append((code, message)),
        )
        await settle()
        return channel

    async def ask(self, method: Method[Any, Any], request: Message) -> Any:
        """Make a unary call and return what comes of it."""
        answers: list[Any] = []
        call_unary(self.pair.client, method, request, nonce=NONCE, on_done=answers.append)
        await settle()
        [answer] = answers
        return answer

    async def say(self, message: EdgeMessage) -> None:
        """Send a message on Sync."""
        self.sync.send(message)
        await settle()

    async def request(self, service: bytes, *, end_stream: bool = True) -> RecordingStream:
        """Open a request for a service."""
        fields = [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":authority", b"a"),
            (b":path", b"/"),
            (b"h2s-service", service),
        ]
        stream = RecordingStream()
        self.pair.client.open(fields, stream, end_stream=end_stream)
        await settle()
        return stream

    def read(self, stream: RecordingStream, stream_id: int) -> int:
        """Take what has come of a body, give its window back, and return its size."""
        data = [event for event in stream.events if event[0] == "data"]
        stream.events = [event for event in stream.events if event[0] != "data"]
        self.pair.client.credit(stream_id, sum(event[2] for event in data))
        return sum(len(event[1]) for event in data)


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no upstream take part."""
    monkeypatch.setattr(agent.tunnel, "Forward", SlowForward)
    monkeypatch.setattr(SlowForward, "running", [], raising=False)
