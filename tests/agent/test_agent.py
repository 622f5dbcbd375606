"""The whole agent between edges and an app, all on loopback."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agent.agent import Agent
from agent.config import AgentSettings
from agent.health import HealthWatch
from h2s.errors import HandshakeError, Refused
from h2s.messages import Drain, DrainAck, EdgeMessage, HealthCheck, Load, Refusal, Report, Welcome

from ..h2s.edges import Edge, Tunnel, serving
from ..h2s.loops import Bug, until
from ..h2s.memory import RecordingStream
from ..h2s.said import REFUSAL, WELCOME
from ..h2s.trust import Trust
from .conftest import Drive, MakeSettings

SUPERSEDED = REFUSAL.model_copy(
    update={"status": 409, "code": "superseded", "permanent": True, "retry_after": None}
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


class App:
    """An app that answers in two halves, the second when it is told to."""

    def __init__(self) -> None:
        self.requests = 0
        self.go_on = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            writer.write(HEAD + b"he")
            await self.go_on.wait()
            writer.write(b"llo")


class Running:
    """An agent that runs until its `stop` is set."""

    def __init__(self, settings: AgentSettings, trust: Trust) -> None:
        self.agent = Agent(settings, trust.token)
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(self.agent.run(self.stop))

    async def stopped(self) -> HandshakeError | None:
        """Stop it, and return what `run` did."""
        self.stop.set()
        return await self.task


@asynccontextmanager
async def site(
    trust: Trust, make_settings: MakeSettings, **more: object
) -> AsyncIterator[tuple[Running, Edge, App]]:
    """Run an app, an edge and an agent; what still runs at the end of the block is stopped."""
    app = App()
    async with serving(app.serve) as port, Edge().serving(trust.edge()) as edge:
        running = Running(make_settings([edge.port], port, **more), trust)
        try:
            yield running, edge, app
        finally:
            app.go_on.set()
            running.task.cancel()
            await asyncio.wait((running.task,))


def body(answer: RecordingStream) -> bytes:
    return b"".join(event[1] for event in answer.events if event[0] == "data")


def healthy(report: Report) -> list[tuple[str, int, int]]:
    return [(item.service, item.healthy, item.total) for item in report.instances]


def acknowledge(tunnel: Tunnel) -> None:
    tunnel.say(EdgeMessage(drain_ack=DrainAck()))


# -- serving ---------------------------------------------------------------------------------------------------------


def test_a_request_reaches_the_app_and_its_answer_the_edge(
    drive: Drive, trust: Trust, make_settings: MakeSettings
) -> None:
    async def main() -> None:
        async with site(trust, make_settings) as (running, edge, app):
            tunnel = await edge.tunnel()
            assert healthy(tunnel.reports[0]) == [("web", 1, 1)]
            assert running.agent.ready
            app.go_on.set()
            answer = tunnel.request("web")
            await until(lambda: body(answer) == b"hello")

    drive(main)


def test_an_agent_says_who_it_is(drive: Drive, trust: Trust, make_settings: MakeSettings) -> None:
    async def main() -> None:
        more = {"labels": ["release=v2"], "zone": "eu-1", "capacity": 3, "tunnels": 2}
        async with site(trust, make_settings, **more) as (_, edge, _):
            await edge.tunnel(1)
            first, second = edge.hellos
            assert first == second, "the tunnels of one agent are of one generation"
            assert (first.agent_id, first.zone) == ("agent-1", "eu-1")
            assert [(offer.name, offer.labels, offer.capacity) for offer in first.services] == [
                ("web", {"release": "v2"}, 3)
            ]

    drive(main)


def test_an_agent_says_how_it_is_to_whoever_inspects_it(
    drive: Drive, trust: Trust, make_settings: MakeSettings
) -> None:
    async def main() -> None:
        async with site(trust, make_settings, zone="eu-1", capacity=3) as (_, edge, app):
            tunnel = await edge.tunnel()
            tunnel.request("web")
            await until(lambda: app.requests)
            inspection = await tunnel.inspect()
            assert (inspection.agent_id, inspection.zone) == ("agent-1", "eu-1")
            assert inspection.engine in ("native", "portable")
            assert inspection.in_flight == 1
            [service] = inspection.services
            [upstream] = service.upstreams
            assert (service.service, service.capacity) == ("web", 3)
            assert (upstream.healthy, upstream.in_flight, upstream.connections) == (True, 1, 1)
            [standing] = inspection.tunnels
            assert (standing.edge, standing.tunnel_id) == (f"127.0.0.1:{edge.port}", WELCOME.tunnel_id)
            assert standing.in_flight == 1
            assert 0 < standing.uptime < inspection.uptime < 60
            assert inspection.memory > 1_000_000
            assert inspection.cpu_seconds > 0
            assert inspection.cpus > 0

    drive(main)


def test_edges_hear_when_an_app_goes_and_comes_back(
    drive: Drive, trust: Trust, make_settings: MakeSettings
) -> None:
    async def main() -> None:
        async with Edge().serving(trust.edge()) as edge:
            async with serving(App().serve) as port:
                often = ["web=tcp,interval=0.05"]
                running = Running(make_settings([edge.port], port, checks=often), trust)
                tunnel = await edge.tunnel()
                assert running.agent.ready
            await until(lambda: healthy(tunnel.reports[-1]) == [("web", 0, 1)])
            assert not running.agent.ready
            server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", port)
            await until(lambda: healthy(tunnel.reports[-1]) == [("web", 1, 1)])
            server.close()
            await server.wait_closed()
            running.task.cancel()
            await asyncio.wait((running.task,))

    drive(main)


def test_an_edge_sets_checks_but_not_those_that_the_agent_has_of_its_own(
    drive: Drive, trust: Trust, make_settings: MakeSettings
) -> None:
    async def main() -> None:
        app = App()
        app.go_on.set()
        async with Edge().serving(trust.edge()) as edge, serving(app.serve) as port:
            services = [f"{name}=http://127.0.0.1:{port}" for name in ("web", "api")]
            settings = make_settings([edge.port], port, services=services, checks=["web=tcp"])
            running = Running(settings, trust)
            tunnel = await edge.tunnel()
            assert healthy(tunnel.reports[-1]) == [("web", 1, 1), ("api", 1, 1)]
            strict = HealthCheck(kind="http", expect=["204"], unhealthy=1)
            running.agent.apply_checks({"web": strict, "api": strict, "other": strict})
            await until(lambda: healthy(tunnel.reports[-1]) == [("web", 1, 1), ("api", 0, 1)])
            running.agent.apply_checks({})
            await until(lambda: healthy(tunnel.reports[-1]) == [("web", 1, 1), ("api", 1, 1)])
            running.task.cancel()
            await asyncio.wait((running.task,))

    drive(main)


def test_a_drain_of_one_edge_hurries_the_links_to_others(
    drive: Drive, trust: Trust, make_settings: MakeSettings
) -> None:
    patient = REFUSAL.model_copy(update={"retry_after": 1000.0})

    async def main() -> None:
        app, spare = App(), Edge()
        answers: list[Welcome | Refusal] = [WELCOME, patient]
        spare.decide = lambda hello: answers.pop()
        async with (
            serving(app.serve) as port,
            Edge().serving(trust.edge()) as edge,
            spare.serving(trust.edge()),
        ):
            running = Running(make_settings([edge.port, spare.port], port), trust)
            tunnel = await edge.tunnel()
            await until(lambda: spare.over)
            tunnel.say(EdgeMessage(drain=Drain(reason="restart", deadline=30)))
            await spare.tunnel()
            assert not tunnel.closed
            running.task.cancel()
            await asyncio.wait((running.task,))

    drive(main)


def test_load_is_reported_when_it_changes_and_now_and_then_on_one_tunnel_to_each_edge(
    drive: Drive, trust: Trust, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.agent.LOAD_LOOK", 0.02)
    load = Load()
    looks: list[Load] = []

    def look(meter: object) -> Load:
        looks.append(load)
        return load

    monkeypatch.setattr("agent.load.LoadMeter.look", look)

    async def main() -> None:
        async with site(trust, make_settings, tunnels=2) as (_, edge, _):
            nonlocal load
            first, second = await edge.tunnel(0), await edge.tunnel(1)

            def told() -> list[list[float]]:
                return [
                    [report.load.cpu for report in tunnel.reports if report.load and report.load.cpu]
                    for tunnel in (first, second)
                ]

            async def seen(cpu: float) -> None:
                nonlocal load
                load = Load(cpu=cpu)
                looks.clear()
                await until(lambda: len(looks) > 5)

            await seen(0.5)
            await until(lambda: any(told()))
            await seen(0.51)
            assert sorted(told()) == [[], [0.5]]
            monkeypatch.setattr("agent.agent.LOAD_INTERVAL", 0.0)
            await until(lambda: any(0.51 in cpus for cpus in told()))
            assert [] in told(), "one tunnel is enough"

    drive(main)


def test_requests_in_flight_are_reported(
    drive: Drive, trust: Trust, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.agent.LOAD_LOOK", 0.02)

    async def main() -> None:
        async with site(trust, make_settings) as (_, edge, app):
            tunnel = await edge.tunnel()
            stream = tunnel.request("web")
            await until(lambda: [item.in_flight for item in tunnel.reports[-1].instances] == [1])
            app.go_on.set()
            await until(lambda: [item.in_flight for item in tunnel.reports[-1].instances] == [0])
            assert stream.names[0] == "head"

    drive(main)


# -- stopping --------------------------------------------------------------------------------------------------------


def test_a_stopping_agent_finishes_what_runs_and_leaves(
    drive: Drive, trust: Trust, make_settings: MakeSettings
) -> None:
    async def main() -> None:
        async with site(trust, make_settings) as (running, edge, app):
            tunnel = await edge.tunnel()
            answer = tunnel.request("web")
            await until(lambda: app.requests)
            running.stop.set()
            await until(lambda: tunnel.is_draining)
            assert not running.agent.ready
            late = tunnel.request("web")
            await until(lambda: app.requests == 2)
            acknowledge(tunnel)
            app.go_on.set()
            assert await running.task is None
            assert body(answer) == body(late) == b"hello"
            await until(lambda: tunnel.closed)
            assert len(edge.hellos) == 1, "it dials no more"

    drive(main)


def test_a_stopping_agent_waits_no_longer_than_it_may(
    drive: Drive, trust: Trust, make_settings: MakeSettings
) -> None:
    async def main() -> None:
        async with site(trust, make_settings, drain_timeout=0.1) as (running, edge, app):
            tunnel = await edge.tunnel()
            answer = tunnel.request("web")
            await until(lambda: app.requests)
            running.stop.set()
            await until(lambda: tunnel.is_draining)
            acknowledge(tunnel)
            assert await running.task is None
            await until(lambda: "reset" in answer.names)

    drive(main)


def test_an_edge_that_never_acknowledges_does_not_hold_the_agent(
    drive: Drive, trust: Trust, make_settings: MakeSettings
) -> None:
    async def main() -> None:
        async with site(trust, make_settings, drain_timeout=0.1) as (running, edge, _):
            tunnel = await edge.tunnel()
            assert await running.stopped() is None
            await until(lambda: tunnel.closed)

    drive(main)


def test_an_agent_stops_while_it_dials(drive: Drive, trust: Trust, make_settings: MakeSettings) -> None:
    async def main() -> None:
        dialled = asyncio.Event()
        async with (
            serving(App().serve) as app,
            serving(lambda reader, writer: dialled.set()) as silent,
        ):
            running = Running(make_settings([silent], app), trust)
            await dialled.wait()
            assert await running.stopped() is None

    drive(main)


def test_an_agent_stops_while_it_waits(drive: Drive, trust: Trust, make_settings: MakeSettings) -> None:
    async def main() -> None:
        edge = Edge()
        edge.decide = lambda hello: REFUSAL
        async with serving(App().serve) as app, edge.serving(trust.edge()):
            running = Running(make_settings([edge.port], app), trust)
            await until(lambda: edge.over)
            assert await running.stopped() is None

    drive(main)


def test_cancelling_an_agent_leaves_nothing(drive: Drive, trust: Trust, make_settings: MakeSettings) -> None:
    async def main() -> None:
        async with site(trust, make_settings, tunnels=3) as (running, edge, app):
            tunnel = await edge.tunnel(2)
            tunnel.request("web")
            await until(lambda: app.requests)
            running.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running.task
            await until(lambda: all(tunnel.closed for tunnel in edge.tunnels))

    drive(main)


# -- when it is of no use to go on -----------------------------------------------------------------------------------


def test_an_agent_that_every_edge_refuses_for_good_gives_up(
    drive: Drive, trust: Trust, make_settings: MakeSettings
) -> None:
    async def main() -> None:
        edges = [Edge(), Edge()]
        for edge in edges:
            edge.decide = lambda hello: SUPERSEDED
        async with (
            serving(App().serve) as app,
            edges[0].serving(trust.edge()),
            edges[1].serving(trust.edge()),
        ):
            running = Running(make_settings([edge.port for edge in edges], app, tunnels=2), trust)
            error = await running.task
            assert isinstance(error, Refused)
            assert error.code == "superseded"

    drive(main)


def test_an_agent_that_one_edge_refuses_goes_on_with_the_others(
    drive: Drive, trust: Trust, make_settings: MakeSettings
) -> None:
    async def main() -> None:
        refusing, edge = Edge(), Edge()
        refusing.decide = lambda hello: SUPERSEDED
        async with (
            serving(App().serve) as app,
            edge.serving(trust.edge()),
            refusing.serving(trust.edge()),
        ):
            running = Running(make_settings([refusing.port, edge.port], app), trust)
            tunnel = await edge.tunnel()
            await until(lambda: refusing.over)
            running.stop.set()
            await until(lambda: tunnel.is_draining)
            acknowledge(tunnel)
            assert await running.task is None

    drive(main)


def test_an_agent_that_is_superseded_while_it_serves_gives_up(
    drive: Drive, trust: Trust, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.0)

    async def main() -> None:
        async with site(trust, make_settings) as (running, edge, _):
            tunnel = await edge.tunnel()
            edge.decide = lambda hello: SUPERSEDED
            tunnel.connection.close()
            assert isinstance(await running.task, Refused)

    drive(main)


def test_a_health_watch_that_fails_fails_the_agent(
    drive: Drive, trust: Trust, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: HealthWatch) -> None:
        raise Bug

    monkeypatch.setattr(HealthWatch, "run", fail)

    async def main() -> None:
        async with site(trust, make_settings) as (running, _, _):
            with pytest.raises(Bug):
                await running.task

    drive(main)
