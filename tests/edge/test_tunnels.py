from __future__ import annotations

import asyncio

import pytest

from app.identity import Identity
from edge import control, tunnels
from h2s.errors import ErrorCode, Refused
from h2s.messages import AgentMessage

from .agents import PATIENCE, ScriptedAgent, eventually, load_identity
from .fakes import make_report
from .test_plane import Edge, play


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return load_identity(tmp_path_factory.mktemp("edge") / "data")


async def fetch_through(edge: Edge, agent: ScriptedAgent) -> bytes:
    """Send a request that `agent` is to answer, and return the answer."""
    fetching = asyncio.create_task(edge.fetch())
    (await agent.call()).answer(b"hello")
    return await fetching


def test_a_newer_process_takes_over_and_the_olders_requests_end_in_peace(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        old = await edge.agent()
        slow = asyncio.create_task(edge.fetch())
        call = await old.call()
        new = await edge.agent(generation=2)
        assert b"hello" in await fetch_through(edge, new)
        assert not old.closed
        call.answer(b"slow")
        assert b"slow" in await slow
        await eventually(lambda: old.closed, "the older one's end")
        with pytest.raises(Refused) as caught:
            await edge.agent()
        assert (caught.value.code, caught.value.permanent) == ("superseded", True)

    play(identity, scene)


def test_a_superseded_process_does_not_linger(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnels, "RETIREMENT", 0.05)

    async def scene(edge: Edge) -> None:
        old = await edge.agent()
        stuck = asyncio.create_task(
            edge.fetch(b"POST / HTTP/1.1\r\nHost: web.localhost\r\nContent-Length: 0\r\n\r\n")
        )
        await old.call()
        await edge.agent(generation=2)
        assert (await stuck).startswith(b"HTTP/1.1 502")
        await eventually(lambda: old.closed, "the older one's end")

    play(identity, scene)


def test_another_service_cannot_join_a_connected_process(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        await edge.agent()
        with pytest.raises(Refused) as caught:
            await edge.agent(service="api")
        assert (caught.value.code, caught.value.permanent) == ("conflict", False)

    play(identity, scene)


def test_an_agent_that_reports_nothing_is_let_go(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "REPORT_TIMEOUT", 0.05)

    async def scene(edge: Edge) -> None:
        ready = await edge.ready()
        agent = await ScriptedAgent.connect(identity, ready.tunnel, report=None)
        await eventually(lambda: agent.closed, "the agent's end")

    play(identity, scene)


def test_a_tunnel_that_is_closing_gets_no_request(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        await edge.agent()
        [tunnel] = edge.plane._tunnels.tunnels
        assert tunnel.free_streams > 0
        tunnel.close()
        assert tunnel.free_streams == 0
        assert (await asyncio.wait_for(edge.fetch(), PATIENCE)).startswith(b"HTTP/1.1 503")

    play(identity, scene)


def test_reports_that_say_nothing_new_are_not_passed_on(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        agent = await edge.agent()
        [tunnel] = edge.plane._tunnels.tunnels
        changes: list[object] = []
        edge.plane._tunnels.on_change = changes.append
        assert tunnel.agent is not None
        edge.plane._tunnels.on_report(tunnel.agent, make_report())
        assert changes == []
        edge.plane._tunnels.on_report(tunnel.agent, make_report(0))
        assert len(changes) == 1
        assert not agent.closed

    play(identity, scene)


def test_of_reports_in_quick_succession_the_last_counts(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        agent = await edge.agent()
        changes: list[tuple[object, ...]] = []
        edge.plane._tunnels.on_change = changes.append
        for number in range(201):
            agent.send(AgentMessage(report=make_report(number % 2)))
        [instance] = edge.plane._registry.agents["a"].instances.values()
        await eventually(lambda: changes, "a change")
        await eventually(lambda: not instance.healthy, "the last report")
        assert len(changes) < 20
        assert not agent.closed

    play(identity, scene)


def test_an_agent_that_talks_too_much_loses_its_tunnel_and_only_that(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        quiet = await edge.agent(agent_id="quiet")
        report = make_report(service="noise")
        noisy = await edge.agent(agent_id="noisy", service="noise", report=report)
        goaways: list[int] = []
        noisy.on_goaway = lambda connection, event: goaways.append(event.code)  # type: ignore[method-assign]
        for _ in range(1200):
            noisy.send(AgentMessage())
        await eventually(lambda: noisy.closed, "the end of its tunnel")
        assert goaways == [ErrorCode.ENHANCE_YOUR_CALM]
        assert not quiet.closed
        assert b"hello" in await fetch_through(edge, quiet)

    play(identity, scene)
