from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.balance import pick, pick_instance, pick_tunnel
from edge.registry import Instance
from edge.route import RouteSpec
from edge.routes import Route

from .fakes import FakeTunnel, World, make_report

randoms = st.randoms(use_true_random=False)


def instance(world: World, agent_id: str) -> Instance:
    return world.registry.agents[agent_id].instances["web"]


def test_requests_spread_evenly() -> None:
    world = World()
    for number in range(20):
        world.add(f"a{number}")
    draw = random.Random(1).random
    service = world.registry.services["web"]
    for _ in range(2000):
        picked = pick(service, tried=(), random=draw)
        assert picked is not None
        picked[0].in_flight += 1
    counts = [one.in_flight for one in world.instances]
    assert max(counts) - min(counts) <= 6


def test_load_is_measured_against_capacity() -> None:
    world = World()
    world.add("small")
    world.add("large")
    small, large = instance(world, "small"), instance(world, "large")
    small.capacity, large.capacity = 10, 100
    draw = random.Random(1).random
    for _ in range(110):
        picked = pick_instance(world.registry.services["web"].all, draw)
        assert picked is not None
        picked.in_flight += 1
    assert (small.in_flight, large.in_flight) == (10, 100)


def test_the_own_zone_comes_first_and_spills_over_when_it_is_full() -> None:
    world = World(zone="z1")
    [near] = world.add("near", zone="z1")
    [far] = world.add("far", zone="z2")
    service = world.registry.services["web"]
    instance(world, "near").in_flight = 1000
    assert picked_agents(world) == {"near"}
    near.fake.free = 0
    assert picked_agents(world) == {"far"}
    far.fake.free = 0
    assert pick(service, tried=(), random=random.random) is None


def picked_agents(world: World) -> set[str]:
    draw = random.Random(1).random
    found = [pick(world.registry.services["web"], tried=(), random=draw) for _ in range(20)]
    return {picked[0].agent.agent_id for picked in found if picked is not None}


@given(free=st.lists(st.integers(0, 2), max_size=8), tried=st.sets(st.integers(0, 7)), source=randoms)
def test_one_that_can_take_it_is_found_if_there_is_one_and_never_another(
    free: list[int], tried: set[int], source: random.Random
) -> None:
    world = World(zone="z0")
    for number, streams in enumerate(free):
        world.add(f"a{number}", free=streams, zone=f"z{number % 3}")
    service = world.registry.services.get("web")
    if service is None:
        return
    excluded = tuple(instance(world, f"a{number}") for number in tried if number < len(free))
    able = {one for one in world.instances if one not in excluded and one.agent.tunnels[0].free_streams}
    near = able & set(service.local)
    picked = pick(service, tried=excluded, random=source.random)
    if picked is None:
        assert not able
    else:
        assert picked[0] in (near or able)
        assert picked[1] in picked[0].agent.tunnels


def test_two_distinct_instances_are_compared_however_the_draw_falls() -> None:
    world = World()
    for name in "ab":
        world.add(name)
    busy, idle = world.instances
    busy.in_flight = 1
    for draw in (0.0, 0.25, 0.5, 0.75, 1 - 2**-53):
        assert pick_instance([busy, idle], lambda draw=draw: draw) is idle
    assert pick_instance([], random.random) is None


def test_when_the_drawn_one_is_full_the_search_stays_fair() -> None:
    world = World()
    world.add("full", free=0)
    for name in "abcd":
        world.add(name)
    draw = random.Random(1).random
    service = world.registry.services["web"]
    tried = (instance(world, "full"),)
    counts: Counter[str] = Counter()
    for _ in range(1000):
        picked = pick(service, tried=tried, random=draw)
        assert picked is not None
        picked[0].in_flight += 1
        counts[picked[0].agent.agent_id] += 1
    assert min(counts.values()) > 200


@pytest.mark.parametrize(("free", "expected"), [((5, 5), 0), ((0, 5), 1), ((0, 0), None)])
def test_a_tunnel_with_a_free_stream_and_the_least_in_flight_is_taken(
    free: tuple[int, int], expected: int | None
) -> None:
    tunnels = [FakeTunnel(count) for count in free]
    tunnels[1].in_flight = 3
    assert pick_tunnel(tunnels) is (None if expected is None else tunnels[expected])


def test_an_own_zone_whose_instances_are_at_their_capacity_spills_over() -> None:
    world = World(zone="z1")
    world.add("near", zone="z1", capacity=2)
    world.add("far", zone="z2")
    instance(world, "near").in_flight = 1
    assert picked_agents(world) == {"near"}
    instance(world, "near").in_flight = 2
    assert picked_agents(world) == {"far"}


def test_an_own_zone_without_a_healthy_instance_spills_over() -> None:
    world = World(zone="z1")
    world.add("near", zone="z1")
    world.add("far", zone="z2")
    world.registry.report(world.registry.agents["near"], make_report(0), 0.0)
    assert picked_agents(world) == {"far"}
    world.registry.report(world.registry.agents["near"], make_report(1), 0.0)
    assert picked_agents(world) == {"near"}


@given(
    limits=st.lists(st.integers(1, 4), min_size=1, max_size=6),
    zones=st.lists(st.sampled_from(["z0", "z1"]), min_size=6, max_size=6),
    source=randoms,
)
def test_as_many_as_all_take_together_are_taken_the_near_ones_first_and_none_has_more(
    limits: list[int], zones: list[str], source: random.Random
) -> None:
    world = World(zone="z0")
    for number, limit in enumerate(limits):
        world.add(f"a{number}", zone=zones[number], capacity=limit)
    service = world.registry.services["web"]
    near = sum(one.limit for one in service.local)
    for count in range(sum(limits)):
        picked = pick(service, tried=(), random=source.random)
        assert picked is not None
        assert (picked[0] in service.local) == (count < near)
        picked[0].in_flight += 1
    assert pick(service, tried=(), random=source.random) is None
    assert [one.in_flight for one in world.instances] == limits


@given(
    weights=st.lists(st.integers(0, 20), min_size=2, max_size=4).filter(any),
    seed=st.integers(0, 1000),
)
@settings(max_examples=30, deadline=None)
def test_targets_get_their_weight_within_statistics_and_weight_0_nothing(
    weights: list[int], seed: int
) -> None:
    world = World()
    draw = random.Random(seed).random
    for number in range(len(weights)):
        for copy in range(2):
            world.add(f"a{number}{copy}", release=f"v{number}")
    targets = [
        {"selector": f"service=web,release=v{number}", "weight": weight}
        for number, weight in enumerate(weights)
    ]
    spec = RouteSpec.model_validate({"name": "r", "host": "r.example", "targets": targets})
    route = Route(spec, world.pools)
    rounds = 2000
    counts: Counter[str] = Counter()
    for _ in range(rounds):
        picked = route.pick(tried=(), random=draw)
        assert picked is not None
        counts[picked[0].labels["release"]] += 1
    for number, weight in enumerate(weights):
        share = weight / sum(weights)
        spread = (rounds * share * (1 - share)) ** 0.5
        assert abs(counts[f"v{number}"] - rounds * share) <= 6 * spread
