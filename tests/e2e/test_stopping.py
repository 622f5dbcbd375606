"""Programs that stop, crash and come back while clients go on requesting."""

from __future__ import annotations

import pytest

from .client import Client, CutShort, fetch, request
from .load import Load
from .programs import Origin, eventually
from .stage import Agent, Edge, Stage

pytestmark = pytest.mark.e2e

CLIENTS = 8


def start_agents(stage: Stage, *edges: Edge) -> tuple[Agent, Agent]:
    """Start agents `one` and `two` of the same service, with origins `a` and `b`."""
    one = stage.agent("one", edges=edges, services={"web": stage.origin("a").url})
    two = stage.agent("two", edges=edges, services={"web": stage.origin("b").url})
    return one, two


@pytest.fixture
def pair(stage: Stage) -> tuple[Edge, Agent, Agent]:
    """One edge and two agents."""
    edge = stage.edge()
    return (edge, *start_agents(stage, edge))


@pytest.fixture
def fleet(stage: Stage) -> tuple[Edge, Edge]:
    """Two edges, each with tunnels of two agents."""
    first = stage.edge("first")
    second = stage.edge("second", "--identity-dir", first.data_dir)
    start_agents(stage, first, second)
    return first, second


def test_stopping_an_agent_under_load_fails_no_request(pair: tuple[Edge, Agent, Agent]) -> None:
    edge, one, _ = pair
    with Load(edge.public, clients=CLIENTS) as load:
        load.flows()
        one.stop()
        load.flows()
    assert load.failures == [], load
    assert set(load.served) == {"a", "b"}


def test_a_stopping_agent_finishes_what_it_has_begun(stage: Stage) -> None:
    edge, origin = stage.edge(), stage.origin("a")
    agent = stage.agent("one", edges=[edge], services={"web": origin.url})
    with Client(edge.public) as client:
        client.send(request("/hold/running"))
        eventually(lambda: origin.ask("/hold/running/report"), within=5, what="the app has the request")
        agent.terminate()
        eventually(
            lambda: fetch(edge.public, request("/")).status != 200, within=5, what="the agent is draining"
        )
        origin.ask("/hold/running/release")
        assert client.read_response().body == b"hello from a\n"
    assert agent.exit_code() == 0


def test_restarting_agents_one_by_one_under_load_fails_no_request(
    pair: tuple[Edge, Agent, Agent], stage: Stage
) -> None:
    edge, one, two = pair
    with Load(edge.public, clients=CLIENTS) as load:
        for generation, agent in enumerate((one, two)):
            load.flows(100)
            agent.stop()
            stage.agent(f"new{generation}", edges=[edge], services=agent.services)
        load.flows(100)
    assert load.failures == [], load


def test_killing_an_agent_loses_no_more_than_was_in_flight(pair: tuple[Edge, Agent, Agent]) -> None:
    edge, one, _ = pair
    with Load(edge.public, clients=CLIENTS) as load:
        load.flows()
        one.kill()
        load.flows()
    assert len(load.failures) <= CLIENTS, load
    assert {fetch(edge.public, request("/")).body for _ in range(20)} == {b"hello from b\n"}


def test_killing_an_agent_in_a_response_is_an_error_for_that_client(stage: Stage) -> None:
    edge, origin = stage.edge(), stage.origin("a")
    agent = stage.agent("one", edges=[edge], services={"web": origin.url})
    with Client(edge.public) as client:
        client.send(request("/events/cut"))
        events = client.pieces(client.read_head())
        assert next(events) == b"data: 0\n\n"
        agent.kill()
        with pytest.raises((CutShort, ConnectionResetError)):
            list(events)


def test_stopping_one_of_two_edges_under_load_fails_no_request(fleet: tuple[Edge, Edge]) -> None:
    first, second = fleet
    with Load(first.public, second.public, clients=CLIENTS) as load:
        load.flows()
        first.stop()
        load.flows()
    assert load.failures == [], load


def test_a_stopping_edge_finishes_what_it_has_begun(stage: Stage) -> None:
    edge, origin = stage.edge(), stage.origin("a")
    stage.agent("one", edges=[edge], services={"web": origin.url})
    with Client(edge.public) as client:
        client.send(request("/hold/running"))
        eventually(lambda: origin.ask("/hold/running/report"), within=5, what="the app has the request")
        edge.terminate()
        eventually(lambda: refuses_connections(edge), within=5, what="the edge is draining")
        origin.ask("/hold/running/release")
        response = client.read_response()
        assert response.body == b"hello from a\n"
        assert response.head.value(b"connection") == b"close"
        assert client.at_end()
    assert edge.exit_code() == 0


def refuses_connections(edge: Edge) -> bool:
    """Return whether the edge takes no more public connections."""
    try:
        Client(edge.public).close()
    except ConnectionRefusedError:
        return True
    return False


def test_agents_come_back_to_an_edge_that_was_restarted(
    pair: tuple[Edge, Agent, Agent], stage: Stage
) -> None:
    edge, one, two = pair
    edge.stop()
    again = stage.edge("again", data_dir=edge.data_dir, addresses=edge.addresses)
    for agent in (one, two):
        agent.wait_ready()
    bodies = {b"hello from a\n", b"hello from b\n"}
    seen: set[bytes] = set()

    def both_answer() -> bool:
        seen.add(fetch(again.public, request("/")).body)
        return bodies <= seen

    eventually(both_answer, within=15, what="both agents are back")


def test_agents_come_back_to_an_edge_that_crashed(pair: tuple[Edge, Agent, Agent], stage: Stage) -> None:
    edge, *agents = pair
    edge.kill()
    stage.edge("again", data_dir=edge.data_dir, addresses=edge.addresses)
    for agent in agents:
        agent.wait_ready()


def test_an_app_that_restarts_is_served_again(stage: Stage) -> None:
    edge, origin = stage.edge(), stage.origin("a")
    stage.agent("one", edges=[edge], services={"web": origin.url})
    origin.kill()
    assert fetch(edge.public, request("/")).status in (502, 503)
    again: Origin = stage.origin("b", address=origin.address)
    expected = f"hello from {again.name}\n".encode()
    eventually(
        lambda: fetch(edge.public, request("/")).body == expected, within=15, what="the app is served again"
    )
