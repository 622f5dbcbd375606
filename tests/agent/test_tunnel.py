"""The agent's end of a tunnel, in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

import agent.tunnel
from agent.tunnel import AgentTunnel
from agent.upstream import Service
from h2s.connection import Connection
from h2s.control import Channel, Code, open_channel
from h2s.engine.session import Fields
from h2s.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from h2s.messages import (
    AgentMessage,
    Config,
    ConfigVersion,
    Drain,
    DrainAck,
    EdgeMessage,
    InstanceReport,
    Report,
)

from ..h2s.loops import in_loop, live_timers, until
from ..h2s.memory import Pair, RecordingOwner, RecordingStream, settle
from ..h2s.said import NONCE, WELCOME

REPORT = Report(instances=[InstanceReport(service="web", healthy=1, total=1)])
BIG = 500 * 1024


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


@pytest.fixture(autouse=True)
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no upstream take part."""
    monkeypatch.setattr(agent.tunnel, "Forward", SlowForward)
    monkeypatch.setattr(SlowForward, "running", [], raising=False)


class EdgeEnd:
    """An edge's end of a tunnel to an `AgentTunnel`, in memory."""

    def __init__(self) -> None:
        self.drains: list[Drain] = []
        self.messages: list[AgentMessage] = []
        self.ends: list[tuple[Code, str]] = []
        self.owner = RecordingOwner()
        self.agent = AgentTunnel(
            lambda: WELCOME,
            services={b"web": cast(Service, object())},
            report=lambda: REPORT,
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


# -- control calls ---------------------------------------------------------------------------------------------------


@in_loop
async def test_the_first_message_on_sync_is_a_report() -> None:
    await EdgeEnd().start()


@in_loop
async def test_reports_go_out_when_asked_for_and_not_before_sync() -> None:
    edge = await EdgeEnd().start(sync=False)
    edge.agent.send_report()
    edge.sync = await edge.call("Sync")
    edge.agent.send_report()
    await settle()
    assert edge.messages == [AgentMessage(report=REPORT)] * 2


@in_loop
async def test_a_wrong_nonce_is_reset_and_not_answered() -> None:
    edge = await EdgeEnd().start()
    await edge.call("Sync", nonce="f" * 32)
    assert edge.ends == [(Code.CANCELLED, f"the stream was reset (code {ErrorCode.PROTOCOL_ERROR})")]
    assert edge.messages == []
    assert not edge.pair.client.closed


@in_loop
async def test_a_control_field_is_never_forwarded() -> None:
    edge = await EdgeEnd().start()
    ours = RecordingStream()
    fields = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/")]
    internal = [(b"h2s-service", b"web"), (b"h2s-control", b"x")]
    edge.pair.client.open(fields + internal, ours, end_stream=True)
    await settle()
    assert ours.names == ["reset"]
    assert SlowForward.running == []


@in_loop
async def test_an_unknown_method_is_unimplemented_and_sync_goes_on() -> None:
    edge = await EdgeEnd().start()
    await edge.call("Fly")
    assert edge.ends == [(Code.UNIMPLEMENTED, "no such method")]
    edge.agent.send_report()
    await settle()
    assert edge.messages == [AgentMessage(report=REPORT)]


@in_loop
async def test_a_second_sync_is_refused_and_the_first_goes_on() -> None:
    edge = await EdgeEnd().start()
    await edge.call("Sync")
    assert [code for code, _ in edge.ends] == [Code.FAILED_PRECONDITION]
    edge.agent.send_report()
    await settle()
    assert edge.messages == [AgentMessage(report=REPORT)]


@in_loop
async def test_a_sync_that_has_ended_already_is_refused() -> None:
    edge = await EdgeEnd().start(sync=False)
    fields = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a")]
    control = [(b":path", b"/h2s.v1.Control/Sync"), (b"h2s-control", NONCE.encode())]
    ours = RecordingStream()
    edge.pair.client.open(fields + control, ours, end_stream=True)
    await settle()
    assert ours.names == ["head"]
    assert dict(ours.events[0][1])[b"grpc-status"] == b"9"


@in_loop
async def test_a_config_is_acknowledged() -> None:
    edge = await EdgeEnd().start()
    version = ConfigVersion(fleet="f", epoch=1, n=5)
    await edge.say(EdgeMessage(config=Config(version=version)))
    assert [message.config_ack.version for message in edge.messages if message.config_ack] == [version]


@in_loop
async def test_a_drain_is_passed_on() -> None:
    edge = await EdgeEnd().start()
    drain = Drain(reason="restart", deadline=30)
    await edge.say(EdgeMessage(drain=drain))
    assert edge.drains == [drain]
    assert not edge.pair.client.closed


@in_loop
async def test_a_message_of_a_newer_edge_is_ignored() -> None:
    edge = await EdgeEnd().start()
    await edge.say(EdgeMessage())
    assert edge.ends == []


@pytest.mark.parametrize(
    "payload", [b"[]", b"\xff", b'{"drain":{},"drain_ack":{}}', b'{"drain":{"deadline":NaN}}']
)
def test_a_message_that_is_none_ends_sync_and_with_it_the_tunnel(payload: bytes) -> None:
    @in_loop
    async def test() -> None:
        edge = await EdgeEnd().start()
        wire = b"\0" + len(payload).to_bytes(4, "big") + payload
        edge.pair.client.send_data(edge.sync.stream_id, wire, end_stream=False)
        await settle()
        assert edge.ends[0][0] is Code.INVALID_ARGUMENT
        assert isinstance(edge.agent.closed.result(), RemoteProtocolError)

    test()


@in_loop
async def test_when_sync_ends_so_does_the_tunnel() -> None:
    edge = await EdgeEnd().start()
    edge.sync.finish(Code.CANCELLED, "enough")
    await settle()
    assert "Sync ended" in str(edge.agent.closed.result())
    assert live_timers() == []


def test_an_edge_that_opens_no_sync_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent.tunnel, "SYNC_TIMEOUT", 0.01)

    @in_loop
    async def test() -> None:
        edge = await EdgeEnd().start(sync=False)
        await until(edge.agent.closed.done)
        assert "opened no Sync" in str(edge.agent.closed.result())

    test()


@in_loop
async def test_no_timer_is_left_once_sync_is_open() -> None:
    await EdgeEnd().start()
    assert live_timers() == []


@in_loop
async def test_no_timer_is_left_when_the_tunnel_goes_before_sync() -> None:
    edge = await EdgeEnd().start(sync=False)
    assert live_timers()
    edge.pair.client.abort()
    await settle()
    assert live_timers() == []
    assert isinstance(edge.agent.closed.result(), ConnectionLost)


# -- requests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end_stream", [True, False])
def test_a_request_for_a_service_that_is_not_here_is_answered(end_stream: bool) -> None:
    @in_loop
    async def test() -> None:
        edge = await EdgeEnd().start()
        answer = await edge.request(b"api", end_stream=end_stream)
        assert answer.events[0][1] == [(b":status", b"502"), (b"h2s-error", b"no-such-service")]
        assert edge.pair.server.session.open_streams == 1, "only Sync"

    test()


@in_loop
async def test_requests_in_flight_are_counted() -> None:
    edge = await EdgeEnd().start()
    await edge.request(b"web")
    await edge.request(b"web")
    assert edge.agent.in_flight == 2
    SlowForward.running[0].answer(1)
    assert edge.agent.in_flight == 1
    edge.pair.client.abort()
    await settle()
    assert edge.agent.in_flight == 0


# -- leaving ---------------------------------------------------------------------------------------------------------


def start_drain(edge: EdgeEnd) -> asyncio.Task[None]:
    return asyncio.create_task(edge.agent.drain("stopping"))


@in_loop
async def test_a_drain_waits_for_the_edges_word() -> None:
    edge = await EdgeEnd().start()
    task = start_drain(edge)
    await settle()
    assert [message.draining is not None for message in edge.messages] == [True]
    assert not edge.pair.server.closed
    await edge.request(b"web")
    assert edge.agent.in_flight == 1, "what the edge opens before its word is still taken"
    await edge.say(EdgeMessage(drain_ack=DrainAck()))
    assert not task.done()
    SlowForward.running[0].answer(1)
    await task
    assert edge.owner.goaways[0].code == ErrorCode.NO_ERROR


@in_loop
async def test_a_drain_loses_no_answer_that_waits_for_a_window() -> None:
    edge = await EdgeEnd().start()
    answer = await edge.request(b"web")
    stream_id = SlowForward.running[0].stream_id
    task = start_drain(edge)
    await settle()
    await edge.say(EdgeMessage(drain_ack=DrainAck()))
    SlowForward.running[0].answer(BIG)
    await settle()
    assert edge.agent.in_flight == 0
    assert not task.done(), "half of the answer waits for the edge's window"
    taken = edge.read(answer, stream_id)
    await settle()
    await task
    assert taken + edge.read(answer, stream_id) == BIG


@in_loop
async def test_a_drain_before_sync_closes_at_once() -> None:
    edge = await EdgeEnd().start(sync=False)
    await start_drain(edge)
    assert edge.pair.server.closed


@pytest.mark.parametrize("acked", [False, True])
def test_a_tunnel_that_is_lost_while_it_drains_ends_the_drain(acked: bool) -> None:
    @in_loop
    async def test() -> None:
        edge = await EdgeEnd().start()
        await edge.request(b"web")
        task = start_drain(edge)
        await settle()
        if acked:
            await edge.say(EdgeMessage(drain_ack=DrainAck()))
        edge.pair.client.abort()
        await task

    test()


@in_loop
async def test_a_sync_that_ends_while_the_edges_word_is_due_ends_the_drain() -> None:
    edge = await EdgeEnd().start()
    task = start_drain(edge)
    await settle()
    edge.sync.finish()
    await task


@pytest.mark.parametrize("acked", [False, True])
def test_cancelling_a_drain_closes_the_tunnel(acked: bool) -> None:
    @in_loop
    async def test() -> None:
        edge = await EdgeEnd().start()
        ours = await edge.request(b"web")
        task = start_drain(edge)
        await settle()
        if acked:
            await edge.say(EdgeMessage(drain_ack=DrainAck()))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await settle()
        assert ours.names == ["reset"]
        assert edge.agent.closed.done()

    test()


@in_loop
async def test_an_edge_that_says_goaway_still_gets_the_answers() -> None:
    edge = await EdgeEnd().start()
    answer = await edge.request(b"web")
    edge.pair.client.session.goaway(ErrorCode.NO_ERROR)
    edge.pair.client.flush_soon()
    await settle()
    assert not edge.agent.closed.done()
    SlowForward.running[0].answer(5)
    await settle()
    assert [event for event in answer.events if event[0] == "data"] == [("data", b"xxxxx", 5, True)]
    assert edge.agent.closed.done()


@in_loop
async def test_an_idle_tunnel_closes_on_goaway() -> None:
    edge = await EdgeEnd().start()
    edge.pair.client.session.goaway(ErrorCode.NO_ERROR)
    edge.pair.client.flush_soon()
    await settle()
    assert edge.agent.closed.done()


@in_loop
async def test_an_unacknowledged_drain_is_not_taken_for_one() -> None:
    edge = await EdgeEnd().start()
    await edge.say(EdgeMessage(drain_ack=DrainAck()))
    task: asyncio.Task[Any] = start_drain(edge)
    await settle()
    assert not task.done(), "an acknowledgement from before does not count"
    await edge.say(EdgeMessage(drain_ack=DrainAck()))
    await task
