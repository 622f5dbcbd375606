from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from app.identity import DataDirectory, Identity
from app.state import EdgeState
from edge import newcomers as newcomers_module
from edge import plane as plane_module
from edge import reports as reports_module
from edge.address import CannotListen
from edge.balancing import Balancing
from edge.plane import DataPlane, PlaneSettings
from edge.port import (
    AgentCounted,
    AskLoad,
    ConfigState,
    Configure,
    Counters,
    Disconnect,
    DrainPlane,
    Load,
    NewAgent,
    PlaneReady,
    PlaneStopped,
    PortMessage,
    RegistryChange,
    RegistryState,
    RenewCertificate,
)
from edge.seam import Port, joined_ports
from edge.snapshot import Snapshot
from h2s.errors import Refused
from h2s.messages import AgentMessage, Draining
from h2s.tunnel import agent_ssl_context, edge_ssl_context
from h2s.wire import EDGE_NAME

from .agents import PATIENCE, ScriptedAgent, eventually, load_identity, make_snapshot
from .fakes import make_report

GET = b"GET / HTTP/1.1\r\nHost: web.localhost\r\n\r\n"
UNFINISHED_POST = b"POST / HTTP/1.1\r\nHost: web.localhost\r\nContent-Length: 9\r\n\r\n"


class Edge:
    """A data plane as the control process sees it."""

    def __init__(self, identity: Identity, **settings: Any) -> None:
        self.identity = identity
        self.notices: list[PortMessage] = []
        self.control: Port
        self.state = EdgeState()
        self.control, self.port = joined_ports()
        self.control.receive = self._on_notice
        values: dict[str, Any] = {
            "public": ("127.0.0.1", 0),
            "tunnel": ("127.0.0.1", 0),
            "tunnel_context": edge_ssl_context(str(identity.edge_certificate), str(identity.edge_key)),
            "balancing": Balancing(reconnect_grace=0.0),
        }
        self.plane = DataPlane(PlaneSettings(**(values | settings)), self.port, make_snapshot(identity))
        self.task = asyncio.create_task(self.plane.run())

    def _on_notice(self, notice: PortMessage) -> None:
        self.notices.append(notice)
        self.state.on_notice(notice)

    def last(self, kind: type[Any]) -> Any:
        """Return the last notice of a kind, or None."""
        return next((notice for notice in reversed(self.notices) if isinstance(notice, kind)), None)

    async def ready(self) -> PlaneReady:
        """Wait until it listens."""
        found: PlaneReady = await eventually(lambda: self.last(PlaneReady), "ready")
        return found

    async def agent(self, **changes: Any) -> ScriptedAgent:
        """Connect an agent and wait until the edge counts its tunnel as one that serves."""
        ready = await self.ready()
        agent = await ScriptedAgent.connect(self.identity, ready.tunnel, **changes)
        await eventually(lambda: self.serves(agent), "a healthy instance")
        return agent

    def serves(self, agent: ScriptedAgent) -> bool:
        """Whether the data plane has acted on the agent's Report."""
        known = self.plane._registry.agents.get(agent.hello.agent_id)
        return (
            known is not None
            and known.generation == agent.hello.generation
            and any(one.routable for one in known.instances.values())
        )

    @property
    def healthy(self) -> int:
        """How many instances are up, by all that was reported."""
        return sum(bool(one.healthy and one.tunnels) for one in self.state.instances)

    async def open(self, request: bytes = GET) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a public request."""
        host, _, port = (await self.ready()).public.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request)
        return reader, writer

    async def fetch(self, request: bytes = GET) -> bytes:
        """Send a public request and return all that comes until its end."""
        reader, writer = await self.open(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        answer = await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
        return answer

    async def stop(self, timeout: float = 5.0) -> None:
        """Have it drain, and wait until it has."""
        self.control.send(DrainPlane(timeout=timeout))
        await asyncio.wait_for(self.task, timeout + PATIENCE)
        await eventually(lambda: self.last(PlaneStopped), "PlaneStopped")


@asynccontextmanager
async def running(identity: Identity, **settings: Any) -> AsyncIterator[Edge]:
    """Run a data plane, and leave nothing behind."""
    edge = Edge(identity, **settings)
    try:
        yield edge
    finally:
        edge.task.cancel()
        with suppress(asyncio.CancelledError):
            await edge.task
        edge.port.detach()
        edge.control.detach()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait_for(asyncio.gather(*left, return_exceptions=True), PATIENCE)


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return load_identity(tmp_path_factory.mktemp("edge") / "data")


def play(identity: Identity, scene: Callable[[Edge], Coroutine[Any, Any, None]], **settings: Any) -> None:
    async def main() -> None:
        async with running(identity, **settings) as edge:
            await scene(edge)

    asyncio.run(main())


def test_a_request_reaches_an_agent_and_is_counted_and_logged(identity: Identity, tmp_path: Path) -> None:
    path = tmp_path / "access.log"

    async def scene(edge: Edge) -> None:
        agent = await edge.agent()
        fetching = asyncio.create_task(edge.fetch())
        call = await agent.call()
        assert call.fields[b"h2s-service"] == b"web"
        call.answer(b"hello")
        assert b"hello" in await fetching
        await edge.stop()
        counters: Counters = edge.last(Counters)
        [request] = counters.requests
        assert (request.service, request.status_class, request.count) == ("web", "2xx", 1)
        assert (counters.in_flight, counters.bytes_out, counters.tunnels_opened) == (0, 5, 1)
        assert edge.state.instances == ()
        assert isinstance(edge.notices[-1], PlaneStopped)
        assert agent.closed

    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    play(identity, scene, access_log_fd=fd)
    os.close(fd)
    [line] = path.read_text().splitlines()
    logged = json.loads(line)
    assert (logged["status"], logged["instance"]) == (200, "a")
    assert 0 < logged["upstream_ms"] <= logged["duration_ms"] < PATIENCE * 1000
    assert (logged["duration_ms"] * 100) % 100 or (logged["upstream_ms"] * 100) % 100


def test_a_running_request_ends_before_the_edge_does(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        agent = await edge.agent()
        reader, writer = await edge.open()
        call = await agent.call()
        edge.control.send(DrainPlane(timeout=PATIENCE))
        await eventually(lambda: any(message.drain for message in agent.messages), "the agent is told")
        call.answer(b"late")
        answer = await asyncio.wait_for(reader.read(), PATIENCE)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"late" in answer
        writer.close()
        await asyncio.wait_for(edge.task, PATIENCE)

    play(identity, scene)


@pytest.mark.parametrize("answered", [False, True])
def test_a_client_or_an_app_that_never_finishes_is_cut_at_the_drain_timeout(
    identity: Identity, answered: bool
) -> None:
    async def scene(edge: Edge) -> None:
        agent = await edge.agent()
        reader, writer = await edge.open(
            GET.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\n")
        )
        call = await agent.call()
        if answered:
            call.answer(b"half", end_stream=False)
        await edge.stop(0.2)
        assert isinstance(edge.last(PlaneStopped), PlaneStopped)
        assert edge.last(Counters).in_flight == 0
        with suppress(ConnectionError):
            assert not (await asyncio.wait_for(reader.read(), PATIENCE)).endswith(b"0\r\n\r\n")
        writer.close()
        await eventually(lambda: agent.closed and call.reset, "the agent's end")

    play(identity, scene)


def test_nothing_is_reported_after_the_end(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plane_module, "REPORT_INTERVAL", 0.01)

    async def scene(edge: Edge) -> None:
        await edge.ready()
        await edge.stop()
        count = len(edge.notices)
        beat = asyncio.Event()
        asyncio.get_running_loop().call_later(0.05, beat.set)
        await beat.wait()
        assert len(edge.notices) == count
        assert isinstance(edge.notices[-1], PlaneStopped)

    play(identity, scene)


@pytest.mark.parametrize("listener", ["public", "tunnel"])
def test_an_address_in_use_is_named_and_the_other_is_let_go_of(identity: Identity, listener: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as free:
        other = free.getsockname()
        free.close()
        addresses = {"public": other, "tunnel": other, listener: taken.getsockname()}

        async def main() -> None:
            edge = Edge(identity, **addresses)
            with pytest.raises(CannotListen) as caught:
                await edge.task
            edge.port.detach()
            edge.control.detach()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            assert str(caught.value) == f"cannot listen on --{listener} {address}: Address already in use"

        asyncio.run(main())
        socket.create_server(other).close()


def test_a_cancelled_edge_cuts_everything(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        agent = await edge.agent()
        reader, writer = await edge.open()
        await agent.call()
        edge.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await edge.task
        with suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        writer.close()
        await eventually(lambda: agent.closed, "the agent's end")

    play(identity, scene)


def test_a_new_snapshot_is_served_from_at_once(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        await edge.agent()
        changed = make_snapshot(identity).model_copy(
            update={"domain": "other.test", "default_service": "none"}
        )
        edge.control.send(Configure(snapshot=changed))
        assert (await edge.fetch()).startswith(b"HTTP/1.1 404")

    play(identity, scene)


def test_an_agent_that_drains_is_acknowledged_and_gets_no_more(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        agent = await edge.agent()
        agent.send(AgentMessage(draining=Draining()))
        await eventually(lambda: any(message.drain_ack for message in agent.messages), "DrainAck")
        assert (await edge.fetch()).startswith(b"HTTP/1.1 503")
        await eventually(lambda: edge.healthy == 0, "the count without it")

    play(identity, scene)


def test_a_renewed_certificate_is_shown_to_new_agents_and_old_tunnels_go_on(tmp_path: Path) -> None:
    async def shown(edge: Edge) -> bytes:
        host, _, port = (await edge.ready()).tunnel.rpartition(":")
        context = agent_ssl_context(edge.identity.ca_certificate.read_text())
        _, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname=EDGE_NAME)
        certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        return certificate

    with DataDirectory.open(tmp_path / "data") as data:
        identity = Identity.load_or_create(data, None)
        names = {"certificate": str(identity.edge_certificate), "key": str(identity.edge_key)}

        async def scene(edge: Edge) -> None:
            agent = await edge.agent()
            before = await shown(edge)
            data.file("edge.crt").unlink()
            assert identity.renew(data) is not None
            edge.control.send(RenewCertificate(**names))
            deadline = time.monotonic() + PATIENCE
            while (after := await shown(edge)) == before:
                assert time.monotonic() < deadline
            assert ssl.DER_cert_to_PEM_cert(after) == identity.edge_certificate.read_text()
            fetching = asyncio.create_task(edge.fetch())
            (await agent.call()).answer(b"hello")
            assert b"hello" in await fetching
            edge.control.send(RenewCertificate(certificate="nowhere", key="nowhere"))
            known = edge.last(ConfigState)
            edge.control.send(Configure(snapshot=make_snapshot(identity)))
            await eventually(lambda: edge.last(ConfigState) is not known, "the message behind it")
            assert await shown(edge) == after

        play(identity, scene)


def test_a_control_process_that_comes_later_is_told_everything(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        agent = await edge.agent()
        fetching = asyncio.create_task(edge.fetch())
        (await agent.call()).answer(b"hello")
        await fetching
        edge.control.detach()
        await eventually(lambda: not edge.port.attached, "the plane has noticed")
        agent.send(AgentMessage(report=make_report(0)))
        await eventually(lambda: not edge.serves(agent), "the plane goes on alone")
        edge.notices.clear()
        edge.state = EdgeState()
        for port, sock in zip((edge.control, edge.port), socket.socketpair(), strict=True):
            port.attach(sock)
        await eventually(lambda: edge.last(Counters), "the counters")
        assert edge.notices[0] == await edge.ready()
        [instance] = edge.state.instances
        assert (instance.agent_id, instance.healthy, edge.state.tunnels) == ("a", 0, 1)
        assert [one.count for one in edge.last(Counters).requests] == [1]

    play(identity, scene)


def test_agents_are_told_in_parts_and_none_is_left_out(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports_module, "AGENTS_PER_REPORT", 2)

    async def scene(edge: Edge) -> None:
        agents = [await edge.agent(agent_id=f"agent-{number}") for number in range(5)]
        await eventually(lambda: edge.healthy == 5, "all are reported")
        edge.control.detach()
        await eventually(lambda: not edge.port.attached, "the plane has noticed")
        edge.notices.clear()
        edge.state = EdgeState()
        for port, sock in zip((edge.control, edge.port), socket.socketpair(), strict=True):
            port.attach(sock)
        await eventually(lambda: edge.last(Counters), "the counters")
        await eventually(lambda: edge.healthy == 5, "all are reported again")
        parts = [one for one in edge.notices if isinstance(one, RegistryState | RegistryChange)]
        assert [len(one.instances) for one in parts] == [2, 2, 1]
        assert len({one.tunnel_id for one in edge.state.standing}) == len(agents)

    play(identity, scene)


def test_what_is_in_flight_is_told_when_it_is_asked_for(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        agent = await edge.agent()
        await eventually(lambda: edge.healthy == 1, "the agent is reported")
        [tunnel] = edge.state.standing
        fetching = asyncio.create_task(edge.fetch())
        call = await agent.call()
        edge.control.send(AskLoad(id=7, agents=("a", "b"), services=("web", "api")))
        load: Load = await eventually(lambda: edge.last(Load), "the answer")
        assert load == Load(id=7, instances={"web.a": 1}, tunnels={tunnel.tunnel_id: 1}, services={"web": 1})
        call.answer(b"hello")
        await fetching

    play(identity, scene)


@pytest.mark.parametrize("grace", [30.0, 0.0])
def test_an_agent_is_disconnected_when_it_has_finished_or_at_once(identity: Identity, grace: float) -> None:
    async def scene(edge: Edge) -> None:
        agent = await edge.agent()
        fetching = asyncio.create_task(edge.fetch())
        call = await agent.call()
        edge.control.send(Disconnect(agents=("a",), grace=grace))
        if grace:
            await eventually(lambda: not edge.serves(agent), "it drains")
            assert not agent.closed
            call.answer(b"hello")
        await eventually(lambda: agent.closed, "it is gone")
        assert (b"hello" in await fetching) is bool(grace)

    play(identity, scene)


def test_what_the_config_drains_gets_no_new_requests(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        await edge.agent()
        snapshot = make_snapshot(identity)
        edge.control.send(Configure(snapshot=snapshot.model_copy(update={"drained": ("web.a",)})))
        await eventually(lambda: [one.drained for one in edge.state.instances] == [True], "it is drained")
        assert b" 503 " in await edge.fetch()
        await edge.agent(agent_id="b")
        edge.control.send(Configure(snapshot=snapshot))
        await eventually(lambda: not any(one.drained for one in edge.state.instances), "it is resumed")

    play(identity, scene)


def test_agents_of_a_token_that_is_closed_have_to_go_and_stay_away(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        agent = await edge.agent()
        snapshot = make_snapshot(identity)
        [grant] = snapshot.grants
        late = await ScriptedAgent.connect(identity, (await edge.ready()).tunnel, agent_id="late")
        closed = snapshot.model_copy(update={"closed_tokens": (grant.token_id,), "grants": ()})
        edge.control.send(Configure(snapshot=closed))
        await eventually(lambda: agent.closed and late.closed, "both are cut")
        assert edge.plane._registry.agents == {}

    play(identity, scene)


def limited(identity: Identity, *agents: str) -> Snapshot:
    """Return what an edge serves from whose token lets two agents in, these among them."""
    snapshot = make_snapshot(identity)
    [grant] = snapshot.grants
    grants = (grant.model_copy(update={"max_agents": 2, "agents": frozenset(agents)}),)
    return snapshot.model_copy(update={"grants": grants})


def test_a_new_agent_of_a_limited_token_waits_until_it_is_counted(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        edge.control.send(Configure(snapshot=limited(identity, "old")))
        await edge.agent(agent_id="old")
        assert edge.last(NewAgent) is None
        connecting = [asyncio.create_task(edge.agent(agent_id="new")) for _ in range(2)]
        asked: NewAgent = await eventually(lambda: edge.last(NewAgent), "the question")
        assert asked.agent_id == "new"
        edge.control.send(Configure(snapshot=limited(identity, "old", "new")))
        edge.control.send(AgentCounted(token_id=asked.token_id, agent_id="new"))
        await asyncio.gather(*connecting)
        assert sum(isinstance(one, NewAgent) for one in edge.notices) == 1
        with pytest.raises(Refused, match="as many agents"):
            await edge.agent(agent_id="third")

    play(identity, scene)


@pytest.mark.parametrize(
    ("refused", "code"),
    [
        ("token_used_up", "token_used_up"),
        ("database_unavailable", "token_uncounted"),
        (None, "token_uncounted"),
    ],
)
def test_a_new_agent_that_is_not_counted_is_told_why(
    identity: Identity, monkeypatch: pytest.MonkeyPatch, refused: str | None, code: str
) -> None:
    if refused is None:
        monkeypatch.setattr(newcomers_module, "COUNT_TIMEOUT", 0.05)

    async def scene(edge: Edge) -> None:
        edge.control.send(Configure(snapshot=limited(identity)))
        await eventually(lambda: edge.plane._snapshot.grants[0].max_agents, "the config")
        connecting = asyncio.create_task(edge.agent(agent_id="new"))
        asked: NewAgent = await eventually(lambda: edge.last(NewAgent), "the question")
        if refused is not None:
            edge.control.send(AgentCounted(token_id=asked.token_id, agent_id="new", refused=refused))
        with pytest.raises(Refused) as caught:
            await connecting
        assert (caught.value.code, caught.value.permanent) == (code, code == "token_used_up")

    play(identity, scene)


def test_a_change_is_told_at_once_and_of_its_agent_only(identity: Identity) -> None:
    async def scene(edge: Edge) -> None:
        await edge.agent(agent_id="a")
        other = await edge.agent(agent_id="b")
        await eventually(lambda: edge.healthy == 2, "both are reported")
        edge.notices.clear()
        other.send(AgentMessage(report=make_report(0)))
        await eventually(lambda: edge.healthy == 1, "the change")
        changes = [one for one in edge.notices if isinstance(one, RegistryChange)]
        assert [one.agents for one in changes] == [("b",)]
        other.connection.abort()
        await eventually(lambda: len(edge.state.instances) == 1, "the loss")
        last: RegistryChange = edge.last(RegistryChange)
        assert (last.agents, last.instances, last.tunnels) == (("b",), (), 1)

    play(identity, scene)


def test_series_that_have_not_changed_are_not_told_again(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plane_module, "REPORT_INTERVAL", 0.01)

    async def scene(edge: Edge) -> None:
        assert (await edge.fetch()).startswith(b"HTTP/1.1 404")
        await eventually(lambda: edge.state.counters and edge.state.counters.requests, "the count")
        edge.notices.clear()
        await eventually(lambda: edge.last(Counters), "the next report")
        assert edge.last(Counters).requests == ()
        assert edge.state.counters is not None
        assert [one.count for one in edge.state.counters.requests] == [1]

    play(identity, scene)
