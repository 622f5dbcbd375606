"""Connecting is registering: how services are found, shared, and missed."""

from __future__ import annotations

from collections import Counter

import pytest

from .address import free_address
from .client import Response, fetch, request
from .programs import backplane, eventually
from .stage import Edge, Stage

pytestmark = pytest.mark.e2e

BARE = "bare.example"


def get(edge: Edge, host: str = "web.localhost") -> Response:
    """Request the root of a host."""
    return fetch(edge.public, request("/", host=host))


def origins(edge: Edge, host: str = "web.localhost", times: int = 40) -> Counter[str]:
    """Return how many of so many requests each origin answered. Fails unless all are answered."""
    answers = [get(edge, host) for _ in range(times)]
    assert {answer.status for answer in answers} == {200}
    return Counter((answer.head.value(b"x-origin") or b"").decode() for answer in answers)


def is_problem(response: Response, status: int) -> bool:
    """Return whether this is a problem that the edge reports (RFC 9457)."""
    assert response.head.value(b"content-type") == b"application/problem+json"
    problem = response.json()
    return response.status == problem["status"] == status and bool(problem["title"])


def nobody() -> str:
    """Return the URL of an app that is not there."""
    return f"http://{free_address()}"


def test_a_service_is_reachable_by_its_name_under_the_domain(stage: Stage) -> None:
    edge = stage.edge("edge", "--default-service", "none")
    stage.agent("one", edges=[edge], services={"web": stage.origin("a").url, "api": stage.origin("b").url})
    assert origins(edge, "web.localhost", 5) == {"a": 5}
    assert origins(edge, f"API.localhost:{edge.public.port}", 5) == {"b": 5}
    assert is_problem(get(edge, "other.localhost"), 404)
    assert is_problem(get(edge, "web.example"), 404)


def test_the_domain_can_be_chosen(stage: Stage) -> None:
    edge = stage.edge("edge", "--domain", "apps.example", "--default-service", "none")
    agent = stage.agent("one", edges=[edge], services={"web": stage.origin("a").url}, ready=False)
    agent.wait_until(lambda: get(edge, "web.apps.example").status == 200, "the service is found")
    assert is_problem(get(edge, "web.localhost"), 404)


def test_the_only_service_is_the_default_until_there_is_another(stage: Stage) -> None:
    edge = stage.edge()
    assert is_problem(get(edge, BARE), 404)
    stage.agent("one", edges=[edge], services={"web": stage.origin("a").url})
    assert origins(edge, BARE, 5) == {"a": 5}
    stage.agent("two", edges=[edge], services={"api": stage.origin("b").url})
    assert is_problem(get(edge, BARE), 404)


def test_a_named_default_service_takes_every_other_host(stage: Stage) -> None:
    edge = stage.edge("edge", "--default-service", "api")
    stage.agent("one", edges=[edge], services={"web": stage.origin("a").url, "api": stage.origin("b").url})
    assert origins(edge, BARE, 5) == {"b": 5}
    assert origins(edge, "web.localhost", 5) == {"a": 5}


def test_without_a_default_service_an_unknown_host_is_a_404_problem_with_a_request_id(stage: Stage) -> None:
    edge = stage.edge("edge", "--default-service", "none")
    stage.agent("one", edges=[edge], services={"web": stage.origin("a").url})
    response = get(edge, BARE)
    assert is_problem(response, 404)
    [logged] = eventually(
        lambda: [line for line in edge.requests_logged() if line["host"] == BARE], within=5, what="a line"
    )
    assert logged["request_id"]
    assert logged["request_id"] == response.json()["request_id"]


def test_a_service_without_an_instance_is_a_503_that_says_when_to_come_back(stage: Stage) -> None:
    edge = stage.edge("edge", "--default-service", "web")
    response = get(edge, BARE)
    assert is_problem(response, 503)
    assert int(response.head.value(b"retry-after") or b"0") > 0


def test_an_app_that_went_away_is_a_502_until_its_instance_is_known_to_be_unhealthy(stage: Stage) -> None:
    edge, origin = stage.edge(), stage.origin("a")
    stage.agent("one", edges=[edge], services={"web": origin.url})
    origin.kill()
    statuses: list[int] = []

    def known_to_be_unhealthy() -> bool:
        response = get(edge)
        statuses.append(response.status)
        return is_problem(response, 503)

    eventually(known_to_be_unhealthy, within=15, what="the instance is unhealthy")
    assert set(statuses[:-1]) <= {502}


def test_an_app_that_is_not_there_yet_is_a_503_problem_and_is_served_when_it_comes(stage: Stage) -> None:
    address = free_address()
    edge = stage.edge()
    agent = stage.agent("one", edges=[edge], services={"web": f"http://{address}"}, ready=False)
    agent.wait_until(lambda: get(edge).status != 404, "the service is known")
    assert is_problem(get(edge), 503)
    stage.origin("late", address=address)
    eventually(lambda: get(edge).status == 200, within=15, what="the app is served")
    assert origins(edge, times=5) == {"late": 5}


def test_agents_of_a_service_share_its_requests_and_the_rest_takes_over(stage: Stage) -> None:
    edge = stage.edge("edge", "--balance-slow-start", 0)
    one = stage.agent("one", edges=[edge], services={"web": stage.origin("a").url})
    two = stage.agent("two", edges=[edge], services={"web": stage.origin("b").url})
    eventually(lambda: len(origins(edge, times=10)) == 2, within=10, what="both answer")
    assert min(origins(edge, times=100).values()) >= 20
    one.stop()
    assert origins(edge) == {"b": 40}
    three = stage.agent("three", edges=[edge], services={"web": stage.origin("c").url})
    eventually(lambda: set(origins(edge, times=10)) == {"b", "c"}, within=10, what="the new one joins in")
    two.stop()
    three.stop()
    assert get(edge).status in (404, 503)


def test_upstreams_of_an_agent_share_its_requests(stage: Stage) -> None:
    edge = stage.edge()
    upstreams = ",".join(stage.origin(name).url for name in ("a", "b"))
    stage.agent("one", edges=[edge], services={"web": upstreams})
    assert min(origins(edge).values()) >= 10


def test_one_agent_serves_every_edge_it_dials(stage: Stage) -> None:
    first = stage.edge("first")
    second = stage.edge("second", "--identity-dir", first.data_dir)
    stage.agent("one", "--tunnels", "1", edges=[first, second], services={"web": stage.origin("a").url})
    assert origins(first, times=5) == origins(second, times=5) == {"a": 5}


def test_an_agent_waits_for_an_edge_that_is_not_there_yet(stage: Stage) -> None:
    first = stage.edge("first")
    origin = stage.origin("a")
    first.stop()
    agent = stage.agent("one", edges=[first], services={"web": origin.url}, ready=False)
    again = stage.edge("again", data_dir=first.data_dir, addresses=first.addresses)
    agent.wait_until(lambda: get(again).status == 200, "the service is served")


@pytest.mark.parametrize("taken", range(3), ids=["public", "tunnel", "api"])
def test_an_edge_that_cannot_bind_says_where(stage: Stage, taken: int) -> None:
    first = stage.edge("first")
    addresses = [free_address(), free_address(), free_address()]
    addresses[taken] = first.addresses[taken]
    options = zip(("--public", "--tunnel", "--api"), addresses, strict=True)
    argv = backplane(
        "edge", "--data-dir", stage.folder / "second-data", *(word for pair in options for word in pair)
    )
    second = stage.run("second", argv)
    assert second.exit_code() == 5
    *_, line = second.stderr.splitlines()
    assert line.startswith("error: ")
    assert str(addresses[taken]) in line
