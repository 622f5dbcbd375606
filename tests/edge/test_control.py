"""What the edge asks of agents, and what it makes of what they say."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import structlog

from app.identity import Identity
from edge.port import Inspect, Inspected
from h2s.control import MAX_MESSAGE, POLL, encode_message
from h2s.errors import ErrorCode
from h2s.messages import AgentMessage, ConfigAck, InstanceReport, Report

from .agents import ScriptedAgent, eventually, load_identity
from .fakes import VERSION, make_report
from .test_plane import Edge, play

SOON = 0.1
"""Seconds between Polls, as low as can be set."""


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return load_identity(tmp_path_factory.mktemp("edge") / "data")


async def fetch_through(edge: Edge, agent: ScriptedAgent) -> bytes:
    """Send a request that `agent` is to answer, and return the answer."""
    fetching = asyncio.create_task(edge.fetch())
    (await agent.call()).answer(b"hello")
    return await fetching


async def inspect(edge: Edge, agent_id: str) -> Inspected:
    """Ask the data plane about an agent."""
    edge.control.send(Inspect(id=7, agent_id=agent_id))
    found: Inspected = await eventually(lambda: edge.last(Inspected), "the answer")
    assert found.id == 7
    return found


def test_what_a_poll_finds_is_as_good_as_a_report(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        agent = await edge.agent()
        agent.polled = make_report(0)
        await eventually(lambda: not edge.serves(agent), "the end of its instance")
        agent.polled = make_report(1)
        await eventually(lambda: edge.serves(agent), "its return")

    play(identity, scene, poll_interval=SOON)


def test_an_agent_of_several_tunnels_is_polled_on_one_and_on_the_next_when_that_is_gone(
    identity: Identity,
) -> None:
    async def scene(edge: Edge) -> None:
        first, second = await edge.agent(), await edge.agent()
        await eventually(lambda: first.polls >= 3, "polls")
        assert second.polls == 0
        first.connection.abort()
        await eventually(lambda: second.polls, "a poll of the second tunnel")

    play(identity, scene, poll_interval=SOON)


def test_an_agent_that_knows_no_poll_is_left_in_peace(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        agent = await edge.agent()
        del agent.server._served[POLL.path]
        [tunnel] = edge.plane._tunnels.tunnels
        timer = await eventually(lambda: tunnel._control._poll_timer, "a poll to come")
        await eventually(lambda: tunnel._control._poll_timer.cancelled(), "the end of polls")
        assert timer is not None
        assert edge.serves(agent)

    play(identity, scene, poll_interval=SOON)


def test_an_operator_sees_what_an_agent_says_of_itself(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        await edge.agent(agent_id="seen")
        answer = await inspect(edge, "seen")
        assert answer.inspection is not None
        assert (answer.inspection.agent_id, answer.inspection.uptime) == ("seen", 1.0)

    play(identity, scene)


def test_an_agent_that_is_not_there_cannot_be_inspected(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        await edge.ready()
        answer = await inspect(edge, "nobody")
        assert (answer.inspection, answer.status) == (None, "NOT_FOUND")

    play(identity, scene)


def test_an_agent_that_does_not_answer_is_told_of_in_time(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        agent = await edge.agent()
        agent.server.take = lambda *call, **more: None  # type: ignore[method-assign]
        edge.control.send(Inspect(id=1, agent_id="a", timeout=0.05))
        answer: Inspected = await eventually(lambda: edge.last(Inspected), "the answer")
        assert (answer.inspection, answer.status) == (None, "DEADLINE_EXCEEDED")
        assert edge.serves(agent)

    play(identity, scene)


def test_streams_are_kept_free_of_requests_for_control_calls(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        await edge.agent()
        [tunnel] = edge.plane._tunnels.tunnels
        assert tunnel.free_streams == tunnel.connection.free_streams - 2

    play(identity, scene)


# -- nonsense ----------------------------------------------------------------------------------------------------------


def nonsense(name: str) -> bytes:
    """Return the wire of a message that no honest agent sends."""
    report = '{"report":{"instances":[{"service":"web","healthy":%s,"total":%s}]}}'
    wires = {
        "a negative count": encode_message((report % (-1, 1)).encode()),
        "a thousand million": encode_message((report % (1, 10**9)).encode()),
        "more healthy than there are": encode_message((report % (2, 1)).encode()),
        "no number": encode_message((report % ("NaN", 1)).encode()),
        "a hundred megabytes": b"\0" + (100 * MAX_MESSAGE).to_bytes(4, "big"),
        "compressed": b"\1\0\0\0\2{}",
        "no JSON": encode_message(b"\xff\xfe"),
    }
    return wires[name]


@pytest.mark.parametrize(
    ("name", "why", "code"),
    [
        ("a negative count", "report.instances.0.healthy: Input should be greater", ErrorCode.PROTOCOL_ERROR),
        ("a thousand million", "report.instances.0.total: Input should be less", ErrorCode.PROTOCOL_ERROR),
        ("more healthy than there are", "more upstreams are healthy", ErrorCode.PROTOCOL_ERROR),
        (
            "no number",
            "report.instances.0.healthy: Input should be a finite number",
            ErrorCode.PROTOCOL_ERROR,
        ),
        ("a hundred megabytes", "a message of 104857600 bytes", ErrorCode.ENHANCE_YOUR_CALM),
        ("compressed", "compressed messages are not spoken", ErrorCode.PROTOCOL_ERROR),
        ("no JSON", "no valid AgentMessage: Invalid JSON", ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_an_agent_that_talks_nonsense_loses_its_tunnel_the_log_says_why_and_others_go_on(
    identity: Identity, name: str, why: str, code: int
) -> None:
    async def scene(edge: Edge) -> None:
        honest = await edge.agent(agent_id="honest")
        liar = await edge.agent(agent_id="liar", service="lies", report=make_report(service="lies"))
        goaways: list[int] = []
        liar.on_goaway = lambda connection, event: goaways.append(event.code)  # type: ignore[method-assign]
        with structlog.testing.capture_logs() as lines:
            assert liar.sync is not None
            liar.connection.send_data(liar.sync.stream_id, nonsense(name), end_stream=False)
            await eventually(lambda: liar.closed, "the end of its tunnel")
            await eventually(lambda: told(lines, "tunnel down"), "a line of the log")
        [line] = told(lines, "tunnel down")
        assert line["agent"] == "liar"
        assert why in line["reason"]
        assert goaways == [code]
        assert not honest.closed
        assert b"hello" in await fetch_through(edge, honest)

    play(identity, scene)


def told(lines: list[Any], event: str) -> list[dict[str, Any]]:
    """Return the lines of the log about `event`."""
    return [line for line in lines if line["event"] == event]


def test_an_ack_of_a_config_never_sent_is_named_once_and_ignored(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        agent = await edge.agent()
        with structlog.testing.capture_logs() as lines:
            for _ in range(100):
                agent.send(AgentMessage(config_ack=ConfigAck(version=VERSION)))
            await eventually(lambda: told(lines, "agent misbehaves"), "a line of the log")
            assert b"hello" in await fetch_through(edge, agent)
        [line] = told(lines, "agent misbehaves")
        assert line["agent"] == "a"
        assert line["what"] == "it acknowledges a config that it was not sent"

    play(identity, scene)


def test_a_service_that_its_token_does_not_allow_is_named_once_and_not_counted(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        agent = await edge.agent()
        other = InstanceReport(service="stolen", healthy=1, total=1)
        with structlog.testing.capture_logs() as lines:
            for number in range(5):
                web = InstanceReport(service="web", healthy=number % 2, total=1)
                agent.send(AgentMessage(report=Report(instances=[other, web])))
                await eventually(lambda up=number % 2: edge.serves(agent) == bool(up), "the report")  # type: ignore[misc]
        [line] = told(lines, "agent misbehaves")
        assert line["what"] == "it reports a service that it does not serve: stolen"
        assert "stolen" not in edge.plane._registry.services

    play(identity, scene)


def test_a_poll_that_is_answered_with_nonsense_is_named_and_the_tunnel_stays(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        agent = await edge.agent()
        agent.polled = Report.model_construct(
            instances=[InstanceReport.model_construct(service="web", healthy=-1, total=1)]
        )
        with structlog.testing.capture_logs() as lines:
            await eventually(lambda: agent.polls >= 3, "polls")
            assert b"hello" in await fetch_through(edge, agent)
        [line] = told(lines, "agent misbehaves")
        assert line["what"].startswith(
            "Poll ended with INVALID_ARGUMENT: no valid Report: instances.0.healthy"
        )

    play(identity, scene, poll_interval=SOON)
