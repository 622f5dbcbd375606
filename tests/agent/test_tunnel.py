"""The agent's end of a tunnel: its control calls, and what it does with requests."""

from __future__ import annotations

import asyncio

import pytest

import agent.tunnel
from h2s.control import INSPECT, POLL, Code
from h2s.errors import ConnectionLost, ErrorCode, RemoteProtocolError
from h2s.messages import (
    AgentMessage,
    Config,
    ConfigVersion,
    Drain,
    EdgeMessage,
    InspectRequest,
    PollRequest,
    Report,
    TunnelLimits,
)

from ..h2s.loops import in_loop, live_timers, until
from ..h2s.memory import RecordingStream, settle
from ..h2s.said import NONCE, WELCOME
from .edge_end import INSPECTION, REPORT, EdgeEnd, SlowForward, by_hand

__all__ = ["by_hand"]


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
    await until(lambda: len(edge.messages) == 2)
    assert edge.messages == [AgentMessage(report=REPORT)] * 2


@in_loop
async def test_changes_in_quick_succession_are_one_report_and_the_last_is_never_lost() -> None:
    edge = await EdgeEnd().start()
    for _ in range(100):
        edge.agent.send_report()
    await until(lambda: edge.messages)
    assert edge.messages == [AgentMessage(report=REPORT)]
    assert live_timers() == []


@in_loop
async def test_report_is_refreshed_against_what_was_sent_not_against_what_was_to_be() -> None:
    """A report that waits says how things are when it goes out, which may be over at the next look."""
    edge = await EdgeEnd().start()
    busy = Report(instances=[REPORT.instances[0].model_copy(update={"in_flight": 1})])
    edge.agent.refresh_report(REPORT, 1000)
    await settle()
    assert edge.messages == []
    edge.agent._report = lambda: busy
    edge.agent.refresh_report(busy, 1000)
    await until(lambda: edge.messages == [AgentMessage(report=busy)])
    edge.agent._report = lambda: REPORT
    edge.agent.refresh_report(REPORT, 1000)
    await until(lambda: edge.messages == [AgentMessage(report=busy), AgentMessage(report=REPORT)])
    edge.agent.refresh_report(REPORT, 0)
    await until(lambda: len(edge.messages) == 3)


@in_loop
async def test_no_report_waits_for_a_tunnel_that_is_gone() -> None:
    edge = await EdgeEnd().start()
    edge.agent.send_report()
    assert live_timers()
    edge.pair.client.abort()
    await settle()
    assert live_timers() == []


@in_loop
async def test_a_wrong_nonce_is_reset_and_not_answered() -> None:
    edge = await EdgeEnd().start()
    await edge.call("Sync", nonce="f" * 32)
    assert edge.ends == [(Code.INTERNAL, f"the stream was reset (code {ErrorCode.PROTOCOL_ERROR})")]
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
    await until(lambda: edge.messages)
    assert edge.messages == [AgentMessage(report=REPORT)]


@in_loop
async def test_a_second_sync_is_refused_and_the_first_goes_on() -> None:
    edge = await EdgeEnd().start()
    await edge.call("Sync")
    assert edge.ends == [(Code.RESOURCE_EXHAUSTED, "Sync is open 1 times at the most")]
    edge.agent.send_report()
    await until(lambda: edge.messages)
    assert edge.messages == [AgentMessage(report=REPORT)]


@in_loop
async def test_a_sync_that_the_edge_ends_at_once_ends_the_tunnel() -> None:
    edge = await EdgeEnd().start(sync=False)
    fields = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a")]
    control = [
        (b":path", b"/h2s.v1.Control/Sync"),
        (b"content-type", b"application/grpc+json"),
        (b"h2s-control", NONCE.encode()),
    ]
    ours = RecordingStream()
    edge.pair.client.open(fields + control, ours, end_stream=True)
    await settle()
    assert ours.names[0] == "head"
    assert str(await edge.agent.closed) == "Sync ended with OK: "


@in_loop
async def test_a_poll_is_answered_with_a_report() -> None:
    edge = await EdgeEnd().start()
    assert await edge.ask(POLL, PollRequest()) == REPORT
    assert edge.messages == []


@in_loop
async def test_an_inspection_is_answered_while_the_agent_is_leaving() -> None:
    edge = await EdgeEnd().start()
    assert await edge.ask(INSPECT, InspectRequest()) == INSPECTION
    await edge.request(b"web")
    leaving = asyncio.create_task(edge.agent.drain("bye"))
    await settle()
    assert await edge.ask(INSPECT, InspectRequest()) == INSPECTION
    leaving.cancel()


@in_loop
async def test_an_edge_that_talks_too_much_loses_its_tunnel() -> None:
    edge = await EdgeEnd().start()
    for _ in range(1100):
        edge.sync.send(EdgeMessage())
    assert str(await edge.agent.closed) == "Sync ended with RESOURCE_EXHAUSTED: too many messages"
    await settle()
    assert edge.owner.goaways[0].code == ErrorCode.ENHANCE_YOUR_CALM


@in_loop
async def test_no_message_is_larger_than_the_edge_takes() -> None:
    edge = await EdgeEnd().start()
    limits = TunnelLimits(max_message=20)
    edge.agent.welcome = lambda: WELCOME.model_copy(update={"limits": limits})
    answer = await edge.ask(POLL, PollRequest())
    assert answer.code is Code.RESOURCE_EXHAUSTED


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
