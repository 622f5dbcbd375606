"""How a real edge shares requests out among real agents, and how it counts them."""

from __future__ import annotations

from contextlib import ExitStack

import httpx
import pytest

from .client import Client, fetch, request
from .programs import Origin, eventually
from .stage import Agent, Edge, Stage

pytestmark = pytest.mark.e2e


def metric(edge: Edge, line: str) -> float:
    """Return the value of a line of /metrics; 0 if it is not there."""
    text = httpx.get(f"http://{edge.api}/metrics", trust_env=False).text
    return next((float(one.rpartition(" ")[2]) for one in text.splitlines() if one.startswith(line)), 0.0)


def test_an_agent_never_gets_more_than_its_capacity_and_the_others_wait_their_turn(stage: Stage) -> None:
    edge = stage.edge("edge", "--balance-queue-size", 2, "--balance-queue-timeout", 60)
    origin = stage.origin()
    stage.agent("one", "--capacity", 2, edges=[edge], services={"web": origin.url})
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(edge.public)) for _ in range(4)]
        for client in clients:
            client.send(request("/hold/key"))
        eventually(lambda: at_origin(origin) == 2, within=10, what="two are there")
        eventually(lambda: metric(edge, "backplane_requests_waiting") == 2, within=10, what="two wait")
        assert at_origin(origin) == 2
        refused = fetch(edge.public, request("/"))
        assert (refused.status, refused.json()["code"]) == (503, "at_capacity")
        assert refused.head.value(b"retry-after") == b"1"
        for _ in range(4):
            origin.ask("/hold/key/release")
        assert {client.read_response().status for client in clients} == {200}
    assert fetch(edge.public, request("/")).status == 200


def at_origin(origin: Origin) -> int:
    """Return how many requests are held."""
    return int(origin.ask("/hold/key/report"))


def test_who_waits_too_long_gets_503(stage: Stage) -> None:
    edge = stage.edge("edge", "--balance-queue-timeout", 0.2)
    origin = stage.origin()
    stage.agent("one", "--capacity", 1, edges=[edge], services={"web": origin.url})
    with Client(edge.public) as client:
        client.send(request("/hold/key"))
        eventually(lambda: at_origin(origin) == 1, within=10, what="it is there")
        late = fetch(edge.public, request("/"))
        assert (late.status, late.json()["code"]) == (503, "queue_timeout")
        origin.ask("/hold/key/release")
        assert client.read_response().status == 200


def counts(edge: Edge) -> dict[str, float]:
    """Return how many instances of `web` there are, by health."""
    states = ("healthy", "reconnecting")
    return {
        state: metric(edge, f'backplane_instances{{health="{state}",service="web",zone=""}}')
        for state in states
    }


def test_an_agent_that_dies_is_counted_for_a_moment(stage: Stage) -> None:
    edge = stage.edge("edge", "--balance-reconnect-grace", 1)
    origin = stage.origin()
    killed = stage.agent("killed", edges=[edge], services={"web": origin.url})
    assert counts(edge) == {"healthy": 1, "reconnecting": 0}
    killed.kill()
    eventually(lambda: counts(edge)["reconnecting"] == 1, within=10, what="it is expected back")
    assert fetch(edge.public, request("/", host="web.localhost")).status == 503
    eventually(lambda: counts(edge) == {"healthy": 0, "reconnecting": 0}, within=10, what="it is gone")


def test_an_agent_that_stops_is_not_counted_any_more(stage: Stage) -> None:
    edge = stage.edge("edge", "--balance-reconnect-grace", 3600)
    agent = stage.agent("agent", edges=[edge], services={"web": stage.origin().url})
    assert counts(edge) == {"healthy": 1, "reconnecting": 0}
    agent.stop()
    eventually(lambda: counts(edge) == {"healthy": 0, "reconnecting": 0}, within=10, what="it is gone")


def test_two_processes_with_one_id_fight_only_so_often(stage: Stage) -> None:
    edge, origin = stage.edge(), stage.origin()

    def start(number: int, *, ready: bool = True) -> Agent:
        name, services = f"agent{number}", {"web": origin.url}
        return stage.agent(name, "--id", "same", edges=[edge], services=services, ready=ready)

    agents = [start(0)]
    for number in range(1, 4):
        agents.append(start(number))
        assert agents[number - 1].exit_code() == 4
    edge.wait_until(lambda: "two processes fight for an id" in edge.stderr, "it is noticed")
    late = start(4, ready=False)
    late.wait_until(lambda: "give each its own" in late.stderr, "it is told to come back later")
    assert agents[-1].running
    assert fetch(edge.public, request("/", host="web.localhost")).status == 200
