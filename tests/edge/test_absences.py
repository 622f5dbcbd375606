from __future__ import annotations

import pytest

from edge.balancing import Balancing
from edge.registry import Conflict, Registry

from .fakes import FakeTunnel, World, make_agent, make_offer, make_report

GRACE = Balancing(slow_start=0.0, reconnect_grace=5.0)


def world_with_one() -> tuple[World, FakeTunnel]:
    world = World(balancing=GRACE)
    [tunnel] = world.add()
    return world, tunnel


def counted(registry: Registry) -> list[tuple[str, int, bool]]:
    """Return every instance that counts, its healthy upstreams, and whether it is reconnecting."""
    return [
        (one.instance_id, one.healthy, agent.reconnecting)
        for agent in registry.agents.values()
        for one in agent.instances.values()
    ]


def test_one_whose_last_tunnel_breaks_counts_for_a_while_and_gets_nothing() -> None:
    world, tunnel = world_with_one()
    registry = world.registry
    [change] = registry.remove_tunnel(registry.agents["a"], tunnel)
    assert change.kind == "instance_reconnecting"
    assert counted(registry) == [("web.a", 1, True)]
    assert registry.services["web"].all == []
    world.wait(4.9)
    assert world.changes == []
    world.wait(0.1)
    assert [change.kind for change in world.changes] == ["instance_down"]
    assert registry.agents == registry.services == {}
    assert registry.due is None


def test_one_that_comes_back_is_the_same_and_serves_when_it_has_reported() -> None:
    world, tunnel = world_with_one()
    registry = world.registry
    agent = registry.agents["a"]
    instance = agent.instances["web"]
    registry.remove_tunnel(agent, tunnel)
    world.wait(2.0)
    again, outdated = registry.add_tunnel(make_agent(), [make_offer()], FakeTunnel())
    assert (again, outdated) == (agent, [])
    assert counted(registry) == [("web.a", 1, True)]
    assert registry.services["web"].all == []
    [change] = registry.report(agent, make_report(), 0.0)
    assert change.kind == "instance_reconnected"
    assert registry.services["web"].all == [instance]
    assert counted(registry) == [("web.a", 1, False)]
    world.wait(10.0)
    assert registry.services["web"].all == [instance]


def test_a_link_that_flaps_without_a_report_gets_no_more_time() -> None:
    world, tunnel = world_with_one()
    registry = world.registry
    agent = registry.agents["a"]
    for _ in range(3):
        registry.remove_tunnel(agent, tunnel)
        world.wait(1.5)
        registry.add_tunnel(make_agent(), [make_offer()], tunnel)
    world.wait(1.0)
    assert counted(registry) == [("web.a", 0, False)]
    assert [change.kind for change in world.changes] == ["instance_down"]
    registry.report(agent, make_report(), 0.0)
    assert len(registry.services["web"].all) == 1


def test_one_that_has_drained_is_gone_at_once() -> None:
    world, tunnel = world_with_one()
    registry = world.registry
    agent = registry.agents["a"]
    registry.drain_tunnel(agent, tunnel)
    [change] = registry.remove_tunnel(agent, tunnel)
    assert change.kind == "instance_down"
    assert registry.agents == {}
    assert registry.due is None


@pytest.mark.parametrize(
    ("generation", "token", "release"),
    [(0, "t", "v1"), (2, "t", "v1"), (1, "other", "v1"), (1, "t", "v2")],
)
def test_while_one_is_away_its_id_is_free_for_another(generation: int, token: str, release: str) -> None:
    world = World(balancing=GRACE)
    [tunnel] = world.add(release="v1")
    registry = world.registry
    old = registry.agents["a"]
    registry.remove_tunnel(old, tunnel)
    offers = [make_offer(token=token, release=release)]
    registry.check("a", generation, offers)
    new, outdated = registry.add_tunnel(make_agent(generation=generation, token=token), offers, FakeTunnel())
    assert new is not old
    assert outdated == []
    registry.report(new, make_report(), 0.0)
    world.wait(10.0)
    assert counted(registry) == [("web.a", 1, False)]


def test_an_id_is_held_again_as_soon_as_its_holder_is_back() -> None:
    world, tunnel = world_with_one()
    registry = world.registry
    registry.remove_tunnel(registry.agents["a"], tunnel)
    registry.add_tunnel(make_agent(), [make_offer()], FakeTunnel())
    with pytest.raises(Conflict):
        registry.check("a", 1, [make_offer(token="thief")])


def test_without_a_grace_it_is_gone_at_once() -> None:
    world = World(balancing=Balancing(reconnect_grace=0.0, slow_start=0.0))
    [tunnel] = world.add()
    [change] = world.registry.remove_tunnel(world.registry.agents["a"], tunnel)
    assert change.kind == "instance_down"
    assert world.registry.agents == {}
