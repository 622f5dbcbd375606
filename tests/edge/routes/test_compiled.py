from __future__ import annotations

import random as randomness
from collections import Counter
from typing import Any

import pytest

from edge.pools import Pools
from edge.registry import Instance, Registry
from edge.route import RouteSpec
from edge.routes import Route

from ..fakes import FakeTunnel, make_agent, make_offer, make_report


class Ground:
    """A registry with instances by release, and routes to them."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.pools = Pools(self.registry)
        self.random = randomness.Random(1).random

    def add(self, agent_id: str, release: str, *, service: str = "web", healthy: int = 1) -> FakeTunnel:
        tunnel = FakeTunnel()
        agent, _ = self.registry.add_tunnel(
            make_agent(agent_id), [make_offer(service, release=release)], tunnel
        )
        self.registry.report(agent, make_report(healthy, service), 0.0)
        return tunnel

    def fail(self, agent_id: str) -> None:
        self.registry.report(self.registry.agents[agent_id], make_report(0), 0.0)

    def route(self, **weights: int) -> Route:
        targets = [
            {"name": name, "selector": f"service=web,release={name}", "weight": weight}
            for name, weight in weights.items()
        ]
        return Route(
            RouteSpec.model_validate({"name": "r", "host": "a.test", "targets": targets}), self.pools
        )

    def shares(self, route: Route, count: int = 10_000) -> Counter[str]:
        found: Counter[str] = Counter()
        for _ in range(count):
            picked = route.pick(tried=(), random=self.random)
            found[picked[0].labels["release"] if picked else ""] += 1
        return found


def test_requests_are_shared_by_weight() -> None:
    ground = Ground()
    for number in range(5):
        ground.add(f"v1-{number}", "v1")
    ground.add("v2", "v2")
    ground.add("v3", "v3")
    shares = ground.shares(ground.route(v1=75, v2=25, v3=0))
    assert shares["v3"] == 0
    assert shares["v1"] == pytest.approx(7500, abs=300)
    assert shares["v2"] == pytest.approx(2500, abs=300)


def test_a_target_without_a_healthy_instance_leaves_its_share_to_the_others() -> None:
    ground = Ground()
    ground.add("one", "v1")
    ground.add("two", "v2")
    route = ground.route(v1=1, v2=99, v3=0)
    ground.fail("two")
    assert ground.shares(route, 100) == {"v1": 100}
    ground.fail("one")
    ground.add("three", "v3")
    assert ground.shares(route, 100) == {"": 100}, "a weight of 0 means none, whatever happens"


def test_a_target_whose_instances_are_full_or_tried_is_passed_over() -> None:
    ground = Ground()
    first, second = ground.add("one", "v1"), ground.add("two", "v2")
    route = ground.route(v1=1, v2=1)
    first.draining = True
    assert ground.shares(route, 100) == {"v2": 100}
    first.draining = False
    [two] = ground.registry.agents["two"].instances.values()
    for _ in range(100):
        picked = route.pick(tried=(two,), random=ground.random)
        assert picked is not None
        assert picked[0].labels == {"release": "v1"}
    second.draining = first.draining = True
    assert route.pick(tried=(), random=ground.random) is None


def test_one_target_is_picked_without_a_draw() -> None:
    ground = Ground()
    ground.add("one", "v1")

    def no_draw() -> float:
        raise AssertionError

    picked = ground.route(v1=5).pick(tried=(), random=no_draw)
    assert picked is not None


@pytest.mark.parametrize(
    ("selectors", "service"),
    [
        (["service=web,release=v1", "service=web"], "web"),
        (["service=web", "service=api"], ""),
        (["service in (web,api)"], ""),
        (["release=v1"], ""),
    ],
)
def test_requests_are_counted_under_the_one_service_a_route_names(selectors: list[str], service: str) -> None:
    targets: list[Any] = [{"selector": selector} for selector in selectors]
    spec = RouteSpec.model_validate({"name": "r", "host": "a.test", "targets": targets})
    assert Route(spec, Ground().pools).service_name == service


def test_instances_of_several_services_share_one_target() -> None:
    ground = Ground()
    ground.add("one", "v1", service="web")
    ground.add("two", "v1", service="api")
    spec = {"name": "r", "host": "a.test", "targets": [{"selector": "release=v1"}]}
    route = Route(RouteSpec.model_validate(spec), ground.pools)
    instances: set[Instance] = set()
    for _ in range(50):
        picked = route.pick(tried=(), random=ground.random)
        assert picked is not None
        instances.add(picked[0])
        picked[0].in_flight += 1
    assert {instance.service for instance in instances} == {"web", "api"}
