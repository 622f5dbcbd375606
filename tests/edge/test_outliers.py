from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.balancing import Balancing
from edge.registry import Instance

from .fakes import World, make_report


def world_of(count: int, **settings: float) -> World:
    world = World(balancing=Balancing(slow_start=0.0, reconnect_grace=0.0, **settings))  # type: ignore[arg-type]
    for number in range(count):
        world.add(f"a{number}")
    return world


def fail(world: World, instance: Instance, times: int = 5) -> None:
    for _ in range(times):
        world.registry.failed(instance)


def ejected(world: World) -> set[str]:
    return {one.agent.agent_id for one in world.instances if one.ejected}


def test_five_errors_in_a_row_eject_and_after_30_s_it_comes_back_by_itself() -> None:
    world = world_of(2)
    bad = world.instances[0]
    fail(world, bad, 4)
    assert bad.listed
    fail(world, bad, 1)
    assert (bad.ejected, bad.listed) == (True, False)
    assert world.registry.changed >= {"a0"}
    world.wait(29.9)
    assert not bad.listed
    world.wait(0.1)
    assert (bad.ejected, bad.listed) == (False, True)
    assert [change.kind for change in world.changes] == ["instance_ejected", "instance_returned"]
    assert world.registry.due is None


def test_each_ejection_in_a_row_is_longer_up_to_ten_times_and_a_good_while_forgives() -> None:
    world = world_of(2)
    bad = world.instances[0]
    lengths = []
    for _ in range(12):
        fail(world, bad)
        lengths.append(bad.back - world.clock)
        world.wait(lengths[-1])
    assert lengths == [30.0 * min(number, 10) for number in range(1, 13)]
    world.wait(300.0)
    fail(world, bad)
    assert bad.back - world.clock == 30.0


@pytest.mark.parametrize(("count", "most"), [(1, 0), (2, 1), (3, 1), (4, 2), (9, 4)])
def test_never_more_than_half_are_ejected(count: int, most: int) -> None:
    world = world_of(count)
    for instance in world.instances:
        fail(world, instance)
    assert len(ejected(world)) == most


def test_when_others_go_the_first_to_return_comes_back_early() -> None:
    world = world_of(4)
    first, second, third, fourth = world.instances
    fail(world, first)
    world.clock = 1.0
    fail(world, second)
    world.registry.report(third.agent, make_report(0), 0.0)
    assert ejected(world) == {"a1"}
    world.registry.remove_tunnel(fourth.agent, fourth.agent.tunnels[0])
    assert ejected(world) == {"a1"}
    world.registry.remove_tunnel(first.agent, first.agent.tunnels[0])
    assert ejected(world) == set()
    assert world.registry.services["web"].all == [second]


def test_one_that_says_that_it_is_unhealthy_is_ejected_no_more() -> None:
    world = world_of(2)
    bad = world.instances[0]
    fail(world, bad)
    world.registry.report(bad.agent, make_report(0), 0.0)
    assert not bad.ejected
    world.registry.report(bad.agent, make_report(1), 0.0)
    assert bad.listed
    world.wait(30.0)
    assert bad.listed


def test_with_zero_nobody_is_ejected() -> None:
    world = world_of(2, eject_after=0)
    fail(world, world.instances[0], 100)
    assert ejected(world) == set()


steps = st.lists(
    st.tuples(st.sampled_from(["fail", "up", "down", "drop", "wait", "drain"]), st.integers(0, 5)),
    max_size=40,
)


@given(steps=steps)
def test_whatever_happens_half_are_there_and_all_come_back(steps: list[tuple[str, int]]) -> None:
    world = world_of(6)
    instances = world.instances
    for what, number in steps:
        instance = instances[number]
        agent = instance.agent
        if what == "fail":
            fail(world, instance)
        elif what == "wait":
            world.wait(10.0 * number)
        elif what == "drain":
            world.registry.drain([f"web.a{number}"])
        elif what == "drop":
            if agent.tunnels:
                world.registry.remove_tunnel(agent, agent.tunnels[0])
        else:
            world.registry.report(agent, make_report(what == "up"), 0.0)
        service = world.registry.services.get("web")
        if service is None:
            return
        fit = [one for one in service.instances if one.healthy and not one.drained]
        out = [one for one in fit if one.ejected]
        assert (service.fit, service.ejected) == (len(fit), len(out))
        assert 2 * len(out) <= len(fit)
        assert set(service.all) == set(fit) - set(out)
    world.wait(300.0)
    assert ejected(world) == set()
    assert world.registry.services["web"].ejected == 0
