from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.balance import pick, pick_instance, pick_tunnel
from edge.registry import Instance

from .fakes import FakeTunnel, World

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
